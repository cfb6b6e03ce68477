"""Pages through 20,000 workflows while another connection writes: no row twice, none that stood throughout missed."""

import asyncio
from collections import Counter
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.domain.principals import Role
from db.session import Database
from graphql_schema.schema import HubSchema
from tests.graphql.planner.conftest import Reader, principal

ROWS = 20_000
MAKE_ID = """
CREATE FUNCTION id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex(n * 1000), 8, '0') || '-0000-7000-8000-000000000000')::uuid $$
"""
TEMPLATE = """
INSERT INTO workflow_templates (template_name, template_version, description, spec) VALUES ('plain', 1, 'd', '{}')
"""
# a seventh never ended, and all others ended at one of fifty times
FILL = f"""
INSERT INTO workflow_executions (execution_id, workflow_name, template_version, trigger_type, triggered_by,
        completed_at, last_activity)
    SELECT id(n), 'plain', 1, 'manual', 'a',
        CASE WHEN n % 7 > 0 THEN timestamptz '2026-01-01' + make_interval(mins => n % 50) END,
        timestamptz '2026-01-01' + make_interval(mins => n % 33)
    FROM generate_series(1, {ROWS}) n
"""
INSERT = """
INSERT INTO workflow_executions (execution_id, workflow_name, template_version, trigger_type, triggered_by,
        completed_at, last_activity)
    VALUES (:id, 'plain', 1, 'manual', 'new', timestamptz '2026-01-01' + make_interval(mins => :minutes), now())
"""
CHANGE = "UPDATE workflow_executions SET current_phase = 'p', version = version + 1 WHERE execution_id = id(:n)"
MOVE = """
UPDATE workflow_executions SET completed_at = timestamptz '2026-01-01' + make_interval(mins => :minutes),
        last_activity = timestamptz '2026-01-01' + make_interval(mins => :minutes), version = version + 1
    WHERE execution_id = id(:n)
"""
MOVING = 10
"""Each tenth row may get other times."""
PAGE = """query ($o: [WorkflowExecutionOrder!], $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    workflows(orderBy: $o, first: $first, after: $after, last: $last, before: $before) {
        nodes { executionId triggeredBy } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
WALKS: dict[str, tuple[list[dict[str, str]], bool]] = {
    "newest first": ([], True),
    "oldest first, from the end": ([{"field": "EXECUTION_ID"}], False),
    "ended last first": ([{"field": "COMPLETED_AT", "direction": "DESC", "nulls": "FIRST"}], True),
    "ended first first, from the end": ([{"field": "COMPLETED_AT", "nulls": "LAST"}], False),
    "by two times": ([{"field": "LAST_ACTIVITY"}, {"field": "COMPLETED_AT", "direction": "DESC"}], True),
}


class Writer:
    """Inserts rows anywhere, changes what no order compares, and moves rows, a few in each transaction."""

    def __init__(self, database: Database) -> None:
        self.transactions = 0
        self._database = database
        self._random = Random(4)  # noqa: S311
        self._ended = False

    async def run(self) -> None:
        while not self._ended:
            await self._database.transact(self._write)
            self.transactions += 1

    def end(self) -> None:
        self._ended = True

    async def _write(self, session: Any) -> None:
        some = self._random
        new = [{"id": UUID(int=some.getrandbits(90) << 32), "minutes": some.randrange(60)} for _ in range(3)]
        await session.execute(text(INSERT), new)
        await session.execute(text(CHANGE), [{"n": some.randint(1, ROWS)} for _ in range(5)])
        moved = sorted(some.sample(range(MOVING, ROWS + 1, MOVING), 5))
        await session.execute(text(MOVE), [{"n": n, "minutes": some.randrange(60)} for n in moved])


@pytest.fixture
async def filled(database: Database) -> Database:
    async def fill(session: Any) -> None:
        for statement in (MAKE_ID, TEMPLATE, FILL):
            await session.execute(text(statement))

    await database.transact(fill)
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql("VACUUM ANALYZE workflow_executions")
    return database


@pytest.mark.slow
@pytest.mark.parametrize("name", WALKS)
async def test_no_row_is_seen_twice_and_none_is_missed(filled: Database, schema: HubSchema, name: str) -> None:
    order, forward = WALKS[name]
    reader = Reader(schema, filled, principal(Role.VIEWER))
    writer = Writer(filled)
    writing = asyncio.create_task(writer.run())
    try:
        seen = await _walk(reader, order, forward)
    finally:
        writer.end()
        await writing
    assert writer.transactions > 20
    never_moves = all(term["field"] == "EXECUTION_ID" for term in order)
    standing = {str(_id(n)) for n in range(1, ROWS + 1) if never_moves or n % MOVING}
    assert {key for key in standing if seen[key] != 1} == set()
    moving = {str(_id(n)) for n in range(MOVING, ROWS + 1, MOVING)} - standing
    # one that moves may be met again where it went, and one that is new is met once at most
    assert {key for key, times in seen.items() if times > 1} <= moving
    assert len(seen) > ROWS


async def _walk(reader: Reader, order: list[dict[str, str]], forward: bool) -> Counter[str]:
    """How often each row is seen from one end of the order to the other."""
    seen: Counter[str] = Counter()
    given: dict[str, Any] = {"first": 100} if forward else {"last": 100}
    more, end, edge = (
        ("hasNextPage", "endCursor", "after") if forward else ("hasPreviousPage", "startCursor", "before")
    )
    while True:
        page = (await reader.data(PAGE, o=order, **given))["workflows"]
        seen.update(node["executionId"] for node in page["nodes"])
        if not page["pageInfo"][more]:
            return seen
        given[edge] = page["pageInfo"][end]


def _id(n: int) -> UUID:
    return UUID(f"{n * 1000:08x}-0000-7000-8000-000000000000")
