"""The queue in the execution's row: no wake-up is lost, no step is done twice, whoever and however many work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from app.domain.agents import AgentRole
from app.domain.errors import HubError
from app.engine import runner
from app.engine.run import Run
from db.embedded import EmbeddedServer
from db.failures import DRIVER_ERRORS
from db.queries import executions as queue
from db.session import Database
from db.tables.events import event_log
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_steps
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    Member,
    Team,
    count,
    errors_of,
    events_of,
    execution_of,
    path_of,
    play,
    rows_of,
    start,
    store_template,
    task_phase,
    tasks_of,
    until,
)

DEVELOPERS = tuple(Member(f"dev-{number}", AgentRole.DEVELOPER) for number in range(4))


async def claim(database: Database, owner: str, limit: int = 10, lease: float = 30.0) -> list[Any]:
    rows = await database.transact(lambda session: queue.claim(session, owner, lease, limit))
    return sorted((row.execution_id, row.fence, row.lease_owner) for row in rows)


async def wake(database: Database, execution_id: UUID) -> None:
    await database.transact(lambda session: queue.wake(session, execution_id))


async def release(database: Database, execution_id: UUID, fence: int, handled: int | None) -> bool:
    return await database.transact(lambda session: queue.release(session, execution_id, fence, handled))


async def test_a_claim_takes_the_oldest_that_nobody_has(engine_database: Database) -> None:
    database = engine_database
    first, second, third = [await start(database, "code-audit") for _ in range(3)]
    assert await claim(database, "a", 2) == [(first, 1, "a"), (second, 1, "a")]
    assert await claim(database, "b") == [(third, 1, "b")]
    assert await claim(database, "c") == []


async def test_an_expired_lease_is_claimed_with_a_new_fence(engine_database: Database) -> None:
    database = engine_database
    execution_id = await start(database, "code-audit")
    await claim(database, "a")
    past = update(workflow_executions).values(lease_until=func.now() - text("interval '1 second'"))
    await database.transact(lambda session: session.execute(past))
    assert await claim(database, "b") == [(execution_id, 2, "b")]
    assert not await release(database, execution_id, 1, 1)
    assert (await execution_of(database, execution_id)).lease_owner == "b"
    renewed = await database.transact(lambda session: queue.renew(session, {execution_id: 1}, 60.0))
    assert renewed == set()
    assert not await database.transact(lambda session: queue.hold_fence(session, execution_id, 1))
    assert await database.transact(lambda session: queue.hold_fence(session, execution_id, 2))


async def test_a_wake_while_running_makes_it_runnable_again(engine_database: Database) -> None:
    database = engine_database
    execution_id = await start(database, "code-audit")
    await claim(database, "a")
    await wake(database, execution_id)
    assert await claim(database, "b") == []
    assert await release(database, execution_id, 1, 1)
    assert await claim(database, "b") == [(execution_id, 2, "b")]
    assert await release(database, execution_id, 2, 2)
    assert await claim(database, "c") == []


async def test_a_release_without_handling_leaves_the_wake_to_the_next(engine_database: Database) -> None:
    database = engine_database
    execution_id = await start(database, "code-audit")
    await claim(database, "a")
    assert await release(database, execution_id, 1, None)
    assert await claim(database, "b") == [(execution_id, 2, "b")]


async def test_a_postponed_execution_comes_back_by_itself(engine_database: Database) -> None:
    database = engine_database
    execution_id = await start(database, "code-audit")
    await claim(database, "a")
    assert await database.transact(lambda session: queue.postpone(session, execution_id, 1, 0.2))
    assert await claim(database, "b") == []
    # whoever postponed it has given up the fence as well: a renewal under way must not prolong what it wanted short
    assert not await database.transact(lambda session: queue.hold_fence(session, execution_id, 1))
    await asyncio.sleep(0.25)
    assert await claim(database, "b") == [(execution_id, 3, "b")]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_an_execution_that_has_ended_is_neither_woken_nor_claimed(engine_database: Database, status: str) -> None:
    database = engine_database
    execution_id = await start(database, "code-audit")
    ended = update(workflow_executions).values(execution_status=status)
    await database.transact(lambda session: session.execute(ended))
    await wake(database, execution_id)
    row = await execution_of(database, execution_id)
    assert (row.wake_seq, await claim(database, "a")) == (1, [])


async def test_renewing_keeps_a_slow_run_alive(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = engine_database
    real_graph = Run._run_graph

    async def slow_graph(*arguments: Any) -> None:
        await asyncio.sleep(1.5)
        await real_graph(*arguments)

    monkeypatch.setattr(Run, "_run_graph", slow_graph)
    await store_template(database, "plain", task_phase("work"))
    await start_worker("first", lease_seconds=0.6)
    await start_worker("second", lease_seconds=0.6)
    execution_id = await start(database, "plain")
    await until(lambda: tasks_of(database, execution_id))
    assert (await execution_of(database, execution_id)).fence == 1


async def test_nothing_is_lost_without_polls(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 600.0)
    await run_many(engine_database, 12, lambda: start_worker("only", concurrency=4))


async def test_two_workers_do_each_step_once(engine_database: Database, start_worker: StartWorker) -> None:
    async def two() -> None:
        await start_worker("first", concurrency=4)
        await start_worker("second", concurrency=4)

    await run_many(engine_database, 16, two)


async def run_many(database: Database, number: int, start_workers: Callable[[], Awaitable[Any]]) -> None:
    """Run many executions of four phases, and look at every row and event that they left."""
    parallel = {"name": "wide", "kind": "parallel", "tasks": [{"name": f"t{i}", "title": "T"} for i in range(3)]}
    await store_template(database, "plain", task_phase("one"), parallel, task_phase("two"), task_phase("three"))
    team = Team(database, DEVELOPERS)
    await team.register()
    executions = [await start(database, "plain") for _ in range(number)]
    await start_workers()
    await asyncio.gather(*(play(team_of_one(database, member), executions[-1], seconds=60) for member in DEVELOPERS))
    for execution_id in executions:
        await play(team, execution_id)
        assert await path_of(database, execution_id) == [
            (step, phase, 1, "completed") for step, phase in enumerate(("one", "wide", "two", "three"), start=1)
        ]
        names = [task.task_name for task in await tasks_of(database, execution_id)]
        assert sorted(names) == ["one", "t0", "t1", "t2", "three", "two"]
        assert await events_of(database, execution_id) == [
            "started",
            "running",
            *["step_started", "step_completed"] * 4,
            "completed",
        ]
        assert await errors_of(database, execution_id) == []
    assert await count(database, workflow_steps) == 4 * number
    created = select(func.count()).where(event_log.c.aggregate == "task", event_log.c.event_type == "created")
    assert (await rows_of(database, created))[0][0] == 6 * number == await count(database, tasks)


def team_of_one(database: Database, member: Member) -> Team:
    return Team(database, (member,))


async def test_a_graceful_stop_hands_the_work_on(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    await store_template(database, "plain", *(task_phase(f"p{number}") for number in range(4)))
    team = Team(database, DEVELOPERS)
    await team.register()
    executions = [await start(database, "plain") for _ in range(8)]
    for number in range(6):
        worker = await start_worker(f"short-lived-{number}")
        await team.work()
        await worker.stop()
        assert worker.in_hand == 0
        held = select(func.count()).where(workflow_executions.c.lease_owner.is_not(None))
        assert (await rows_of(database, held))[0][0] == 0
    await start_worker("last")
    for execution_id in executions:
        assert (await play(team, execution_id)).execution_status == "completed"
        assert [step for step, *_ in await path_of(database, execution_id)] == [1, 2, 3, 4]
        assert len(await tasks_of(database, execution_id)) == 4
        assert await errors_of(database, execution_id) == []


async def test_executions_survive_a_restart_of_the_database(
    engine_database: Database, start_worker: StartWorker, postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = engine_database
    monkeypatch.setattr(runner, "RESTING_SECONDS", 0.2)
    await store_template(database, "plain", *(task_phase(f"p{number}") for number in range(3)))
    team = Team(database, DEVELOPERS)
    await team.register()
    executions = [await start(database, "plain") for _ in range(6)]
    await start_worker(lease_seconds=1.0)
    await until(lambda: tasks_of(database, executions[-1]))
    await asyncio.to_thread(postgres.restart)
    await until(lambda: answers(database))
    for execution_id in executions:
        assert (await play(team, execution_id)).execution_status == "completed"
        assert [step for step, *_ in await path_of(database, execution_id)] == [1, 2, 3]
        assert len(await tasks_of(database, execution_id)) == 3


async def answers(database: Database) -> bool:
    try:
        await count(database, tasks)
    except (HubError, *DRIVER_ERRORS):
        return False
    return True
