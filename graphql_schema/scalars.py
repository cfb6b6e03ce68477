"""Scalars: JSON, points in time, exact decimals, large integers and cursors."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

JSON = NewType("JSON", object)
BigInt = NewType("BigInt", int)
Cursor = NewType("Cursor", str)

INT64 = range(-(2**63), 2**63)
DECIMAL_PATTERN = re.compile(r"[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)
"""No decimal of the hub has more digits; a JSON number may come with a small exponent, as 1e-06 does."""


def parse_time(value: object) -> datetime:
    """RFC 3339 with a time zone. Raises `GraphQLError`."""
    if not isinstance(value, str):
        raise GraphQLError("DateTime must be a string such as 2026-11-22T19:12:00Z.")
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise GraphQLError(f"DateTime needs a time zone, such as a Z at its end; it is {value[:80]!r}.")
        return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        raise GraphQLError(f"DateTime must be like 2026-11-22T19:12:00Z; it is {value[:80]!r}.") from None


def show_time(value: datetime | str) -> str:
    """RFC 3339 in UTC; planned values are that already."""
    return value if isinstance(value, str) else value.astimezone(UTC).isoformat()


def parse_decimal(value: object) -> Decimal:
    """A decimal from its text or from a JSON number. Raises `GraphQLError`."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise GraphQLError('Decimal must be a string such as "12.50".')
    text = str(value)
    if not DECIMAL_PATTERN.fullmatch(text):
        raise GraphQLError(f"Decimal must be a number such as 12.50 with at most 40 digits; it is {text[:80]!r}.")
    return Decimal(text)


def parse_big_integer(value: object) -> int:
    """A whole number of 64 bits. Raises `GraphQLError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in INT64:
        raise GraphQLError(f"BigInt must be a whole number of at most 64 bits; it is {str(value)[:80]}.")
    return value


def parse_cursor(value: object) -> str:
    """A cursor as it was given; whoever takes it checks what it says. Raises `GraphQLError`."""
    if not isinstance(value, str):
        raise GraphQLError("Cursor must be a string.")
    return value


def in_document(parse: Callable[[object], object]) -> Callable[..., object]:
    """Parses a value that is written in a document; the error then says where, which graphql-core leaves to us."""

    def parse_literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> object:
        try:
            return parse(value_from_ast_untyped(node, dict(variables or {})))
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return parse_literal


def as_it_is(value: Any) -> Any:
    """The value itself."""
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: an object, a list, a string, a number, true, false or null.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=as_it_is,
        parse_value=as_it_is,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A point in time, RFC 3339 with up to six decimals of a second; answers are in UTC "
        "(2026-11-22T19:12:00.123456+00:00), inputs may be in any zone but must name it.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=show_time,
        parse_value=parse_time,
        parse_literal=in_document(parse_time),
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='An exact decimal number as a string without trailing zeros, such as "0.1234". '
        "Inputs may be JSON numbers too.",
        specified_by_url="https://www.w3.org/TR/xmlschema11-2/#decimal",
        serialize=str,
        parse_value=parse_decimal,
        parse_literal=in_document(parse_decimal),
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number of up to 64 bits, as a JSON number; some clients lose digits beyond 2^53.",
        specified_by_url="https://www.w3.org/TR/xmlschema11-2/#long",
        serialize=as_it_is,
        parse_value=parse_big_integer,
        parse_literal=in_document(parse_big_integer),
    ),
    Cursor: strawberry.scalar(
        name="Cursor",
        description="A place in a connection or in a stream of events; opaque, and good only where it came from.",
        specified_by_url="https://relay.dev/graphql/connections.htm#sec-Cursor",
        serialize=as_it_is,
        parse_value=parse_cursor,
        parse_literal=in_document(parse_cursor),
    ),
}
"""What Strawberry makes of these types in annotations."""
