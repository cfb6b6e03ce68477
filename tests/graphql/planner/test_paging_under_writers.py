"""Pages through 20,000 workflows while another process writes: no row twice, none that stood throughout missed."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.principals import Role
from db.session import Database
from graphql_schema.schema import HubSchema
from tests.graphql.planner.conftest import Reader, principal
from tests.graphql.planner.writer import FLEETING, MOVING, ROWS, TENTH, id_of

TEMPLATE = """
INSERT INTO workflow_templates (template_name, template_version, description, spec) VALUES ('plain', 1, 'd', '{}')
"""
# a seventh never ended, and all others ended at one of fifty times
FILL = """
INSERT INTO workflow_executions (execution_id, workflow_name, template_version, trigger_type, triggered_by,
        completed_at, last_activity)
    SELECT (lpad(to_hex(n * 1000), 8, '0') || '-0000-7000-8000-000000000000')::uuid, 'plain', 1, 'manual', 'a',
        CASE WHEN n % 7 > 0 THEN timestamptz '2026-01-01' + make_interval(mins => n % 50) END,
        timestamptz '2026-01-01' + make_interval(mins => n % 33)
    FROM generate_series(1, :many) n
"""
PAGE = """query ($o: [WorkflowExecutionOrder!], $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    workflows(orderBy: $o, first: $first, after: $after, last: $last, before: $before) {
        nodes { executionId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
WALKS: dict[str, tuple[list[dict[str, str]], bool]] = {
    "newest first": ([], True),
    "oldest first, from the end": ([{"field": "EXECUTION_ID"}], False),
    "ended last first, nulls before": ([{"field": "COMPLETED_AT", "direction": "DESC", "nulls": "FIRST"}], True),
    "ended first first, from the end": ([{"field": "COMPLETED_AT", "nulls": "LAST"}], False),
    "by two times, in two directions": (
        [{"field": "LAST_ACTIVITY"}, {"field": "COMPLETED_AT", "direction": "DESC"}],
        True,
    ),
}
PATIENCE = 20.0
"""Seconds that the other process may take until its next transaction, and to end."""


@pytest.fixture
async def filled(database: Database) -> Database:
    async def fill(session: Any) -> None:
        await session.execute(text(TEMPLATE.replace(":", "\\:")))
        await session.execute(text(FILL.replace("::", "\\:\\:")), {"many": ROWS})

    await database.transact(fill)
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql("VACUUM ANALYZE workflow_executions")
    return database


@asynccontextmanager
async def a_writer(url: str) -> AsyncIterator[asyncio.StreamReader]:
    """Another process that writes within the block; a dot comes from it after each transaction."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.graphql.planner.writer", url, "4", stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    try:
        yield process.stdout
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("name", WALKS)
async def test_no_row_is_seen_twice_and_none_is_missed(
    filled: Database, database_url: str, schema: HubSchema, name: str
) -> None:
    order, forward = WALKS[name]
    async with a_writer(database_url) as dots:
        seen = await _walk(Reader(schema, filled, principal(Role.VIEWER)), order, forward, dots)
    numbers = {str(id_of(number)): number for number in range(1, ROWS + 1)}
    never_move = all(term["field"] == "EXECUTION_ID" for term in order)
    moving = {key for key, number in numbers.items() if number % TENTH == MOVING and not never_move}
    fleeting = {key for key, number in numbers.items() if number % TENTH == FLEETING}
    standing = numbers.keys() - moving - fleeting
    assert {key: seen[key] for key in standing if seen[key] != 1} == {}
    # one that moves may be met again where it went to; one that is new, or goes, is met once at most
    assert {key for key, times in seen.items() if times > 1} <= moving
    # what was written is seen: of the new rows some, of the deleted ones some no more
    assert seen.keys() - numbers.keys()
    assert fleeting - seen.keys()


async def _walk(reader: Reader, order: list[dict[str, str]], forward: bool, dots: asyncio.StreamReader) -> Counter[str]:
    """How often each row is seen from one end of the order to the other; before each page there is a transaction."""
    seen: Counter[str] = Counter()
    given: dict[str, Any] = {"first": 100} if forward else {"last": 100}
    more, end, edge = ("hasNextPage", "endCursor", "after") if forward else ("hasPreviousPage", "startCursor", "before")
    while True:
        assert await asyncio.wait_for(dots.read(ROWS), PATIENCE)
        page = (await reader.data(PAGE, o=order, **given))["workflows"]
        seen.update(node["executionId"] for node in page["nodes"])
        if not page["pageInfo"][more]:
            return seen
        given[edge] = page["pageInfo"][end]
