"""Values out of opaque texts and arguments, and node ids: written by SQL, read by Python.

Everything in them is checked before a statement runs, so that a text that was made up is a typed error and never one of
the driver's.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, DateTime, Integer, Numeric, Text, Uuid, cast, func

from graphql_schema.planner.entities import Entity, Row
from graphql_schema.planner.sql import plain_base64, text_constant

SEPARATOR = ":"
TEXT_MAX = 2_000
"""Longer ids than this the hub never makes."""
CURSOR_MAX = 1_000_000
"""Cursors hold the values that an order compares, long texts too."""
INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
DECIMAL = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)


class Malformed(ValueError):
    """The text is no id or cursor that the hub made."""


def storable_text(value: Any, longest: int = TEXT_MAX) -> str:
    """The text itself; `Malformed` for what PostgreSQL cannot take: NUL and lone surrogates; and for what is longer."""
    if not isinstance(value, str) or len(value) > longest or "\x00" in value:
        raise Malformed
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Malformed from None
    return value


def parse_uuid(value: Any) -> UUID:
    """The UUID that the text spells; `Malformed` otherwise."""
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Malformed from None


def parse_time(value: Any) -> datetime:
    """The point in time, in UTC; `Malformed` without a time zone or outside of the calendar."""
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise Malformed
        return parsed.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise Malformed from None


def parse_integer(value: Any) -> int:
    """The 32-bit number, also when it is spelled as text."""
    try:
        parsed = int(value)
    except (ValueError, TypeError):
        raise Malformed from None
    if parsed not in INT32 or str(parsed) != str(value):
        raise Malformed
    return parsed


def parse_big_integer(value: Any) -> int:
    """The 64-bit number; `Malformed` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in INT64:
        raise Malformed
    return value


def parse_decimal(value: Any) -> Decimal:
    """The exact number that the text spells; `Malformed` otherwise."""
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise Malformed
    return Decimal(value)


def parse_boolean(value: Any) -> bool:
    """The truth value; `Malformed` otherwise."""
    if not isinstance(value, bool):
        raise Malformed
    return value


# a BigInteger is an Integer, so it comes first
_PARSERS: Mapping[type, Callable[[Any], Any]] = {
    Uuid: parse_uuid,
    Text: storable_text,
    DateTime: parse_time,
    BigInteger: parse_big_integer,
    Integer: parse_integer,
    Numeric: parse_decimal,
    Boolean: parse_boolean,
}


def parser_of(column: Column[Any]) -> Callable[[Any], Any]:
    """What turns the text or JSON form of a key column into the value that the driver takes."""
    for kind, parser in _PARSERS.items():
        if isinstance(column.type, kind):
            return parser
    raise TypeError(f"{column} cannot be part of a key: there is no parser for {column.type!r}")


@dataclass(frozen=True)
class NodeIds:
    """The ids of one type: base64 of `Type:key`, a key of several parts joined by colons."""

    type_name: str
    entity: Entity

    def expression(self, row: Row) -> ColumnElement[Any]:
        """The id of a row, in SQL."""
        text: ColumnElement[Any] = text_constant(self.type_name)
        for column in self.entity.key:
            text = func.concat(text, text_constant(SEPARATOR), cast(row[column], Text), type_=Text())
        return plain_base64(text)

    def parse(self, value: Any) -> Sequence[Any]:
        """The values of the key columns; `Malformed` when it is no id of this type."""
        type_name, key = split_node_id(value)
        if type_name != self.type_name:
            raise Malformed
        *first, last = self.entity.key
        parts = key.split(SEPARATOR, maxsplit=len(first))
        if len(parts) <= len(first):
            raise Malformed
        return [parser_of(column)(part) for column, part in zip([*first, last], parts, strict=True)]


def split_node_id(value: Any) -> tuple[str, str]:
    """Type name and key of a node id. Raises `Malformed`."""
    text = storable_text(value)
    try:
        decoded = base64.b64decode(text.encode(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Malformed from None
    type_name, found, key = decoded.partition(SEPARATOR)
    if not found or not type_name or not key:
        raise Malformed
    return type_name, key
