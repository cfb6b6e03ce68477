"""Paging: every row once and in order, whatever the size of the pages; cursors that are refused."""

import base64
from typing import Any

import orjson
import pytest
from sqlalchemy import insert

from app.domain.principals import Role
from db.session import Database
from db.tables.tasks import tasks
from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader, principal

PAGE = """query ($n: Int, $c: Cursor) { page: %s(first: $n, after: $c) {
    nodes { %s } edges { cursor } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


async def all_pages(reader: Reader, field: str, key: str, size: int) -> list[list[str]]:
    """The keys of each page, following endCursor until there is no next page."""
    pages: list[list[str]] = []
    cursor = None
    while True:
        page = (await reader.data(PAGE % (field, key), n=size, c=cursor))["page"]
        info = page["pageInfo"]
        assert info["hasPreviousPage"] is bool(pages)
        assert [info["startCursor"], info["endCursor"]] == [page["edges"][0]["cursor"], page["edges"][-1]["cursor"]]
        pages.append([node[key] for node in page["nodes"]])
        if not info["hasNextPage"]:
            return pages
        cursor = info["endCursor"]


@pytest.mark.parametrize("size", [1, 7, 16, 48, 100])
async def test_all_pages_hold_every_row_once_newest_first(admin: Reader, size: int) -> None:
    pages = await all_pages(admin, "tasks", "taskId", size)
    assert [key for page in pages for key in page] == [str(world.task(number)) for number in range(48, 0, -1)]
    assert all(len(page) == size for page in pages[:-1])


async def test_equal_names_and_times_are_told_apart(admin: Reader) -> None:
    names = await all_pages(admin, "agents", "agentId", 1)
    assert names == [["james-dev"], ["john-pm"], ["quinn-qa"], ["quinn-ux"]]
    metrics = await all_pages(admin, "resourceMetrics", "memoryUsage", 1)
    assert metrics == [["100"], ["300"], ["200"], ["500"], ["400"], ["600"]]


async def test_a_page_is_twenty_rows_unless_it_is_said(admin: Reader) -> None:
    page = (await admin.data("{ tasks { nodes { taskId } pageInfo { hasNextPage } totalCount } }"))["tasks"]
    assert len(page["nodes"]) == 20
    assert page["pageInfo"] == {"hasNextPage": True}
    assert page["totalCount"] == 48


async def test_nested_connections_have_pages_of_their_own(admin: Reader) -> None:
    query = """query ($id: ID!, $c: Cursor) { agent(agentId: $id) {
        tasks(first: 9, after: $c) { nodes { title } pageInfo { hasNextPage endCursor } } } }"""
    seen: list[str] = []
    cursor = None
    while True:
        page = (await admin.data(query, id="james-dev", c=cursor))["agent"]["tasks"]
        seen += [node["title"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
    odd = [f"Task {number}" for number in (47, *range(45, 0, -2))]
    assert seen == ["Task 47", *odd[1:]]


async def test_rows_that_arrive_between_pages_move_nothing(database: Database, schema: HubSchema) -> None:
    def row(number: int) -> dict[str, Any]:
        return {"task_id": world.task(number), "title": f"Task {number}"}

    async def add(*numbers: int) -> None:
        await database.transact(lambda session: session.execute(insert(tasks), [row(number) for number in numbers]))

    await add(*range(10, 30, 2))
    reader = Reader(schema, database, principal(Role.VIEWER))
    first = (await reader.data(PAGE % ("tasks", "title"), n=5))["page"]
    # one newer than all, one among those already seen, one among those to come
    await add(99, 25, 13)
    second = (await reader.data(PAGE % ("tasks", "title"), n=9, c=first["pageInfo"]["endCursor"]))["page"]
    assert [node["title"] for node in first["nodes"]] == [f"Task {number}" for number in (28, 26, 24, 22, 20)]
    assert [node["title"] for node in second["nodes"]] == [f"Task {number}" for number in (18, 16, 14, 13, 12, 10)]
    assert second["pageInfo"]["hasNextPage"] is False


def cursor_of(*parts: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


TASK = str(world.task(5))
WRONG_CURSORS = {
    "nonsense": "nonsense!",
    "empty": "",
    "base64 of nothing": "AAAA",
    "another kind of JSON": base64.urlsafe_b64encode(b'{"a":1}').decode(),
    "an empty list": base64.urlsafe_b64encode(b"[]").decode(),
    "too few parts": cursor_of("Query.tasks"),
    "too many parts": cursor_of("Query.tasks", TASK, TASK),
    "no UUID": cursor_of("Query.tasks", "x"),
    "null": cursor_of("Query.tasks", None),
    "a number": cursor_of("Query.tasks", 7),
    "NUL": "a\x00b",
    "a lone surrogate": "\ud800",
    "very long": "A" * 100_000,
}


@pytest.mark.parametrize("name", WRONG_CURSORS)
async def test_a_wrong_cursor_is_refused_before_sql(admin: Reader, name: str) -> None:
    answer = await admin.ask("query ($c: Cursor) { tasks(after: $c) { totalCount } }", c=WRONG_CURSORS[name])
    assert answer.data == {"tasks": None}
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.errors[0]["extensions"]["field"] == "tasks.after"
    ((sql, arguments),) = answer.statements
    assert "FROM tasks" not in sql
    assert arguments == []


WRONG_TIMES = ["2026-01-01T00:00:00", "yesterday", "0001-01-01T00:00:00+14:00", 5, None]


@pytest.mark.parametrize("time", WRONG_TIMES)
async def test_a_wrong_time_in_a_cursor_is_refused(admin: Reader, time: Any) -> None:
    cursor = cursor_of("Query.resourceMetrics", time, str(world.uid(world.METRIC, 1)))
    answer = await admin.ask("query ($c: Cursor) { resourceMetrics(after: $c) { totalCount } }", c=cursor)
    assert answer.codes == ["INVALID_INPUT"]


@pytest.mark.parametrize("number", [2**31, 2**80, 1.5, True, "x"])
async def test_a_wrong_number_in_a_cursor_is_refused(admin: Reader, number: Any) -> None:
    cursor = base64.urlsafe_b64encode(str(["WorkflowExecution.executionPath", number]).replace("'", '"').encode())
    query = "query ($id: ID!, $c: Cursor) { workflow(executionId: $id) { executionPath(after: $c) { totalCount } } }"
    answer = await admin.ask(query, id=str(world.execution(1)), c=cursor.decode().rstrip("="))
    assert answer.codes == ["INVALID_INPUT"]


async def test_a_cursor_of_another_connection_is_refused(admin: Reader) -> None:
    page = (await admin.data(PAGE % ("tasks", "taskId"), n=1))["page"]
    cursor = page["pageInfo"]["endCursor"]
    answer = await admin.ask(f'{{ agent(agentId: "james-dev") {{ tasks(after: "{cursor}") {{ totalCount }} }} }}')
    assert answer.data == {"agent": None}
    assert answer.errors == [
        {
            "message": "after is a cursor of another connection or of another order; pass one that this connection "
            "gave in this order.",
            "locations": [{"line": 1, "column": 3}],
            "path": ["agent"],
            "extensions": {"code": "INVALID_INPUT", "field": "agent.tasks.after"},
        }
    ]
