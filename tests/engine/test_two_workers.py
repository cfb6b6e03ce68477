"""Two workers told to resume one execution at the same time: each node has its effect once, wherever they meet.

The first is held at one point after the other, before or after a transaction; its lease ends, the second goes on, and
then the first does what it still wanted to do.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.domain.agents import AgentRole
from app.engine import runner
from app.engine.runner import Worker
from app.services.workflows import PauseWorkflow, ResumeWorkflow, pause_workflow, resume_workflow
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    ADMIN,
    Member,
    Team,
    errors_of,
    events_of,
    execution_of,
    gates_of,
    path_of,
    play,
    rows_of,
    start,
    store_template,
    tasks_of,
    until,
)

MEMBERS = (Member("john-pm", AgentRole.PM), Member("james-dev", AgentRole.DEVELOPER))
PHASES: list[dict[str, Any]] = [
    {"name": "build", "kind": "parallel", "tasks": [{"name": name, "title": name} for name in ("one", "two")]},
    {"name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate"},
]
TASKS = ["one", "two", "verdict"]
WRITTEN = (
    *("workflow_executions", "workflow_steps", "workflow_errors", "tasks", "quality_gates", "agents", "event_log"),
    *("langgraph.checkpoints", "langgraph.checkpoint_writes", "langgraph.checkpoint_blobs"),
)
LONG_LEASE = 60.0
"""Seconds: nobody renews it meanwhile."""


class Turnstile:
    """Holds whoever comes to its n-th point until it is opened."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._passed = 0
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_by(self) -> None:
        """Come to a point."""
        self._passed += 1
        if self._passed == self._number:
            self.reached.set()
            await self.opened.wait()


TURNSTILE: ContextVar[Turnstile | None] = ContextVar("turnstile", default=None)
"""Of the worker whose task this is."""


@pytest.fixture
def turnstiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let transactions pass by the turnstile of their worker, before and after."""

    def through(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def visit(*arguments: Any, **options: Any) -> Any:
            turnstile = TURNSTILE.get()
            if turnstile is None:
                return await method(*arguments, **options)
            await turnstile.pass_by()
            result = await method(*arguments, **options)
            await turnstile.pass_by()
            return result

        return visit

    for name in ("transact", "change"):
        monkeypatch.setattr(Database, name, through(getattr(Database, name)))


@pytest.fixture
async def team(engine_database: Database) -> Team:
    await store_template(engine_database, "plain", *PHASES)
    team = Team(engine_database, MEMBERS)
    await team.register()
    return team


async def assert_done_once(database: Database, execution_id: UUID, meanwhile: tuple[str, ...] = ()) -> None:
    """Every phase was passed once, its tasks and gates made and ended once; events named in `meanwhile` aside."""
    assert (await execution_of(database, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (1, "build", 1, "completed"),
        (2, "gate", 1, "completed"),
    ]
    made = await tasks_of(database, execution_id)
    assert sorted(task.task_name for task in made) == TASKS
    for task in made:
        assert await events_of(database, task.task_id) == ["created", "claimed", "started", "completed"]
    (gate,) = await gates_of(database, execution_id, "gate")
    assert await events_of(database, gate.gate_id) == ["created", "opened", "approved"]
    events = [event for event in await events_of(database, execution_id) if event not in meanwhile]
    assert events == ["started", "running", *["step_started", "step_completed"] * 2, "completed"]
    assert await errors_of(database, execution_id) == []


async def held(turnstile: Turnstile, worker: Worker, team: Team, execution_id: UUID) -> bool:
    """Let the execution go on until the worker is held, or to its end; whether it was held."""

    async def over() -> bool:
        await team.work()
        ended = (await execution_of(team.database, execution_id)).execution_status == "completed"
        return turnstile.reached.is_set() or (ended and worker.in_hand == 0)

    await until(over)
    return turnstile.reached.is_set()


async def end_leases(database: Database) -> None:
    past = text("UPDATE workflow_executions SET lease_until = clock_timestamp() - interval '1 second' "
                "WHERE lease_until IS NOT NULL")  # fmt: skip
    await database.transact(lambda session: session.execute(past))


@pytest.mark.slow
@pytest.mark.usefixtures("turnstiles")
async def test_one_is_held_at_every_point_while_the_other_goes_on(
    engine_database: Database, team: Team, start_worker: StartWorker
) -> None:
    database = engine_database
    for number in count(1):
        execution_id = await start(database, "plain")
        turnstile = Turnstile(number)
        token = TURNSTILE.set(turnstile)
        first = await start_worker("first", lease_seconds=LONG_LEASE)
        TURNSTILE.reset(token)
        if not await held(turnstile, first, team, execution_id):
            break
        await end_leases(database)
        second = await start_worker("second", lease_seconds=LONG_LEASE)
        await play(team, execution_id)
        await second.stop()
        before = await traces(database)
        turnstile.opened.set()
        await first.stop()
        assert await traces(database) == before, f"held at the point {number}"
        await assert_done_once(database, execution_id)
    # a template is read, the execution starts with its first phase, that is judged, the second begins and is judged,
    # the execution ends: twice each, and what is saved rides along
    assert number > 2 * 6


async def traces(database: Database) -> list[tuple[Any, ...]]:
    """All that a worker can write: how many rows there are of each kind, and a sum over what they hold."""
    counted = " UNION ALL ".join(
        f"SELECT '{table}', count(*), sum(hashtextextended(t::text, 0)) FROM {table} t"  # noqa: S608
        for table in WRITTEN
    )
    return [tuple(row) for row in await rows_of(database, text(counted))]


@pytest.mark.slow
async def test_two_that_take_every_lease_from_each_other(
    engine_database: Database, team: Team, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases end all the time, so both are at work on the same executions; all are told to resume at once as well."""
    database = engine_database
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    executions = [await start(database, "plain") for _ in range(6)]
    for name in ("first", "second"):
        await start_worker(name, lease_seconds=LONG_LEASE, concurrency=6)
    thief = asyncio.create_task(end_leases_for_ever(database))
    await until(lambda: all_begun(database, executions))
    for execution_id in executions:
        await pause_and_resume(database, execution_id)
    for execution_id in executions:
        await play(team, execution_id, seconds=60)
    thief.cancel()
    await asyncio.gather(thief, return_exceptions=True)
    claims = 0
    for execution_id in executions:
        claims += (await execution_of(database, execution_id)).fence
        await assert_done_once(database, execution_id, ("paused", "resumed"))
    # one to begin, one for each of the three answers or fewer, one that a pause takes: more were thefts
    assert claims > 5 * len(executions)


async def end_leases_for_ever(database: Database) -> None:
    while True:
        await end_leases(database)
        await asyncio.sleep(0.005)


async def all_begun(database: Database, executions: list[UUID]) -> bool:
    return all([await path_of(database, execution_id) for execution_id in executions])


async def pause_and_resume(database: Database, execution_id: UUID) -> None:
    """Two commands at once to whoever is at work on it."""
    pause = PauseWorkflow(execution_id, (await execution_of(database, execution_id)).version)
    paused = await database.transact(lambda session: pause_workflow(session, ADMIN, pause))
    resume = ResumeWorkflow(execution_id, paused.version)
    await database.transact(lambda session: resume_workflow(session, ADMIN, resume))
