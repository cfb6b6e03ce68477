"""Watching an execution of ten thousand steps: what an event costs does not depend on how many steps there are."""

from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from db.queries.boundaries import Boundary, EndedStep, NextStep, write
from db.session import Database
from tests.benchmarks.long_steps import PHASES, seed_steps
from tests.streams.conftest import Live
from tests.streams.listening import listen

STEPS = 10_000
VIEWERS = 20
TOLD_ALONE = """subscription ($id: ID!) { workflowProgress(executionId: $id) {
    eventType stepNumber phase attempt version } }"""
WITH_THE_LATEST = """subscription ($id: ID!) { workflowProgress(executionId: $id, minInterval: 500) {
    eventType stepNumber execution {
        currentPhase phases { phase total running completed failed }
        executionPath(last: 5) { nodes { stepNumber phase stepStatus } } } } }"""


async def grow(database: Database, execution_id: UUID, number: int) -> None:
    """Another step, and the end of the one before it."""

    async def step(session: AsyncConnection) -> None:
        before = number - 1
        ended = EndedStep(before, {}, {"step_number": before, "phase": PHASES[(before - 1) % 3], "attempt": 1})
        begins = NextStep(number, PHASES[(number - 1) % 3])
        is_first = before == STEPS
        assert await write(session, Boundary(execution_id, 1, "hub", ended=None if is_first else ended, begins=begins))

    await database.transact(step)


async def test_events_tell_their_step_without_a_statement(live: Live) -> None:
    execution_id = await seed_steps(live.database, STEPS)
    listeners = [await listen(live.streams, TOLD_ALONE, id=str(execution_id)) for _ in range(VIEWERS)]
    live.statements.clear()
    for number in (STEPS + 1, STEPS + 2):
        await grow(live.database, execution_id, number)
    told: list[list[dict[str, Any]]] = [await listener.take(3) for listener in listeners]
    assert told == [told[0]] * VIEWERS
    assert [(each["eventType"], each["stepNumber"], each["phase"], each["attempt"]) for each in told[0]] == [
        ("step_started", STEPS + 1, "test", 3_334),
        ("step_completed", STEPS + 1, "test", 1),
        ("step_started", STEPS + 2, "review", 3_334),
    ]
    assert live.statements == []


async def test_a_watched_execution_is_read_once_an_interval_whoever_watches(live: Live) -> None:
    execution_id = await seed_steps(live.database, STEPS)
    listeners = [await listen(live.streams, WITH_THE_LATEST, id=str(execution_id)) for _ in range(VIEWERS)]
    await grow(live.database, execution_id, STEPS + 1)
    for listener in listeners:
        assert [each["stepNumber"] for each in await listener.take(1)] == [STEPS + 1]
    live.statements.clear()
    for number in range(STEPS + 2, STEPS + 12):
        await grow(live.database, execution_id, number)
    told: list[dict[str, Any]] = []
    while not told or told[-1]["stepNumber"] != STEPS + 11:
        told += await listeners[0].take(1)
    for listener in listeners[1:]:
        assert await listener.take(len(told)) == told
    # 21 events of ten steps, and no more statements than payloads, whoever they are for
    assert len(live.statements) == len(told) < 10
    shown = told[-1]["execution"]
    assert [node["stepNumber"] for node in shown["executionPath"]["nodes"]] == list(range(STEPS + 7, STEPS + 12))
    assert sum(phase["total"] for phase in shown["phases"]) == STEPS + 11
    assert max(len(orjson.dumps(each)) for each in told) < 1_000
