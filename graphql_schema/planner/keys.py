"""Opaque texts that name a row or a place in a connection: node ids and cursors, written by SQL, read by Python.

Everything in them is checked before a statement runs, so that a text that was made up is a typed error and never one of
the driver's.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Column, ColumnElement, DateTime, Integer, Text, Uuid, cast, func

from graphql_schema.planner.entities import Entity, Order, Row
from graphql_schema.planner.sql import opaque, plain_base64, text_constant

SEPARATOR = ":"
TEXT_MAX = 2_000
"""Longer ids and cursors than this the hub never makes."""
INT32 = range(-(2**31), 2**31)


class Malformed(ValueError):
    """The text is no id or cursor that the hub made."""


class Foreign(ValueError):
    """The text is a cursor of another connection."""


def storable_text(value: Any) -> str:
    """The text itself; `Malformed` for what PostgreSQL cannot take: NUL and lone surrogates."""
    if not isinstance(value, str) or len(value) > TEXT_MAX or "\x00" in value:
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


_PARSERS: Mapping[type, Callable[[Any], Any]] = {
    Uuid: parse_uuid,
    Text: storable_text,
    DateTime: parse_time,
    Integer: parse_integer,
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


@dataclass(frozen=True)
class Cursors:
    """The cursors of one connection: base64 of its name and the values that its order compares."""

    connection: str
    order: Order

    def expression(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
        """The cursor of a row with these values of the order's columns, in SQL."""
        return opaque(cast(func.json_build_array(text_constant(self.connection), *values), Text))

    def parse(self, value: Any) -> Sequence[Any]:
        """The values of the order's columns. Raises `Malformed` or `Foreign`."""
        text = storable_text(value)
        try:
            raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            parts = orjson.loads(raw)
        except (binascii.Error, orjson.JSONDecodeError):
            raise Malformed from None
        if not isinstance(parts, list) or not parts:
            raise Malformed
        connection, *values = parts
        if connection != self.connection:
            raise Foreign
        if len(values) != len(self.order.columns):
            raise Malformed
        return [parser_of(column)(part) for column, part in zip(self.order.columns, values, strict=True)]
