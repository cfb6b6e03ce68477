"""The language of declarations: what the types in types.py say of their fields.

Each helper makes a field that carries its plan. The same declaration serves both ways of answering: the planner reads
the plan; graphql-core takes the value out of the planned JSON, by response key.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, cast

import orjson
import strawberry
from graphql import GraphQLEnumType, GraphQLList, GraphQLNonNull, GraphQLOutputType
from sqlalchemy import Column, ColumnElement, case, or_
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from app.domain.machines import Machine
from app.domain.principals import Principal
from graphql_schema.planner.browsing import ManyPlan
from graphql_schema.planner.builder import PLAN, Builder, FieldPlan
from graphql_schema.planner.entities import Order, Row
from graphql_schema.planner.fills import Path, SealedAs
from graphql_schema.planner.plans import (
    ColumnPlan,
    Computation,
    ComputedPlan,
    Condition,
    IdPlan,
    ItemPlan,
    ItemsPlan,
    JudgedPlan,
    Judgement,
    ObjectPlan,
    OnePlan,
    PrincipalPlan,
    Relation,
    SealedPlan,
)
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import Expression, json_constant, text_constant
from graphql_schema.planner.windows import PAGE_DEFAULT, PAGE_MAX
from graphql_schema.scalars import Cursor

A_CURSOR = "a `startCursor`, `endCursor` or an edge's `cursor` of this same connection in the same order."


class PlannedField(StrawberryField):
    """A field whose value is in the planned JSON of its parent."""

    @property
    def is_basic_field(self) -> bool:
        """Never: the value is found by the response key, which only `info` knows."""
        return False

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        """The value under the field's response key, as graphql-core wants it."""
        raw = cast("Info", info)._raw_info
        return as_resolved(source[raw.path.key], raw.return_type)


def as_resolved(value: Any, type_: GraphQLOutputType) -> Any:
    """A planned value as a resolver must return it: enum members instead of their names."""
    if isinstance(type_, GraphQLNonNull):
        return as_resolved(value, type_.of_type)
    if value is not None and isinstance(type_, GraphQLList):
        return [as_resolved(item, type_.of_type) for item in value]
    if value is not None and isinstance(type_, GraphQLEnumType):
        return type_.values[value].value
    return value


def planned(
    plan: FieldPlan,
    description: str,
    *,
    arguments: Sequence[StrawberryArgument] = (),
    kind: type[PlannedField] = PlannedField,
    name: str | None = None,
) -> Any:
    """A field with this plan."""
    made = kind(graphql_name=name, description=description, metadata={PLAN: plan})
    made.init = made.repr = made.compare = False
    made.arguments = list(arguments)
    return made


def column(column: Column[Any], *, description: str) -> Any:
    """A column of the entity's table or of one of its sides."""
    return planned(ColumnPlan(column), description)


def computed(compute: Computation, *, description: str) -> Any:
    """An SQL expression over the row: `computed(lambda task: task[tasks.c.attempts] > 1, …)`."""
    return planned(ComputedPlan(compute), description)


def judged(judge: Judgement, *, description: str) -> Any:
    """An SQL expression over the row and what the viewer may do: `judged(lambda row, rights: …, …)`."""
    return planned(JudgedPlan(judge), description)


def group(*, description: str) -> Any:
    """An object whose fields are declared over the same row; its type declares no entity of its own."""
    return planned(ObjectPlan(), description)


def items(column: Column[Any], *, description: str) -> Any:
    """The items of a JSON array column as objects, in order; their type declares its fields by `item`."""
    return planned(ItemsPlan(column), description)


def item(key: str, *, description: str) -> Any:
    """What each item of a JSON array has under a key, as the field's type; null where it has nothing."""
    return planned(ItemPlan(key), description)


def node_id() -> Any:
    """The field `id` of a node."""
    return planned(
        IdPlan(),
        "Identifies the object among all objects of the hub; opaque. `node(id)` finds it again.",
    )


def one(relation: Relation, *, description: str) -> Any:
    """A related object or null: by the foreign key, in whichever of both tables it is, or by a condition."""
    return planned(OnePlan(relation), description)


def many(relation: Relation, *, description: str, order: Order | None = None, where: Condition | None = None) -> Any:
    """Related objects as a connection: newest first unless `order` says otherwise."""
    return planned(ManyPlan(relation, where, order), description, arguments=page_arguments())


def sealed(column: Column[Any], *, key: Column[Any], name: str, sealed_as: SealedAs, description: str) -> Any:
    """A sealed column: opened for those who may read it, null for others; `name` is what it was sealed under."""
    return planned(SealedPlan(column, key, name, sealed_as), description)


def transitions(machine: Machine[Any], status: Column[Any]) -> Any:
    """The field `allowedTransitions`, out of the aggregate's state machine."""
    allowed = {
        source.value: json_constant(orjson.dumps([target.name for target in targets]).decode())
        for source, targets in machine.transitions.items()
    }
    return computed(
        lambda row: case(*[(row[status] == text_constant(value), names) for value, names in allowed.items()]),
        description=f"The statuses that the {machine.name} may go to from where it is; empty when its status is final.",
    )


def one_of(value: ColumnElement[Any], members: Iterable[StrEnum]) -> ColumnElement[bool]:
    """The condition that a status is one of these; one by one, so that an index on it serves."""
    return or_(*[value == text_constant(member.value) for member in members])


def of_principal(read: Callable[[Principal], str | None], *, description: str) -> Any:
    """A fact about who asks: `of_principal(lambda principal: principal.name, …)`."""
    return planned(PrincipalPlan(read), description)


class PartPlan:
    """A part of a connection, which its connection plans."""

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        raise LookupError(f"{selected.name} is planned together with its connection")


def part(*, description: str) -> Any:
    """A field of a connection, an edge or a page info."""
    return planned(PartPlan(), description)


def argument(name: str, annotation: Any, description: str, *, default: Any = strawberry.UNSET) -> StrawberryArgument:
    """An argument, by its Python name."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
        default=default,
    )


def page_arguments() -> list[StrawberryArgument]:
    """The arguments of every connection."""
    return [
        argument(
            "first",
            int | None,
            f"How many objects at most, from the start on: from 1 to {PAGE_MAX}; {PAGE_DEFAULT} without `last`.",
            default=None,
        ),
        argument("after", Cursor | None, f"Only what comes after this place: {A_CURSOR}", default=None),
        argument(
            "last", int | None, f"How many objects at most, from the end back: from 1 to {PAGE_MAX}.", default=None
        ),
        argument("before", Cursor | None, f"Only what comes before this place: {A_CURSOR}", default=None),
    ]
