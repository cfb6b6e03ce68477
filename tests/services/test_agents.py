"""Agents: registration as a new session, statuses that may be set, and reports that merge by observation time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole, AgentStatus
from app.domain.errors import IllegalTransition, InvalidInput, NotFound, StaleVersion
from app.services.agents import RegisterAgent, SetAgentStatus, register_agent, set_agent_status
from app.services.reports import ReportAgent, ReportWriter
from app.services.tasks import ClaimTask, claim_task
from db.session import Database
from db.tables.agents import agent_reports, agents
from db.tables.events import event_log
from db.tables.tasks import tasks
from tests.services.makers import (
    ADMIN,
    a_running_task,
    a_task,
    agent_principal,
    an_agent,
    count,
    events_of,
    row_of,
    run,
)

JAMES = agent_principal("james-dev")
MOMENT = datetime.now(UTC) - timedelta(minutes=1)


async def test_registering_again_gives_back_what_the_earlier_process_held(database: Database) -> None:
    await an_agent(database, capabilities=["python", "go", "python"])
    task = await a_running_task(database)
    row = await an_agent(database, concurrency=3)
    assert (row.status, row.concurrency, row.capabilities) == ("idle", 3, [])
    released = await row_of(database, tasks, task_id=task.task_id)
    assert (released.status, released.assigned_agent_id) == ("pending", None)
    assert (await events_of(database, task.task_id))[-1][0] == "released"


async def test_an_agent_that_was_offline_or_in_error_comes_back_idle(database: Database) -> None:
    await an_agent(database)
    for status in (AgentStatus.OFFLINE, AgentStatus.ERROR):
        await run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", status))
        assert (await an_agent(database)).status == "idle"


async def test_two_register_the_same_new_agent_at_once(database: Database) -> None:
    outcomes: list[Any] = await asyncio.gather(
        *(an_agent(database, "twin-dev") for _ in range(2)), return_exceptions=True
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) >= 1
    assert all(isinstance(outcome, InvalidInput) for outcome in outcomes if isinstance(outcome, Exception))
    assert (await row_of(database, agents, agent_id="twin-dev")).status == "idle"


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (RegisterAgent("James", AgentRole.DEVELOPER), "input.agentId"),
        (RegisterAgent("james", AgentRole.DEVELOPER), "input.agentId"),
        (RegisterAgent("james-dev", AgentRole.DEVELOPER, concurrency=0), "input.concurrency"),
        (RegisterAgent("james-dev", AgentRole.DEVELOPER, concurrency=65), "input.concurrency"),
        (RegisterAgent("james-dev", AgentRole.DEVELOPER, agent_name=" "), "input.agentName"),
        (RegisterAgent("james-dev", AgentRole.DEVELOPER, capabilities=[""]), "input.capabilities"),
    ],
)
async def test_bad_registrations(database: Database, command: RegisterAgent, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await run(database, register_agent, ADMIN, command)
    assert caught.value.field == field
    assert await count(database, agents) == 0


async def test_statuses_that_cannot_be_set(database: Database) -> None:
    agent = await an_agent(database)
    for status in (AgentStatus.ACTIVE, AgentStatus.BUSY):
        with pytest.raises(InvalidInput, match="follows from the agent's tasks"):
            await run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", status))
    with pytest.raises(IllegalTransition):
        await run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", AgentStatus.IDLE))
    with pytest.raises(StaleVersion):
        await run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", AgentStatus.ERROR, agent.version + 1))
    with pytest.raises(NotFound):
        await run(database, set_agent_status, ADMIN, SetAgentStatus("no-one", AgentStatus.ERROR))


async def test_a_busy_agent_cannot_be_called_idle(database: Database) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    with pytest.raises(InvalidInput, match="follows from its tasks"):
        await run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", AgentStatus.IDLE))
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "running"


async def test_a_claim_on_its_way_does_not_outlive_the_agents_going_offline(database: Database) -> None:
    await an_agent(database)
    task = await a_task(database)
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def claim(session: AsyncConnection) -> None:
        await claim_task(session, JAMES, ClaimTask("james-dev"))
        claimed.set()
        await go_on.wait()

    claiming = asyncio.create_task(database.transact(claim))
    await claimed.wait()
    leaving = asyncio.create_task(
        run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", AgentStatus.OFFLINE))
    )
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(claiming, leaving)
    after = await row_of(database, tasks, task_id=task.task_id)
    assert (after.status, after.assigned_agent_id) == ("pending", None)
    assert (await row_of(database, agents, agent_id="james-dev")).status == "offline"


async def test_reports_merge_key_by_key_and_the_newest_observation_wins(database: Database) -> None:
    await an_agent(database)
    writer = ReportWriter(database)
    await writer.start()
    later, earlier = MOMENT + timedelta(seconds=5), MOMENT
    await writer.report(JAMES, ReportAgent("james-dev", later, {"cpu": 50, "rss": 10}, {"done": 1}))
    await writer.report(JAMES, ReportAgent("james-dev", earlier, {"cpu": 1, "disk": 7}))
    row = await row_of(database, agent_reports, agent_id="james-dev")
    assert row.resource_utilization == {"cpu": 50, "rss": 10, "disk": 7}
    assert row.performance_metrics == {"done": 1}
    assert (await row_of(database, agents, agent_id="james-dev")).version == 1
    await writer.stop()


async def test_a_report_from_the_future_counts_as_of_now(database: Database) -> None:
    await an_agent(database)
    writer = ReportWriter(database)
    await writer.start()
    await writer.report(JAMES, ReportAgent("james-dev", datetime.now(UTC) + timedelta(days=1), {"cpu": 1}))
    await asyncio.sleep(0.01)
    await writer.report(JAMES, ReportAgent("james-dev", datetime.now(UTC) + timedelta(days=1), {"cpu": 2}))
    assert (await row_of(database, agent_reports, agent_id="james-dev")).resource_utilization == {"cpu": 2}
    await writer.stop()


async def test_many_reports_at_once_are_joined_and_each_is_stored_and_told(database: Database) -> None:
    names = [f"dev-{number}" for number in range(40)]
    for name in names:
        await an_agent(database, name)
    before = await count(database, event_log)
    writer = ReportWriter(database)
    await writer.start()
    commands = [
        ReportAgent(name, MOMENT + timedelta(seconds=turn), {"turn": turn}) for turn in range(3) for name in names
    ]
    await asyncio.gather(*(writer.report(ADMIN, command) for command in commands))
    transactions = await database.transact(
        lambda session: session.execute(select(event_log.c.xid).where(event_log.c.event_type == "reported").distinct())
    )
    assert len(transactions.all()) <= 6
    assert await count(database, event_log) == before + 120
    row = await row_of(database, agent_reports, agent_id="dev-39")
    assert row.resource_utilization == {"turn": 2}
    with pytest.raises(NotFound):
        await writer.report(ADMIN, ReportAgent("no-one", MOMENT))
    with pytest.raises(InvalidInput):
        await writer.report(ADMIN, ReportAgent("no-one", MOMENT, {"a": "\x00"}))
    await writer.stop()
