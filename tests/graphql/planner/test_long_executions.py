"""An execution of ten thousand steps: pages by the index whatever their place, of bounded size, in one statement."""

import json
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import Role
from db.queries.boundaries import Boundary, EndedStep, NextStep, write
from db.session import Database
from graphql_schema.schema import HubSchema
from tests.benchmarks.long_steps import PHASES, seed_steps
from tests.graphql.planner.conftest import Answer, Reader, principal

STEPS = 10_000
BY_NUMBER = "uq_workflow_steps_execution_id_step_number"
STEP = "stepNumber phase attempt stepStatus outcome startedAt completedAt durationMs"
PAGE = f"""query ($id: ID!, $first: Int, $after: Cursor, $last: Int) {{ workflow(executionId: $id) {{
    executionPath(first: $first, after: $after, last: $last) {{
        nodes {{ {STEP} }} pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }} }}"""
WHOLE = """query ($id: ID!) { workflow(executionId: $id) {
    phases { phase running completed failed skipped total firstStep lastStep durationMs lastCompletedAt firstStartedAt }
    executionPath(last: 1) { totalCount } } }"""
BYTES_MAX = 40_000
"""Of a page of 100 steps with all that they show."""


@pytest.fixture
async def long_one(database: Database) -> UUID:
    """An execution of ten thousand steps."""
    return await seed_steps(database, STEPS)


@pytest.fixture
def reader(schema: HubSchema, database: Database) -> Reader:
    """Whoever may read."""
    return Reader(schema, database, principal(Role.VIEWER))


async def scans(database: Database, answer: Answer) -> list[dict[str, Any]]:
    """How the one statement of an answer reads steps: the nodes of its plan that do, run as it was."""
    ((sql, arguments),) = answer.statements
    plan = await database.fetch_value(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", arguments)
    found: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        if node.get("Relation Name") == "workflow_steps" or node["Node Type"] == "Sort":
            found.append(node)
        for below in node.get("Plans", ()):
            walk(below)

    walk(json.loads(plan)[0]["Plan"])
    return found


async def test_every_page_is_read_by_the_index_whatever_its_place(
    database: Database, reader: Reader, long_one: UUID
) -> None:
    seen, cursor = [], None
    places: dict[str, dict[str, Any]] = {"first": {"first": 100}, "last": {"last": 100}}
    for page in range(STEPS // 100):
        answer = await reader.ask(PAGE, id=str(long_one), first=100, after=cursor)
        path = answer.data["workflow"]["executionPath"]
        seen += [node["stepNumber"] for node in path["nodes"]]
        cursor = path["pageInfo"]["endCursor"]
        if page == STEPS // 200:
            places["midst"] = {"first": 100, "after": cursor}
        assert path["pageInfo"]["hasNextPage"] == (page < STEPS // 100 - 1)
    assert seen == list(range(1, STEPS + 1))
    for name, place in places.items():
        answer = await reader.ask(PAGE, id=str(long_one), **place)
        assert answer.errors == []
        assert len(orjson.dumps(answer.data)) < BYTES_MAX, name
        read = await scans(database, answer)
        # a page that is read from its end is turned round
        assert all(node["Actual Rows"] <= 101 for node in read if node["Node Type"] == "Sort"), name
        of_steps = [node for node in read if node["Node Type"] != "Sort"]
        assert {node["Index Name"] for node in of_steps} == {BY_NUMBER}, name
        # besides the page one to know what follows, one that the window function looks ahead, one for what came before
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in of_steps) <= 103, name


async def test_the_whole_is_drawn_from_an_aggregate_of_its_phases(reader: Reader, long_one: UUID) -> None:
    data = await reader.data(WHOLE, id=str(long_one))
    numbers = {phase: range(1 + place, STEPS + 1, 3) for place, phase in enumerate(PHASES)}
    for phase in data["workflow"]["phases"]:
        assert phase.pop("firstStartedAt") < phase.pop("lastCompletedAt")
    assert data["workflow"]["phases"] == [
        {
            "phase": phase,
            "running": 0,
            "completed": len([number for number in of_phase if number % 100]),
            "failed": len([number for number in of_phase if number % 100 == 0]),
            "skipped": 0,
            "total": len(of_phase),
            "firstStep": of_phase[0],
            "lastStep": of_phase[-1],
            "durationMs": 3_000 * len(of_phase),
        }
        for phase, of_phase in numbers.items()
    ]
    assert data["workflow"]["executionPath"]["totalCount"] == STEPS
    assert len(orjson.dumps(data)) < 1_000


async def test_a_page_of_more_than_a_hundred_steps_is_refused(reader: Reader, long_one: UUID) -> None:
    answer = await reader.ask(PAGE, id=str(long_one), first=101)
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.statements == [] or answer.data["workflow"] is None


async def test_the_next_step_looks_at_a_few_of_the_earlier_ones(database: Database, long_one: UUID) -> None:
    async def looked_at(session: AsyncConnection) -> tuple[int, int]:
        seen = await session.execute(
            text(
                "SELECT seq_scan, seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables "
                "WHERE relname = 'workflow_steps'"
            )
        )
        scans_of_all, rows = seen.one()
        return scans_of_all, rows

    async def grow(session: AsyncConnection) -> tuple[int, int]:
        before = await looked_at(session)
        begun = Boundary(long_one, 1, "hub", begins=NextStep(STEPS + 1, "build"))
        assert await write(session, begun)
        ended = EndedStep(STEPS + 1, {"next_phase": "test"}, {"step_number": STEPS + 1})
        assert await write(session, Boundary(long_one, 1, "hub", ended=ended, begins=NextStep(STEPS + 2, "test")))
        after = await looked_at(session)
        return after[0] - before[0], after[1] - before[1]

    scans_of_all, rows = await database.transact(grow)
    assert scans_of_all == 0
    # the last two by number, the last of the phase, and each again for the trigger and the row that is ended
    assert 0 < rows < 20
