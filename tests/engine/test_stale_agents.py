"""Agents that fall silent go offline, and their tasks go to others; those that report stay."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.domain.agents import OFFLINE_AFTER, AgentRole
from app.services.agents import RegisterAgent, register_agent
from app.services.tasks import ClaimTask, CreateTask, StartTask, claim_task, create_task, start_task
from app.upkeep import stale_agents
from app.upkeep.stale_agents import GAP, run_stale_agents, sweep_stale_agents
from db.queries.agents import touch_report
from db.queries.silence import keep_watch, may_sweep
from db.session import Database
from db.tables.agents import agent_reports, agents
from db.tables.tasks import tasks
from db.tables.upkeep import upkeep as upkeep_table
from tests.engine.team import ADMIN, Member, events_of, principal, rows_of, until

JAMES = Member("james-dev", AgentRole.DEVELOPER)


async def register(database: Database, member: Member = JAMES) -> None:
    command = RegisterAgent(member.agent_id, member.role, concurrency=2)
    await database.transact(lambda session: register_agent(session, ADMIN, command))


async def take_tasks(database: Database, number: int, *, started: int) -> list[Any]:
    """James claims so many new tasks and starts the first of them; their ids."""
    who, ids = principal(JAMES), []
    for index in range(number):
        task = await database.transact(lambda session: create_task(session, ADMIN, CreateTask("Work")))
        command = ClaimTask(JAMES.agent_id, task.task_id)
        claimed = await database.transact(lambda session: claim_task(session, who, command))  # noqa: B023
        if index < started:
            assert claimed is not None
            begin = StartTask(claimed.task_id, claimed.version)
            await database.transact(lambda session: start_task(session, who, begin))  # noqa: B023
        ids.append(task.task_id)
    return ids


async def fall_silent(database: Database, agent_id: str, seconds: int) -> None:
    shifted = func.clock_timestamp() - literal(timedelta(seconds=seconds))
    statement = update(agent_reports).where(agent_reports.c.agent_id == agent_id).values(last_activity=shifted)
    await database.transact(lambda session: session.execute(statement))


async def statuses(database: Database) -> dict[str, str]:
    return {row.agent_id: row.status for row in await rows_of(database, select(agents))}


async def test_after_90_seconds_an_agent_is_offline_and_its_tasks_are_free(database: Database) -> None:
    await register(database)
    await register(database, Member("jane-dev", AgentRole.DEVELOPER))
    task_ids = await take_tasks(database, 2, started=1)
    await fall_silent(database, "james-dev", 91)
    await fall_silent(database, "jane-dev", 89)
    assert await sweep_stale_agents(database) == ["james-dev"]
    assert await statuses(database) == {"james-dev": "offline", "jane-dev": "idle"}
    free = await rows_of(database, select(tasks).order_by(tasks.c.task_id))
    assert [(task.status, task.assigned_agent_id, task.attempts, task.failures) for task in free] == [
        ("pending", None, 1, 0),
        ("pending", None, 0, 0),
    ]
    assert await events_of(database, task_ids[0]) == ["created", "claimed", "started", "released"]
    assert await events_of(database, task_ids[1]) == ["created", "claimed", "released"]
    said = text("SELECT actor, from_status, to_status, detail FROM event_log WHERE to_status = 'offline'")
    assert [tuple(row) for row in await rows_of(database, said)] == [
        ("hub", "busy", "offline", {"reason": "no report for 90 seconds", "released_tasks": 2})
    ]
    assert await sweep_stale_agents(database) == []


async def test_an_agent_in_error_or_offline_is_left_alone(database: Database) -> None:
    await register(database)
    await fall_silent(database, "james-dev", 1_000)
    await database.transact(lambda session: session.execute(update(agents).values(status="error")))
    assert await sweep_stale_agents(database) == []
    assert await statuses(database) == {"james-dev": "error"}


async def test_a_report_in_the_last_moment_saves_the_agent(database: Database) -> None:
    await register(database)
    await take_tasks(database, 1, started=1)
    await fall_silent(database, "james-dev", 91)
    async with database.engine.begin() as other:
        # the report is on its way while the sweep has already chosen the agent, and commits before its second look
        await touch_report(other, "james-dev")
        sweep = asyncio.create_task(sweep_stale_agents(database))
        await until(lambda: waits_for_a_lock(database))
    assert await sweep == []
    assert await statuses(database) == {"james-dev": "active"}
    assert [task.status for task in await rows_of(database, select(tasks))] == ["running"]


async def waits_for_a_lock(database: Database) -> bool:
    waiting = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    return bool(await rows_of(database, waiting))


async def test_one_process_at_a_time_sweeps(database: Database) -> None:
    await register(database)
    await fall_silent(database, "james-dev", 91)
    async with database.engine.begin() as other:
        assert await may_sweep(other)
        assert await sweep_stale_agents(database) == []
    assert await sweep_stale_agents(database) == ["james-dev"]


async def test_the_task_goes_on_until_it_is_cancelled(database: Database) -> None:
    await register(database)
    await watch(database, timedelta(seconds=91))
    upkeep = asyncio.create_task(run_stale_agents(database, 0.02))
    await asyncio.sleep(0.1)
    await fall_silent(database, "james-dev", 91)

    async def offline() -> bool:
        return await statuses(database) == {"james-dev": "offline"}

    await until(offline)
    upkeep.cancel()
    assert isinstance((await asyncio.gather(upkeep, return_exceptions=True))[0], asyncio.CancelledError)


async def watch(database: Database, since: timedelta, looked: timedelta = timedelta()) -> None:
    """The hub has watched since so long ago, and last looked so long ago."""
    now = func.clock_timestamp()
    values = {"watched_since": now - since, "looked_at": now - looked}
    statement = upsert(upkeep_table).values(name="silent agents", **values)
    stored = statement.on_conflict_do_update(index_elements=["name"], set_=values)
    await database.transact(lambda session: session.execute(stored))


async def looks(database: Database) -> bool:
    return await database.transact(lambda session: keep_watch(session, GAP, OFFLINE_AFTER))


async def test_the_hubs_own_absence_is_no_silence_of_its_agents(database: Database) -> None:
    # a hub that begins
    assert not await looks(database)
    # one that has watched for long enough, with breaks that cost nobody a report
    await watch(database, timedelta(seconds=91), timedelta(seconds=15))
    assert await looks(database)
    assert await looks(database)
    # one that was away: agents have their full time again
    await watch(database, timedelta(hours=5), timedelta(seconds=300))
    assert not await looks(database)
    assert not await looks(database)
    await watch(database, timedelta(seconds=89))
    assert not await looks(database)
    await watch(database, timedelta(seconds=91))
    assert await looks(database)


async def test_many_silent_agents_are_given_up_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale_agents, "BATCH", 2)
    monkeypatch.setattr(stale_agents, "PACE_SECONDS", 0.001)
    names = [f"dev-{number}" for number in range(5)]
    for name in names:
        await register(database, Member(name, AgentRole.DEVELOPER))
        await fall_silent(database, name, 91)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            # who reports while others are given up is not given up
            await fall_silent(database, "dev-4", 1)
        await sleep(0)

    monkeypatch.setattr("app.upkeep.stale_agents.asyncio.sleep", pause)
    assert await sweep_stale_agents(database) == names[:4]
    assert pauses == [0.001, 0.001]
