"""What connections refuse, at the root and nested, in the document and in variables: with a code, and where it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.test_windows import cursor_of

TASK = str(world.task(5))
BOTH = "Ask for `first` or for `last`, not for both."
SIZE = "{} must be from 1 to 100."
NO_CURSOR = "{} is no cursor; pass one that this connection gave."
FOREIGN = "{} is a cursor of another connection or of another order; pass one that this connection gave in this order."


@dataclass(frozen=True)
class Place:
    """Where a connection stands: the document around it, what its cursors name it, and the path to it."""

    around: str
    connection: str
    root: str
    path: str
    data: Any


PLACES = {
    "root": Place("{ %s { totalCount } }", "Query.tasks", "tasks", "tasks", {"tasks": None}),
    "nested": Place(
        "{ a: agents { nodes { b: %s { totalCount } } } }", "AgentState.tasks", "a", "a.nodes.b", {"a": None}
    ),
    "nested twice": Place(
        "{ w: workflows { edges { node { agents { nodes { %s { nodes { id } } } } } } } }",
        "AgentState.tasks",
        "w",
        "w.edges.node.agents.nodes.tasks",
        {"w": None},
    ),
    "below one": Place(
        '{ agent(agentId: "james-dev") { %s { edges { cursor } } } }',
        "AgentState.tasks",
        "agent",
        "agent.tasks",
        {"agent": None},
    ),
}
OTHER = {"Query.tasks": "AgentState.tasks", "AgentState.tasks": "Query.tasks"}


def refused(place: Place) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Arguments that a plan refuses, with the argument at fault and the message."""
    for size in ("first", "last"):
        for wrong in (0, -1, 101, 2**31 - 1, -(2**31)):
            yield {size: wrong}, size, SIZE.format(size)
    yield {"first": 1, "last": 1}, "last", BOTH
    for edge in ("after", "before"):
        for text in ("", "x", "AAAA", cursor_of(place.connection), cursor_of(place.connection, "x")):
            yield {edge: text}, edge, NO_CURSOR.format(edge)
        for foreign in (cursor_of(OTHER[place.connection], TASK), cursor_of(f"{place.connection} title+", "x", TASK)):
            yield {edge: foreign}, edge, FOREIGN.format(edge)
        own = cursor_of(place.connection, TASK)
        yield {edge: own, "orderBy": [{"field": "TITLE"}]}, edge, FOREIGN.format(edge)
    yield {"orderBy": [{"field": "TITLE"}, {"field": "TITLE"}]}, "orderBy", "orderBy names title more than once."
    yield {"filter": {"taskId": {"eq": "x"}}}, "filter.taskId.eq", "filter.taskId.eq must be a UUID."


TYPES = {
    "first": "Int",
    "last": "Int",
    "after": "Cursor",
    "before": "Cursor",
    "orderBy": "[TaskOrder!]",
    "filter": "TaskFilter",
}


def asked(place: Place, arguments: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The document with its variables: everything in the document, and everything in variables."""
    yield place.around % f"tasks({', '.join(f'{name}: {_written(value)}' for name, value in arguments.items())})", {}
    declared = ", ".join(f"${name}: {TYPES[name]}" for name in arguments)
    field = f"tasks({', '.join(f'{name}: ${name}' for name in arguments)})"
    yield f"query ({declared}) {place.around % field}", arguments


def _written(value: Any, is_enum: bool = False) -> str:
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{key}: {_written(each, key in ('field', 'status'))}" for key, each in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return str(value) if is_enum or isinstance(value, int) else f'"{value}"'


@pytest.mark.parametrize("name", PLACES)
async def test_wrong_arguments_are_typed_errors(admin: Reader, plain: Reader, name: str) -> None:
    place = PLACES[name]
    for arguments, argument, message in refused(place):
        for query, variables in asked(place, arguments):
            answer = await admin.ask(query, **variables)
            assert answer.data == place.data, (query, variables)
            assert [(error["message"], error["path"], error["extensions"]) for error in answer.errors] == [
                (message, [place.root], {"code": "INVALID_INPUT", "field": f"{place.path}.{argument}"})
            ]
            assert [("FROM tasks" in sql, given) for sql, given in answer.statements] == [(False, [])]
            executed = await plain.ask(query, **variables)
            assert (executed.data, executed.errors) == (answer.data, answer.errors)


OF_WRONG_TYPE: list[tuple[dict[str, Any], str]] = [
    ({"orderBy": [{"field": "NOPE"}]}, "Value 'NOPE' does not exist in 'TaskOrderField' enum."),
    ({"orderBy": [{"field": "DEPENDENCIES"}]}, "Value 'DEPENDENCIES' does not exist in 'TaskOrderField' enum."),
    ({"filter": {"title": {"eq": 7}}}, "String cannot represent a non string value: 7"),
    ({"filter": {"attempts": {"gt": "7"}}}, "Int cannot represent non-integer value: "),
    ({"filter": {"nope": {"eq": "x"}}}, "Expected value of type 'TaskFilter' not to include unknown field 'nope'"),
    ({"first": "1"}, "Int cannot represent non-integer value: "),
    ({"after": 7}, "Cursor"),
]


@pytest.mark.parametrize("name", PLACES)
async def test_arguments_of_the_wrong_type_are_refused_before_anything_is_read(
    admin: Reader, plain: Reader, name: str
) -> None:
    for arguments, message in OF_WRONG_TYPE:
        for query, variables in asked(PLACES[name], arguments):
            answer = await admin.ask(query, **variables)
            assert (answer.data, answer.statements) == (None, []), query
            (error,) = answer.errors
            assert message in error["message"]
            assert error["extensions"] == {"code": "INVALID_INPUT"}
            # the argument: by its variable, or by its place in the document
            (variable,) = [f"${name}" for name in arguments] if variables else [None]
            assert variable is None or f"Variable '{variable}' has invalid value" in error["message"]
            assert error["locations"]
            assert (await plain.ask(query, **variables)).errors == answer.errors
