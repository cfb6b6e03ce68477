"""The orders of connections: what each compares, where nulls stand, and which rows lie beyond a place in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Text, and_, false, or_, tuple_
from sqlalchemy.types import TypeEngine

from graphql_schema.planner.entities import Order, Row
from graphql_schema.planner.keys import CURSOR_MAX, parser_of, storable_text


@dataclass(frozen=True, eq=False)
class Term:
    """One thing that an order compares: a column of the entity or of its sides. Nulls stand last unless said."""

    column: Column[Any]
    nullable: bool
    descending: bool = False
    nulls_first: bool = False

    @property
    def type(self) -> TypeEngine[Any]:
        return self.column.type

    def value(self, row: Row) -> ColumnElement[Any]:
        return row[self.column]

    def sorted(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """The value as ORDER BY takes it. Without NULLS where there are none, so that an index serves."""
        directed = value.desc() if self.descending else value.asc()
        if not self.nullable:
            return directed
        return directed.nulls_first() if self.nulls_first else directed.nulls_last()

    def reversed(self) -> "Term":
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)

    def beyond(self, value: ColumnElement[Any], place: ColumnElement[Any] | None) -> ColumnElement[bool]:
        """The condition that a value comes after a place; None is the place of nulls."""
        if place is None:
            return value.is_not(None) if self.nulls_first else false()
        past: ColumnElement[bool] = value < place if self.descending else value > place
        return or_(past, value.is_(None)) if self.nullable and not self.nulls_first else past

    def parse(self, value: Any) -> Any:
        """The value that a cursor has, as the driver takes it. Raises `Malformed`."""
        if value is None and self.nullable:
            return None
        return storable_text(value, CURSOR_MAX) if isinstance(self.type, Text) else parser_of(self.column)(value)


Place = Sequence[ColumnElement[Any] | None]
"""The values of one row for the terms of an order; None for null."""


@dataclass(frozen=True, eq=False)
class Ordering:
    """Terms that together tell any two rows apart. `name` is part of every cursor: places in other orders differ."""

    terms: tuple[Term, ...]
    name: str = ""

    def reversed(self) -> "Ordering":
        return replace(self, terms=tuple(term.reversed() for term in self.terms))

    def values(self, row: Row) -> list[ColumnElement[Any]]:
        """What the order compares, of a row."""
        return [term.value(row) for term in self.terms]

    def sorted(self, values: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        """The values as ORDER BY takes them."""
        return [term.sorted(value) for term, value in zip(self.terms, values, strict=True)]

    def beyond(self, row: Row, place: Place, *, or_at: bool = False) -> ColumnElement[bool]:
        """The condition that a row comes after a place, or is the place's own."""
        values = self.values(row)
        given = [at for at in place if at is not None]
        if len(given) == len(values) and self._is_plain:
            return _compared(_as_one(values), _as_one(given), self.terms[0].descending, or_at)
        ways = [and_(*self._same(values, place, index), term.beyond(values[index], place[index]))
                for index, term in enumerate(self.terms)]  # fmt: skip
        if or_at:
            ways.append(and_(*self._same(values, place, len(values))))
        return or_(*ways)

    @property
    def _is_plain(self) -> bool:
        """Whether rows compare as tuples, which an index can answer."""
        directions = {term.descending for term in self.terms}
        return len(directions) == 1 and not any(term.nullable for term in self.terms)

    @staticmethod
    def _same(values: Sequence[ColumnElement[Any]], place: Place, many: int) -> list[ColumnElement[bool]]:
        return [
            value.is_(None) if at is None else value == at for value, at in list(zip(values, place, strict=True))[:many]
        ]


def declared(order: Order) -> Ordering:
    """The ordering that a declaration makes."""
    return Ordering(tuple(Term(column, nullable=False, descending=order.descending) for column in order.columns))


def _compared(value: Any, given: Any, descending: bool, or_at: bool) -> ColumnElement[bool]:
    condition: ColumnElement[bool]
    if descending:
        condition = value <= given if or_at else value < given
    else:
        condition = value >= given if or_at else value > given
    return condition


def _as_one(values: Sequence[ColumnElement[Any]]) -> Any:
    return values[0] if len(values) == 1 else tuple_(*values)
