"""Silent agents and several upkeep processes at once: each goes offline once, none that has reported goes at all."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import SYSTEM, Principal
from app.services.reports import ReportAgent, ReportWriter
from app.upkeep.stale_agents import sweep_stale_agents
from db.session import Database
from db.tables.agents import agent_reports, agents
from db.tables.events import event_log
from db.tables.tasks import tasks
from tests.services.makers import a_running_task, an_agent, run

NAMES = [f"dev-{number}" for number in range(12)]


async def fall_silent(database: Database) -> None:
    before = func.clock_timestamp() - timedelta(seconds=91)
    await database.transact(lambda session: session.execute(update(agent_reports).values(last_activity=before)))


async def team_at_work(database: Database) -> None:
    for name in NAMES:
        await an_agent(database, name)
        await a_running_task(database, name)
    await fall_silent(database)


async def statuses(database: Database) -> dict[str, str]:
    rows = await database.transact(lambda session: session.execute(select(agents.c.agent_id, agents.c.status)))
    return {row.agent_id: row.status for row in rows}


async def events(database: Database, event_type: str, to_status: str) -> list[str]:
    """Of which entities such events tell."""
    statement = select(event_log.c.entity_id).where(
        event_log.c.event_type == event_type, event_log.c.to_status == to_status
    )
    return list((await database.transact(lambda session: session.execute(statement))).scalars())


async def test_several_processes_take_each_silent_agent_offline_once(database: Database, database_url: str) -> None:
    await team_at_work(database)
    processes = [Database(database_url, pool_size=2, read_pool_size=1) for _ in range(4)]
    try:
        swept: list[str] = []
        # a process that finds the lock taken leaves the agent to the next sweep
        while set(swept) != set(NAMES):
            for found in await asyncio.gather(*(sweep_stale_agents(process) for process in processes)):
                swept += found
    finally:
        for process in processes:
            await process.close()
    assert sorted(swept) == sorted(NAMES)
    assert set((await statuses(database)).values()) == {"offline"}
    assert sorted(await events(database, "status_changed", "offline")) == sorted(NAMES)
    assert len(await events(database, "released", "pending")) == len(NAMES)
    rows = await database.transact(lambda session: session.execute(select(tasks.c.status).distinct()))
    assert list(rows.scalars()) == ["pending"]


async def test_who_reports_at_that_very_moment_is_online_with_its_task_or_offline_without(database: Database) -> None:
    await team_at_work(database)
    writer = ReportWriter(database)
    await writer.start()

    async def report(index: int, name: str) -> datetime:
        await asyncio.sleep(0.004 * index)
        await run_report(writer, name)
        return datetime.now(UTC)

    sweeping = asyncio.create_task(sweep_stale_agents(database))
    await asyncio.gather(*(report(index, name) for index, name in enumerate(NAMES)))
    swept = await sweeping
    await writer.stop()
    found = await statuses(database)
    assert sorted(name for name, status in found.items() if status == "offline") == sorted(swept)
    statement = select(tasks.c.assigned_agent_id).where(tasks.c.status == "running")
    holders = list((await database.transact(lambda session: session.execute(statement))).scalars())
    assert sorted(holders) == sorted(set(NAMES) - set(swept))
    assert all(found[name] == "busy" for name in holders)
    # all have reported by now, so that nobody else goes offline
    assert await sweep_stale_agents(database) == []


async def run_report(writer: ReportWriter, name: str) -> None:
    await writer.report(SYSTEM, ReportAgent(name, datetime.now(UTC), {"cpu": 1}))


async def test_the_last_report_and_not_the_last_change_counts(database: Database) -> None:
    await an_agent(database)
    await fall_silent(database)
    await run(database, _touch_agent, SYSTEM)
    assert await sweep_stale_agents(database) == ["james-dev"]


async def _touch_agent(session: AsyncConnection, _: Principal) -> None:
    await session.execute(update(agents).values(updated_at=func.clock_timestamp()))
