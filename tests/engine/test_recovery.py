"""Workers that are killed or frozen, as real processes by real signals: nothing is lost, and nothing happens twice."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from sqlalchemy import text

from app.domain.quality_gates import ApprovalStatus
from db.session import Database
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
    rows_of,
    start,
    tasks_of,
    until,
)

NO_SIGNAL = 0
LEASE = 0.6
"""Seconds: short, so that the next worker takes over soon."""
PHASES = ["decide", "audits", "review", "report", "final-approval"]
TASKS = ["decide", "lint", "report", "size", "types", "verdict"]


class Workers:
    """Worker processes of this test, forked by one process that has loaded everything."""

    def __init__(self, parent: "subprocess.Popen[str]", url: str, log: Path) -> None:
        self._parent = parent
        self._url = url
        self.log = log
        self.pids: list[int] = []

    def start(self, name: str, number: int = NO_SIGNAL, visit: int = 0, moment: str = "", lease: float = LEASE) -> int:
        """Start a worker, which sends itself the signal at its n-th visit to the database; its process id."""
        order = {"url": self._url, "name": name, "lease": lease, "log": str(self.log)}
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps({**order, "signal": number, "visit": visit, "moment": moment}) + "\n")
        self._parent.stdin.flush()
        pid = int(self._parent.stdout.readline())
        self.pids.append(pid)
        return pid


@pytest.fixture(scope="module")
def parent() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks the workers."""
    command = [sys.executable, "-m", "tests.engine.worker_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.fixture
def workers(parent: "subprocess.Popen[str]", engine_database: Database, tmp_path: Path) -> Iterator[Workers]:
    """Starts worker processes; those that are left are killed at the end."""
    workers = Workers(parent, engine_database.url, tmp_path / "workers.log")
    yield workers
    for pid in workers.pids:
        if state_of(pid) is not None:
            os.kill(pid, signal.SIGKILL)


def state_of(pid: int) -> str | None:
    """The state of a worker's process, None when it is gone."""
    try:
        process = psutil.Process(pid)
        return process.status() if "tests.engine.worker_process" in process.cmdline() else None
    except psutil.NoSuchProcess:
        return None


async def has_state(pid: int, state: str | None) -> bool:
    return state_of(pid) == state


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


async def everything(database: Database) -> dict[str, Any]:
    """How many rows each table has, with a sum over all that they hold."""
    tables = await rows_of(
        database,
        text(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname IN ('public', 'langgraph') ORDER BY 1"
        ),
    )
    counted: dict[str, Any] = {}
    for table in tables:
        sql = f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table.name} t"  # noqa: S608
        counted[table.name] = tuple((await rows_of(database, text(sql)))[0])
    return counted


# the visits of a worker: 1 template, 2 start, 3-6 first checkpoints, 7 first phase begins, 8 its interrupt, 9 first
# phase is judged, 10-12 checkpoints, 13 second phase begins
FREEZES = [
    *[(2, "fence"), (4, "before"), (6, "before"), (7, "before"), (7, "fence"), (7, "after"), (8, "before")],
    *[(9, "fence"), (11, "before"), (13, "fence")],
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
@pytest.mark.parametrize("visit", [2, 7, 9])
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


async def go_on(pid: int) -> None:
    """Let a frozen worker do what it still wants to do, then stop it in order."""
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1)
    os.kill(pid, signal.SIGTERM)
    await until(lambda: has_state(pid, None))


async def test_two_workers_woken_at_once_for_one_execution(engine_database: Database, workers: Workers) -> None:
    database = engine_database
    team = auditors(database)
    await team.register()
    execution_id = await start(database, "code-audit")
    for name in ("a", "b", "c"):
        workers.start(name)
    await until(lambda: act(team, [execution_id]), 30)
    await assert_done_once(database, execution_id)
