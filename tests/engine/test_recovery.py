"""Workers that are killed or frozen, as real processes by real signals: nothing is lost, and nothing happens twice."""

import asyncio
import os
import random
import signal
from uuid import UUID

import psutil
import pytest

from app.domain.quality_gates import ApprovalStatus
from db.session import Database
from tests.engine.processes import Workers, everything, go_on, has_state, state_of
from tests.engine.team import (
    AUDITORS,
    HEALTHY,
    Team,
    constant,
    errors_of,
    events_of,
    execution_of,
    gates_of,
    human_verdict,
    path_of,
    start,
    tasks_of,
    until,
)

PHASES = ["decide", "audits", "review", "report", "final-approval"]
TASKS = ["decide", "lint", "report", "size", "types", "verdict"]


def auditors(database: Database) -> Team:
    return Team(database, AUDITORS, {name: constant(result) for name, result in HEALTHY.items()}, constant({}))


async def act(team: Team, executions: list[UUID]) -> bool:
    """Let agents and the person do what they are asked for; whether all executions have ended."""
    await team.work()
    for execution_id in executions:
        gates = await gates_of(team.database, execution_id, "final-approval")
        if gates and gates[-1].approval_status == "in_review":
            await human_verdict(team.database, execution_id, "final-approval", ApprovalStatus.APPROVED)
    rows = [await execution_of(team.database, execution_id) for execution_id in executions]
    return all(row.execution_status not in ("pending", "running") for row in rows)


async def assert_done_once(database: Database, execution_id: UUID) -> None:
    """The execution is completed, each step and task was made once, each event was written once."""
    assert (await execution_of(database, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (number, phase, 1, "completed") for number, phase in enumerate(PHASES, start=1)
    ]
    tasks = await tasks_of(database, execution_id)
    assert sorted(task.task_name for task in tasks) == TASKS
    for task in tasks:
        assert await events_of(database, task.task_id) == ["created", "claimed", "started", "completed"]
    for phase in ("review", "final-approval"):
        (gate,) = await gates_of(database, execution_id, phase)
        assert await events_of(database, gate.gate_id) == ["created", "opened", "approved"]
    assert await events_of(database, execution_id) == [
        "started",
        "running",
        *["step_started", "step_completed"] * len(PHASES),
        "completed",
    ]
    assert await errors_of(database, execution_id) == []


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
async def test_killed_at_one_visit_after_the_other(engine_database: Database, workers: Workers, moment: str) -> None:
    """Each worker lives one visit longer than the one before it, so that the deaths fall on all kinds of visits."""
    database = engine_database
    team = auditors(database)
    await team.register()
    execution_id = await start(database, "code-audit")
    for visit in range(1, 15):
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(lambda: dead_or_done(pid, team, execution_id))  # noqa: B023
        if state_of(pid) is not None:
            break
    else:
        workers.start("last")
    await until(lambda: act(team, [execution_id]), 30)
    await assert_done_once(database, execution_id)


async def dead_or_done(pid: int, team: Team, execution_id: UUID) -> bool:
    return state_of(pid) is None or await act(team, [execution_id])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_at_random_points_with_many_executions(
    engine_database: Database, workers: Workers, seed: int
) -> None:
    database = engine_database
    chance = random.Random(seed)  # noqa: S311
    team = auditors(database)
    await team.register()
    executions = [await start(database, "code-audit") for _ in range(4)]
    for number in range(16):
        moment = chance.choice(["before", "inside", "after"])
        pid = workers.start(f"mortal-{number}", signal.SIGKILL, chance.randint(1, 40), moment)
        deadline = asyncio.get_running_loop().time() + chance.uniform(0.3, 2.0)
        while state_of(pid) is not None and asyncio.get_running_loop().time() < deadline:
            await act(team, executions)
        if state_of(pid) is not None:
            os.kill(pid, signal.SIGKILL)
    workers.start("last")
    await until(lambda: act(team, executions), 60)
    for execution_id in executions:
        await assert_done_once(database, execution_id)


# the visits of a worker: 1 template, 2 the execution starts with its first phase, 3 that is judged, 4 the second begins
FREEZES = [
    *[(1, "after"), (2, "before"), (2, "fence"), (2, "after")],
    *[(3, "before"), (3, "fence"), (3, "after"), (4, "before"), (4, "fence"), (4, "after")],
]


@pytest.mark.parametrize(("visit", "moment"), FREEZES)
async def test_a_frozen_worker_that_wakes_up_too_late_adds_nothing(
    engine_database: Database, workers: Workers, visit: int, moment: str
) -> None:
    """A is stopped before one of its writes until its lease has expired and B has finished; then A goes on."""
    database = engine_database
    team = auditors(database)
    await team.register()
    execution_id = await start(database, "code-audit")
    first = workers.start("a", signal.SIGSTOP, visit, moment)
    await until(lambda: frozen_or_asked(first, team))
    assert state_of(first) == psutil.STATUS_STOPPED
    await finish_with_another(database, workers, team, execution_id)
    before = await everything(database)
    await go_on(first)
    assert await everything(database) == before
    await assert_done_once(database, execution_id)


@pytest.mark.slow
@pytest.mark.parametrize("visit", [2, 3, 4])
async def test_a_worker_frozen_inside_of_a_transaction_holds_up_nobody_for_long(
    engine_database: Database, workers: Workers, visit: int
) -> None:
    """PostgreSQL ends the transaction after ten idle seconds; the other worker goes on, and A adds nothing."""
    database = engine_database
    team = auditors(database)
    await team.register()
    execution_id = await start(database, "code-audit")
    first = workers.start("a", signal.SIGSTOP, visit, "inside")
    await until(lambda: frozen_or_asked(first, team))
    assert state_of(first) == psutil.STATUS_STOPPED
    await finish_with_another(database, workers, team, execution_id)
    before = await everything(database)
    await go_on(first)
    assert await everything(database) == before
    await assert_done_once(database, execution_id)


async def frozen_or_asked(pid: int, team: Team) -> bool:
    """Whether the worker has stopped itself; the team answers until it does."""
    await team.work()
    return state_of(pid) == psutil.STATUS_STOPPED


async def finish_with_another(database: Database, workers: Workers, team: Team, execution_id: UUID) -> None:
    second = workers.start("b")
    await until(lambda: act(team, [execution_id]), 40)
    os.kill(second, signal.SIGTERM)
    await until(lambda: has_state(second, None))


async def test_two_workers_woken_at_once_for_one_execution(engine_database: Database, workers: Workers) -> None:
    database = engine_database
    team = auditors(database)
    await team.register()
    execution_id = await start(database, "code-audit")
    for name in ("a", "b", "c"):
        workers.start(name)
    await until(lambda: act(team, [execution_id]), 30)
    await assert_done_once(database, execution_id)
