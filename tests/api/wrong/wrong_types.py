"""Values of the wrong GraphQL type, derived from the schema: they never reach the hub's own rules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
)

from tests.api.wrong.walking import Place, nullable

INT32, INT64 = 2**31, 2**63
OBJECT: Mapping[str, Any] = {"a": 1}

SCALARS: Mapping[str, Sequence[Any]] = {
    "String": (7, 1.5, True, ["text", "text"], OBJECT),
    "ID": (1.5, True, ["text", "text"], OBJECT),
    "Int": ("7", "x", 1.5, True, INT32, -INT32 - 1, INT64, 2**64, 1e300, [1, 2], OBJECT),
    "Float": ("7", "x", True, [1, 2], OBJECT),
    "Boolean": ("true", 1, 0, OBJECT),
    "BigInt": ("7", 1.5, True, INT64, -INT64 - 1, 2**64, 1e300, [1, 2], OBJECT),
    "Decimal": ("", "x", "1,5", "NaN", "Infinity", "-inf", "1e999", "9" * 41, "0x1", "1_0", True, [1, 2], OBJECT),
    "DateTime": (
        "",
        "yesterday",
        7,
        True,
        "2026-11-22",
        "2026-11-22T19:12:00",
        "2026-13-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "10000-01-01T00:00:00Z",
        [1, 2],
        OBJECT,
    ),
    # any value is JSON
    "JSON": (),
}


def wrong_types(place: Place) -> Iterator[tuple[str, Any]]:
    """What the field's type cannot hold, each with a name."""
    yield from ((repr(value)[:40], value) for value in _wrong(place.definition.type))


def _wrong(type_: GraphQLInputType) -> Iterator[Any]:
    if isinstance(type_, GraphQLNonNull):
        yield None
    inner: Any = nullable(type_)
    if isinstance(inner, GraphQLList):
        # a value that is no list stands for a list of itself, so only items can be wrong
        yield from ([value] for value in _wrong(inner.of_type) if not isinstance(value, list))
    elif isinstance(inner, GraphQLEnumType):
        some = next(iter(inner.values))
        yield from ("NO_SUCH_VALUE", "", some.lower(), 0, True, [some, some], OBJECT)
    elif isinstance(inner, GraphQLInputObjectType):
        yield from ("text", 7, True, {"noSuchField": 1})
    else:
        yield from SCALARS[inner.name]


def not_json() -> Sequence[str]:
    """What stands in JSON text where a number should, and is none."""
    return ("NaN", "Infinity", "-Infinity", "1e999", "0x10", "01")
