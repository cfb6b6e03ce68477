"""Windows of a connection: first, last, after and before, together and alone, and what is refused."""

import base64
from random import Random
from typing import Any

import orjson
import pytest

from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader

TASKS = "tasks(orderBy: [{field: STATUS}, {field: COMPLETED_AT, direction: DESC, nulls: FIRST}] %s)"
PARTS = "nodes { taskId } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
PAGE = TASKS % "first: $first, after: $after, last: $last, before: $before"
WINDOW = f"query ($first: Int, $after: Cursor, $last: Int, $before: Cursor) {{ page: {PAGE} {{ {PARTS} }} }}"


async def every(reader: Reader) -> tuple[list[str], list[str]]:
    """All keys in the order, and their cursors."""
    page = (await reader.data(WINDOW, first=100))["page"]
    return [node["taskId"] for node in page["nodes"]], [edge["cursor"] for edge in page["edges"]]


@pytest.mark.parametrize("seed", range(4))
async def test_any_window_is_a_slice_and_knows_what_lies_outside(admin: Reader, seed: int) -> None:
    random = Random(seed)  # noqa: S311
    keys, cursors = await every(admin)
    for _ in range(60):
        start, end = random.randint(-1, len(keys) - 1), random.randint(0, len(keys))
        size = random.choice((1, 2, 5, 20, 100))
        given: dict[str, Any] = {random.choice(("first", "last")): size}
        if start >= 0:
            given["after"] = cursors[start]
        if end < len(keys):
            given["before"] = cursors[end]
        within = list(range(start + 1, end))
        shown = within[:size] if "first" in given else within[-size:]
        page = (await admin.data(WINDOW, **given))["page"]
        assert [node["taskId"] for node in page["nodes"]] == [keys[at] for at in shown], given
        info = page["pageInfo"]
        if shown:
            assert (info["startCursor"], info["endCursor"]) == (cursors[shown[0]], cursors[shown[-1]])
            assert (info["hasPreviousPage"], info["hasNextPage"]) == (shown[0] > 0, shown[-1] < len(keys) - 1)
        else:
            assert (info["startCursor"], info["endCursor"]) == (None, None)
            assert (info["hasPreviousPage"], info["hasNextPage"]) == ("after" in given, "before" in given)


async def test_a_window_without_a_size_has_twenty_from_its_start(admin: Reader) -> None:
    keys, cursors = await every(admin)
    page = (await admin.data(WINDOW, after=cursors[3], before=cursors[40]))["page"]
    assert [node["taskId"] for node in page["nodes"]] == keys[4:24]
    page = (await admin.data(WINDOW, first=None, last=None, after=None, before=None))["page"]
    assert [node["taskId"] for node in page["nodes"]] == keys[:20]


@pytest.mark.parametrize("parts", ["nodes { taskId }", "edges { node { taskId } }", "pageInfo { hasNextPage }"])
async def test_one_part_alone_is_as_in_the_whole(admin: Reader, parts: str) -> None:
    _, cursors = await every(admin)
    for given in ({"first": 3}, {"last": 3}, {"first": 3, "before": cursors[2]}, {"last": 50, "after": cursors[7]}):
        whole = (await admin.data(WINDOW, **given))["page"]
        whole["edges"] = [{"node": node} for node in whole["nodes"]]
        part = (await admin.data(WINDOW.replace(PARTS, parts), **given))["page"]
        name = parts.split(maxsplit=1)[0]
        expected = whole[name] if name != "pageInfo" else {"hasNextPage": whole[name]["hasNextPage"]}
        assert part == {name: expected}


async def test_nested_connections_are_read_from_their_end_too(admin: Reader) -> None:
    query = """query ($n: Int, $c: Cursor) { agent(agentId: "james-dev") { tasks(last: $n, before: $c) {
        nodes { taskId } pageInfo { hasPreviousPage hasNextPage startCursor } } } }"""
    seen: list[str] = []
    cursor = None
    while True:
        page = (await admin.data(query, n=4, c=cursor))["agent"]["tasks"]
        seen = [node["taskId"] for node in page["nodes"]] + seen
        assert page["pageInfo"]["hasNextPage"] is (cursor is not None)
        cursor = page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break
    assert seen == [str(world.task(number)) for number in (47, *range(45, 0, -2))]


@pytest.mark.parametrize("given", ["first: 1, last: 1", "last: 100, first: 100"])
async def test_first_and_last_together_are_a_typed_error(admin: Reader, given: str) -> None:
    answer = await admin.ask(f"{{ tasks({given}) {{ totalCount }} viewer {{ name }} }}")
    assert answer.data == {"tasks": None, "viewer": {"name": "some admin"}}
    assert [(error["message"], error["extensions"]) for error in answer.errors] == [
        ("Ask for `first` or for `last`, not for both.", {"code": "INVALID_INPUT", "field": "tasks.last"})
    ]
    for nothing in ("first: 1, last: null", "first: null, last: 1"):
        assert (await admin.data(f"{{ tasks({nothing}) {{ totalCount }} }}"))["tasks"] == {"totalCount": 48}


def cursor_of(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


ORDERED = "Query.tasks status+,completedAt-0"
KEY = str(world.task(5))
FOREIGN = {
    "another connection": cursor_of("Query.workflows", str(world.execution(1))),
    "the connection's own order": cursor_of("Query.tasks", KEY),
    "another order": cursor_of("Query.tasks status+", "completed", KEY),
    "another direction": cursor_of("Query.tasks status+,completedAt+0", "completed", None, KEY),
    "nulls elsewhere": cursor_of("Query.tasks status+,completedAt-", "completed", None, KEY),
    "the terms the other way round": cursor_of("Query.tasks completedAt-0,status+", None, "completed", KEY),
    "no text": cursor_of(7, "completed", None, KEY),
}
MALFORMED = {
    "no JSON": "AAAA",
    "no base64": "%",
    "empty": "",
    "a value too few": cursor_of(ORDERED, "completed", KEY),
    "a value too many": cursor_of(ORDERED, "completed", None, KEY, KEY),
    "null where there is always a value": cursor_of(ORDERED, None, None, KEY),
    "no key": cursor_of(ORDERED, "completed", None, None),
    "a key that is none": cursor_of(ORDERED, "completed", None, "x"),
    "no time": cursor_of(ORDERED, "completed", "yesterday", KEY),
    "no zone": cursor_of(ORDERED, "completed", "2026-01-01T00:00:00", KEY),
    "a list": cursor_of(ORDERED, [], None, KEY),
    "NUL": cursor_of(ORDERED, "a\x00", None, KEY),
}


@pytest.mark.parametrize("argument", ["after", "before"])
@pytest.mark.parametrize("kind", [*FOREIGN, *MALFORMED])
async def test_wrong_cursors_are_typed_errors(admin: Reader, argument: str, kind: str) -> None:
    cursor = {**FOREIGN, **MALFORMED}[kind]
    message = (
        f"{argument} is a cursor of another connection or of another order; pass one that this connection gave in "
        "this order."
        if kind in FOREIGN
        else f"{argument} is no cursor; pass one that this connection gave."
    )
    field = TASKS % f"{argument}: $c"
    answer = await admin.ask(f"query ($c: Cursor) {{ page: {field} {{ nodes {{ taskId }} }} }}", c=cursor)
    assert answer.data == {"page": None}
    assert [(error["message"], error["path"], error["extensions"]) for error in answer.errors] == [
        (message, ["page"], {"code": "INVALID_INPUT", "field": f"page.{argument}"})
    ]
    ((sql, arguments),) = answer.statements
    assert "FROM tasks" not in sql
    assert arguments == []


async def test_a_place_may_be_gone(admin: Reader) -> None:
    keys, cursors = await every(admin)
    gone = cursor_of(ORDERED, "completed", None, str(world.task(999)))
    # descending with nulls first: before all that completed, and behind the rest of its status by key
    at = (await admin.data(WINDOW, first=1, after=gone))["page"]["nodes"][0]["taskId"]
    completed = "2026-03-01T12:00:45.123456+00:00"
    assert cursors[keys.index(at)] == cursor_of_row(ORDERED, "completed", completed, at)


def cursor_of_row(*parts: Any) -> str:
    """As PostgreSQL writes it, with a space after each comma."""
    text = ", ".join(orjson.dumps(part).decode() for part in parts)
    return base64.urlsafe_b64encode(f"[{text}]".encode()).decode().rstrip("=")
