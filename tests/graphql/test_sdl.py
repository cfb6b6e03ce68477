"""The schema as clients see it: committed, and explained to whoever does not know the hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
)
from strawberry.types.field import StrawberryField

from app.domain.agents import AgentRole
from db.queries.entities import BY_AGGREGATE
from graphql_schema.export import SDL_FILE, sdl
from graphql_schema.planner.builder import plan_of
from graphql_schema.planner.entities import BACK_REFERENCE, entities_by_name
from graphql_schema.planner.group_types import screaming
from graphql_schema.planner.plans import ColumnPlan, ItemsPlan, SealedPlan
from graphql_schema.schema import build_schema as build_hub_schema

BUILT_IN = {"Boolean", "Float", "ID", "Int", "String"}


@pytest.fixture(scope="module")
def served() -> GraphQLSchema:
    return build_hub_schema()._schema


def test_the_committed_sdl_is_the_schema() -> None:
    assert Path(SDL_FILE).read_text() == sdl(), "run `python -m graphql_schema.export`"


def test_the_sdl_is_valid() -> None:
    assert build_schema(sdl()).query_type is not None


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Everything that should have a description, with the one that it has."""
    for name, type_ in schema.type_map.items():
        if name.startswith("__") or name in BUILT_IN:
            continue
        yield name, type_.description
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{name}.{value}", definition.description) for value, definition in type_.values.items())
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", definition.description) for field, definition in type_.fields.items())
        if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)):
            for field, definition in type_.fields.items():
                yield f"{name}.{field}", definition.description
                yield from (
                    (f"{name}.{field}({argument})", given.description) for argument, given in definition.args.items()
                )


def test_everything_is_described(served: GraphQLSchema) -> None:
    missing = [name for name, description in described(served) if not (description or "").strip()]
    assert missing == []


def test_enum_values_are_the_stored_ones_in_upper_case(served: GraphQLSchema) -> None:
    for type_ in served.type_map.values():
        if isinstance(type_, GraphQLEnumType) and not type_.name.startswith("__"):
            of_fields = type_.name.endswith(("OrderField", "GroupField"))
            assert {name: value.value for name, value in type_.values.items()} == {
                screaming(value.value) if of_fields else value.value.upper(): value.value
                for value in type_.values.values()
            }
    roles = served.type_map["AgentRole"]
    assert isinstance(roles, GraphQLEnumType)
    assert set(roles.values) == {role.name for role in AgentRole}


def test_all_that_can_be_reached_from_query_is_planned(served: GraphQLSchema) -> None:
    query = served.query_type
    assert query is not None
    reached: set[str] = set()
    todo = [query, *served.get_possible_types(served.type_map["Node"])]  # type: ignore[arg-type]
    while todo:
        type_ = todo.pop()
        if type_.name in reached:
            continue
        reached.add(type_.name)
        for name, field in type_.fields.items():
            if name == "groups" and type_.name.endswith("Connection"):
                continue  # planned together with its connection, and all below it too
            plan_of(field)
            named = field.type
            while hasattr(named, "of_type"):
                named = named.of_type
            if isinstance(named, GraphQLObjectType):
                todo.append(named)
    assert {"AgentState", "Task", "TaskProgress", "TaskConnection", "PageInfo", "Viewer", "ApiToken"} <= reached


INTERNAL = {
    "agent_reports.agent_id",
    "agent_reports.observed",
    "attention.name",
    "attention_items.urgency",
    "api_tokens.token_hash",
    "decisions.sealed_key",
    "gate_reviewers.session",
    "tasks.answered_in_session",
    "workflow_executions.child_index",
    "workflow_executions.depth",
    "workflow_executions.fence",
    "workflow_executions.handled_seq",
    "workflow_executions.lease_owner",
    "workflow_executions.lease_until",
    "workflow_executions.parent_step",
    "workflow_executions.root_execution_id",
    "workflow_executions.wake_at",
    "workflow_executions.wake_seq",
    "workflow_templates.mermaid",
    "workflow_templates.spec",
    *(f"{entity.table.name}.event_xid" for entity in BY_AGGREGATE.values()),
}
"""Columns that nobody is shown as they are; `spec`, `mermaid` and `wake_at` are shown by expressions."""


def test_every_column_is_shown(served: GraphQLSchema) -> None:
    hidden: set[str] = set()
    for name, entity in entities_by_name(served.type_map).items():
        type_ = served.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        plans = [plan_of(field) for field in type_.fields.values()]
        shown = {str(plan.column) for plan in plans if isinstance(plan, (ColumnPlan, ItemsPlan, SealedPlan))}
        computed = {"resource_utilization", "performance_metrics"} & {field.name for field in _python_fields(type_)}
        tables = [entity.table, *[side.table for side in entity.sides]]
        columns = {str(column): column.name for table in tables for column in table.c}
        hidden |= {full for full, short in columns.items() if full not in shown and short not in computed}
    assert hidden == INTERNAL


def _python_fields(type_: GraphQLObjectType) -> list[StrawberryField]:
    return [field.extensions[BACK_REFERENCE] for field in type_.fields.values()]


def test_what_must_not_be_seen_is_not_in_the_schema(served: GraphQLSchema) -> None:
    fields = {
        field for type_ in served.type_map.values() if isinstance(type_, GraphQLObjectType) for field in type_.fields
    }
    assert fields.isdisjoint(
        {"leaseOwner", "leaseUntil", "fence", "wakeSeq", "handledSeq", "tokenHash", "sealedKey", "contextDataSealed",
         "reasoningProcessSealed", "observed"}
    )  # fmt: skip
