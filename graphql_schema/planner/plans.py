"""What a field can be: a column, an expression, a relation, a sealed column, a fact about who asks, or a root field."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphql import get_named_type
from sqlalchemy import JSON, Column, ColumnClause, ColumnElement, Text, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.errors import InvalidInput
from app.domain.principals import Principal
from app.security.policy import Permission
from graphql_schema.planner.builder import TYPENAME, Builder, Rights, dotted, object_type, plan_of
from graphql_schema.planner.decisions import Answer
from graphql_schema.planner.entities import Link, Row, link_by
from graphql_schema.planner.fills import MARK, Fill, Path, SealedAs
from graphql_schema.planner.keys import Malformed, NodeIds, parser_of
from graphql_schema.planner.selection import Selected, Source
from graphql_schema.planner.sql import (
    Expression,
    array_json,
    json_null,
    json_value,
    object_json,
    render,
    rows_json,
    text_constant,
)

Relation = Column[Any] | Link
Computation = Callable[[Row], ColumnElement[Any]]
Judgement = Callable[[Row, Rights], ColumnElement[Any]]
Condition = Callable[[Row], ColumnElement[bool]]


@dataclass(frozen=True)
class ColumnPlan:
    """A column of the entity's table or of one of its sides."""

    column: Column[Any]

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        return render(of(row)[self.column], get_named_type(selected.field.type))


@dataclass(frozen=True)
class ComputedPlan:
    """An expression over the row's columns."""

    compute: Computation

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        return render(self.compute(of(row)), get_named_type(selected.field.type))


@dataclass(frozen=True)
class JudgedPlan:
    """An expression over the row's columns that depends on what the viewer may do; a plan is kept for each of these."""

    judge: Judgement

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        return render(self.judge(of(row), build.rights), get_named_type(selected.field.type))


@dataclass(frozen=True)
class ItemPlan:
    """What an item of a JSON array has under a key; planned together with the array."""

    key: str

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        raise LookupError(f"{selected.name} is planned together with its list")

    def of_item(self, item: Expression, selected: Selected) -> Expression:
        """The value, of the field's type."""
        return json_value(item, self.key, selected.field.type)


@dataclass(frozen=True)
class ItemsPlan:
    """The items of a JSON array column as typed objects, in the array's order."""

    column: Column[Any]

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        items = func.jsonb_array_elements(of(row)[self.column]).table_valued(
            ColumnClause("value", JSONB()), with_ordinality="position"
        )
        source = items.alias().render_derived()
        pairs = [
            (part.key, self._part(source.c.value, part))
            for part in build.selection.fields(object_type(selected), selected.nodes)
        ]
        rows = select().select_from(source).order_by(source.c.position)
        return array_json(rows_json(pairs, rows, [source]))

    def _part(self, item: Expression, selected: Selected) -> Expression:
        if selected.name == TYPENAME:
            return text_constant(selected.parent.name)
        plan = plan_of(selected.field)
        if not isinstance(plan, ItemPlan):
            raise TypeError(f"{selected.parent.name}.{selected.name} is no field of an item")
        return plan.of_item(item, selected)


@dataclass(frozen=True)
class IdPlan:
    """The global id of a node."""

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        return NodeIds(selected.parent.name, of(row).entity).expression(of(row))


@dataclass(frozen=True)
class RelationPlan:
    """Related rows: by a foreign key or a condition; `where` narrows them."""

    relation: Relation
    where: Condition | None = None

    def links(self, parent: Row, child: Row) -> list[ColumnElement[bool]]:
        """The conditions that tie a related row to its parent."""
        linked = link(self.relation, parent, child)
        return [linked] if self.where is None else [linked, self.where(child)]


@dataclass(frozen=True)
class OnePlan(RelationPlan):
    """At most one related row."""

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        type_ = object_type(selected)
        child = build.row(type_)
        pairs = build.object(type_, child, selected.nodes, path)
        return object_json(pairs, child.source(*self.links(of(row), child)), child.own)


@dataclass(frozen=True)
class SealedPlan:
    """A sealed column, opened after the statement for those who may read it; null for all others.

    `name` is the name under which it was sealed.
    """

    column: Column[Any]
    key: Column[Any]
    name: str
    sealed_as: SealedAs

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        if Permission.READ_SEALED not in build.rights:
            return json_null()
        build.fills.append(Fill(path, of(row).entity.table.name, self.name, self.sealed_as))
        identity = cast(of(row)[of(row).entity.key[0]], Text)
        return func.json_build_array(
            text_constant(MARK), identity, _hex(of(row)[self.key]), _hex(of(row)[self.column]), type_=JSON()
        )


@dataclass(frozen=True)
class PrincipalPlan:
    """A fact about who asks, bound as text."""

    read: Callable[[Principal], str | None]

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        build.is_personal = True
        return build.bind_extract(lambda _, principal: self.read(principal), Text())


@dataclass(frozen=True)
class ObjectPlan:
    """An object that is no row; its fields know where they come from."""

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        return object_json(build.object(object_type(selected), row, selected.nodes, path))


@dataclass(frozen=True)
class FindPlan:
    """Root: the row that an argument names, or null."""

    argument: str
    column: Column[Any]

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        source = selected.argument(self.argument)
        require(build, source, _Parses(self.column), selected, path, self.argument, self._wanted)
        type_ = object_type(selected)
        child = build.row(type_)
        pairs = build.object(type_, child, selected.nodes, path)
        wanted = build.bind(source, parser_of(self.column), self.column.type)
        return object_json(pairs, child.source(child[self.column] == wanted), child.own)

    @property
    def _wanted(self) -> str:
        if isinstance(self.column.type, Text):
            return f"{self.argument} must be a text without NUL characters, of at most 2,000 characters."
        return f"{self.argument} must be a UUID."


class Fault(StrEnum):
    """What a required argument can be instead of usable."""

    NULL = "null"
    MALFORMED = "malformed"


def require(
    build: Builder,
    source: Source,
    judge: Callable[[Any], Answer],
    selected: Selected,
    path: Path,
    argument: str,
    wanted: str,
) -> Answer:
    """What kind of value a required argument has. Raises `InvalidInput`, or graphql-core's error for null."""
    answer = build.selection.decide(source, judge)
    if answer is Fault.NULL:
        build.selection.refuse_null(selected)
    if answer in (Fault.NULL, Fault.MALFORMED):
        raise InvalidInput(wanted, ".".join((*dotted(path), argument)))
    return answer


def of(row: Row | None) -> Row:
    """The row, which a field of an entity always has."""
    if row is None:
        raise LookupError("a field of an entity was planned without a row")
    return row


def link(relation: Relation, parent: Row, child: Row) -> ColumnElement[bool]:
    """The condition of a relation."""
    tie = link_by(relation, parent.entity, child.entity) if isinstance(relation, Column) else relation
    return tie(parent, child)


@dataclass(frozen=True)
class _Parses:
    column: Column[Any]

    def __call__(self, value: Any) -> Answer:
        if value is None:
            return Fault.NULL
        try:
            parser_of(self.column)(value)
        except Malformed:
            return Fault.MALFORMED
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parses) and other.column is self.column

    def __hash__(self) -> int:
        return hash(self.column)


def _hex(value: Expression) -> Expression:
    return func.encode(value, text_constant("hex"), type_=Text())
