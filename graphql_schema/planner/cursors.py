"""Cursors: opaque texts that name a place in a connection, written by SQL, read and checked by Python."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Numeric, Text, cast, func

from graphql_schema.planner.keys import CURSOR_MAX, Malformed, storable_text
from graphql_schema.planner.orders import Ordering
from graphql_schema.planner.sql import opaque, text_constant


class Foreign(ValueError):
    """The text is a cursor of another connection, or of another order of this one."""


@dataclass(frozen=True)
class Cursors:
    """The cursors of one connection in one order: base64 of both names and the values that the order compares."""

    connection: str
    ordering: Ordering

    def expression(self, values: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
        """The cursor of a row with these values of the order's terms, in SQL."""
        exact = [cast(value, Text) if isinstance(value.type, Numeric) else value for value in values]
        return opaque(cast(func.json_build_array(text_constant(self._name), *exact), Text))

    def parse(self, value: Any) -> Sequence[Any]:
        """The values of the order's terms. Raises `Malformed` or `Foreign`."""
        text = storable_text(value, CURSOR_MAX)
        try:
            raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
            parts = orjson.loads(raw)
        except (binascii.Error, orjson.JSONDecodeError):
            raise Malformed from None
        if not isinstance(parts, list) or not parts:
            raise Malformed
        name, *values = parts
        if name != self._name:
            raise Foreign
        if len(values) != len(self.ordering.terms):
            raise Malformed
        return [term.parse(part) for term, part in zip(self.ordering.terms, values, strict=True)]

    @property
    def _name(self) -> str:
        return f"{self.connection} {self.ordering.name}" if self.ordering.name else self.connection
