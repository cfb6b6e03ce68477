"""Entities as the planner sees them: a table, what identifies and orders its rows, and a row within a statement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import GraphQLObjectType
from sqlalchemy import Column, ColumnClause, ColumnElement, FromClause, Select, Table, and_, select

from app.security.policy import Permission

BACK_REFERENCE = "strawberry-definition"
"""The extension of a graphql-core element that holds the Strawberry element which it was made of."""
STREAM = "stream"
"""The entry of a subscription's metadata with its plan."""
SUBJECT_TYPE = "subject type"
"""The entry of a field's metadata with the type of the entity that a stream's payload is about."""


@dataclass(frozen=True, eq=False)
class Order:
    """The order of a connection: columns of one direction, unique together, so that a cursor is a place in it."""

    columns: tuple[Column[Any], ...]
    descending: bool = False


def rising(*columns: Column[Any]) -> Order:
    """Smallest first."""
    return Order(columns)


def falling(*columns: Column[Any]) -> Order:
    """Greatest first; newest first for ids, which rise with time."""
    return Order(columns, descending=True)


@dataclass(frozen=True)
class Side:
    """A table with at most one row for each row of the entity; it is joined when one of its columns is selected."""

    table: Table
    key: Column[Any]


@dataclass(frozen=True, eq=False)
class Entity:
    """What a GraphQL type is in the database.

    `key` identifies a row and is part of its node id; `requires` is the permission without which nothing of it may be
    read at all.
    """

    table: Table
    key: tuple[Column[Any], ...]
    sides: tuple[Side, ...] = ()
    order: Order | None = None
    requires: Permission | None = None

    @cached_property
    def default_order(self) -> Order:
        """Newest first unless said otherwise."""
        return self.order or Order(self.key, descending=True)


def column_at(place: FromClause, column: Column[Any]) -> ColumnElement[Any]:
    """The column where its table stands under another name.

    Not `place.c[…]`: that copies every column of the table for each place, which was half of the time to plan.
    """
    return ColumnClause(column.name, column.type, _selectable=place)


@dataclass
class Row:
    """One row of an entity within a statement: `row[column]` is the column there, of the table or of its sides."""

    entity: Entity
    alias: FromClause = field(init=False)
    _sides: dict[Table, FromClause] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.alias = self.entity.table.alias()

    def __getitem__(self, column: Column[Any]) -> ColumnElement[Any]:
        if column.table is self.entity.table:
            return column_at(self.alias, column)
        return column_at(self._side(column.table), column)

    @property
    def own(self) -> Sequence[FromClause]:
        """The tables of this row; all others belong to enclosing statements."""
        return [self.alias, *self._sides.values()]

    def source(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        """A SELECT without columns of the rows that meet the conditions. Call it when all columns were asked for."""
        joined: FromClause = self.alias
        for side in self.entity.sides:
            if side.table in self._sides:
                alias = self._sides[side.table]
                joined = joined.outerjoin(alias, column_at(alias, side.key) == self[self.entity.key[0]])
        statement: Select[Any] = select().select_from(joined)
        return statement.where(and_(*conditions)) if conditions else statement

    def _side(self, table: FromClause) -> FromClause:
        for side in self.entity.sides:
            if side.table is table:
                return self._sides.setdefault(side.table, side.table.alias())
        raise LookupError(f"{table} is neither {self.entity.table.name} nor one of its sides")


Link = Callable[[Row, Row], ColumnElement[bool]]
"""The condition that ties a child's row to its parent's: called with parent and child."""


def link_by(column: Column[Any], parent: Entity, child: Entity) -> Link:
    """The link that a foreign key makes, whichever of the two tables it is in."""
    if column.table is parent.table:
        return lambda above, below: below[child.key[0]] == above[column]
    return lambda above, below: below[column] == above[parent.key[0]]


def entity_of_type(type_: GraphQLObjectType) -> Entity | None:
    """The entity that a type declares, or None for the parts of connections and the like."""
    return getattr(type_.extensions[BACK_REFERENCE].origin, "__entity__", None)


def entities_by_name(types: Mapping[str, Any]) -> dict[str, Entity]:
    """Every entity of a schema, by the name of its type."""
    found: dict[str, Entity] = {}
    for name, type_ in types.items():
        if isinstance(type_, GraphQLObjectType) and BACK_REFERENCE in type_.extensions:
            entity = entity_of_type(type_)
            if entity is not None:
                found[name] = entity
    return found
