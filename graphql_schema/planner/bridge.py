"""The planner behind graphql-core: root fields, and the entities in payloads of mutations and subscriptions.

Each such field plans the selection under it and runs one statement; everything below it is in the JSON that came back.
"""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, cast

from sqlalchemy import ColumnElement, and_
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from graphql_schema.node import NodeRow
from graphql_schema.planner.builder import PLAN, Builder, FieldPlan, object_type
from graphql_schema.planner.decisions import Variables
from graphql_schema.planner.fields import PlannedField, planned
from graphql_schema.planner.fills import Path
from graphql_schema.planner.keys import Malformed, parser_of
from graphql_schema.planner.plan import ReadContext
from graphql_schema.planner.planner import QueryPlanner
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import Expression, object_json

ENTITY_KEY = "entity key"
"""The entry of a field's metadata that names the attribute with the entity's id."""
ENTITY_TYPE = "entity type"
KEY_JOINT = "@"
"""Between the parts of an id in a payload, where the entity's key has several: `code-audit@2`."""


class RootField(PlannedField):
    """A field of Query: graphql-core resolves it by a statement of its own."""

    @property
    def is_async(self) -> bool:
        return True

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Awaitable[Any]:
        """The planned value."""
        return _resolve_root(cast("Info", info), self.metadata[PLAN])


def root(plan: FieldPlan, *, description: str, arguments: Sequence[StrawberryArgument] = ()) -> Any:
    """A field of Query with this plan."""
    return planned(plan, description, arguments=arguments, kind=RootField)


class EntityField(StrawberryField):
    """A field of a payload that shows the entity whose id the payload holds."""

    @property
    def is_basic_field(self) -> bool:
        return False

    @property
    def is_async(self) -> bool:
        return True

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Awaitable[Any]:
        """The entity as it is now."""
        entity_id = getattr(source, self.metadata[ENTITY_KEY])
        return render_entity(cast("Info", info), entity_id)


def entity_of(type_name: str, key: str = "entity_id", *, description: str) -> Any:
    """A field of a payload that shows an entity, with all that is selected under it, in one statement.

    The payload's attribute `key` holds the entity's id, a text or a UUID, or None. The field is null then, and when the
    row is gone. `type_name` is the GraphQL type; the annotation must say the same.
    """
    made = EntityField(description=description, metadata={ENTITY_KEY: key, ENTITY_TYPE: type_name})
    made.init = made.repr = made.compare = False
    return made


async def render_entity(info: Info, entity_id: object) -> dict[str, Any] | None:
    """What is selected under `info`'s field of the entity with this id, by response key; None when there is none."""
    if entity_id is None:
        return None
    context: ReadContext = info.context
    variables = {**_variables(info), ENTITY_KEY: str(entity_id)}
    plan = _planner(info).plan_field(info._raw_info, variables, context.principal, _by_id)
    value: dict[str, Any] | None = await plan.value(context, variables)
    return value


async def _resolve_root(info: Info, field_plan: FieldPlan) -> Any:
    context: ReadContext = info.context
    variables = _variables(info)
    express = partial(_by_plan, field_plan)
    plan = _planner(info).plan_field(info._raw_info, variables, context.principal, express)
    value = await plan.value(context, variables)
    return value if plan.node_types is None else _as_nodes(value, plan.node_types(variables))


def _as_nodes(value: Any, types: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_as_nodes(item, [type_]) for item, type_ in zip(value, types, strict=True)]
    return None if value is None else NodeRow(value, types[0])


def _by_plan(field_plan: FieldPlan, build: Builder, selected: Selected, path: Path) -> Expression:
    return field_plan.expression(build, None, selected, path)


def _by_id(build: Builder, selected: Selected, path: Path) -> Expression:
    """The entity whose id comes along with the variables, under a name that no variable can have."""
    type_ = object_type(selected)
    row = build.row(type_)
    pairs = build.object(type_, row, selected.nodes, path)
    wanted = [row[key] == _wanted(build, key, place) for place, key in enumerate(row.entity.key)]
    return object_json(pairs, row.source(and_(*wanted)), row.own)


def _wanted(build: Builder, key: Any, place: int) -> ColumnElement[Any]:
    """A part of the id; several are joined by `KEY_JOINT`."""

    def extract(variables: Variables, _: object) -> Any:
        return _key(key, variables[ENTITY_KEY].split(KEY_JOINT)[place])

    return build.bind_extract(extract, key.type)


def _key(column: Any, value: str) -> Any:
    try:
        return parser_of(column)(value)
    except Malformed:
        raise ValueError(f"{value!r} cannot be a {column.name}") from None


def _planner(info: Info) -> QueryPlanner:
    planner: QueryPlanner = cast("Any", info.schema).planner
    return planner


def _variables(info: Info) -> Variables:
    """The coerced variables: Strawberry hands resolvers the plain mapping, whatever graphql-core's types say."""
    variables: Variables = cast("Any", info._raw_info.variable_values)
    return variables
