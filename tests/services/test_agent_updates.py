"""Changes of agents: what may be changed, by whom, and that of two who change the same version one is told."""

import asyncio
from typing import Any

import pytest

from app.domain.agents import AgentRole, AgentStatus
from app.domain.errors import Forbidden, HubError, InvalidInput, NotFound, StaleVersion
from app.domain.principals import Principal, Role
from app.services.agents import SetAgentStatus, UpdateAgent, set_agent_status, update_agent
from db.session import Database
from db.tables.agents import agents
from db.tables.events import event_log
from tests.services.makers import (
    ADMIN,
    a_running_task,
    agent_principal,
    an_agent,
    count,
    events_of,
    row_of,
    run,
)

JAMES = agent_principal("james-dev")
PM = Principal("maria", Role.PM)


async def test_what_is_given_changes_and_the_rest_stays(database: Database) -> None:
    await an_agent(database, capabilities=["go"], extension_config={"a": 1})
    row = await run(database, update_agent, JAMES, UpdateAgent("james-dev", 1, capabilities=["sql", "python", "sql"]))
    assert (row.capabilities, row.agent_name, row.extension_config, row.concurrency, row.version) == (
        ["python", "sql"], "james-dev", {"a": 1}, 1, 2,
    )  # fmt: skip
    row = await run(
        database, update_agent, JAMES, UpdateAgent("james-dev", 2, "James", capabilities=[], extension_config={})
    )
    assert (row.capabilities, row.agent_name, row.extension_config) == ([], "James", {})
    assert (await events_of(database, "james-dev"))[1:] == [
        ("updated", "idle", "idle", 2),
        ("updated", "idle", "idle", 3),
    ]


async def test_its_status_follows_its_concurrency(database: Database) -> None:
    await an_agent(database, concurrency=2)
    for _ in range(2):
        await a_running_task(database)
    busy = await row_of(database, agents, agent_id="james-dev")
    assert busy.status == "busy"
    for concurrency, status in [(3, "active"), (1, "busy")]:
        version = (await row_of(database, agents, agent_id="james-dev")).version
        row = await run(database, update_agent, JAMES, UpdateAgent("james-dev", version, concurrency=concurrency))
        assert (row.status, row.version) == (status, version + 2)
    await run(database, set_agent_status, JAMES, SetAgentStatus("james-dev", AgentStatus.ERROR))
    version = (await row_of(database, agents, agent_id="james-dev")).version
    row = await run(database, update_agent, JAMES, UpdateAgent("james-dev", version, concurrency=9))
    assert (row.status, row.version) == ("error", version + 1)


async def test_a_role_is_not_an_agents_own_to_choose(database: Database) -> None:
    await an_agent(database)
    for role in (AgentRole.PM, AgentRole.QA):
        with pytest.raises(Forbidden) as caught:
            await run(database, update_agent, JAMES, UpdateAgent("james-dev", 1, agent_role=role))
        assert caught.value.field == "input.agentRole"
    kept = await run(database, update_agent, JAMES, UpdateAgent("james-dev", 1, agent_role=AgentRole.DEVELOPER))
    changed = await run(database, update_agent, PM, UpdateAgent("james-dev", 2, agent_role=AgentRole.QA))
    assert (kept.agent_role, changed.agent_role, changed.version) == ("developer", "qa", 3)


@pytest.mark.parametrize(
    ("command", "error", "field"),
    [
        (UpdateAgent("james-dev", 1), InvalidInput, "input"),
        (UpdateAgent("james-dev", 1, agent_name=" "), InvalidInput, "input.agentName"),
        (UpdateAgent("james-dev", 1, agent_name="x" * 201), InvalidInput, "input.agentName"),
        (UpdateAgent("james-dev", 1, concurrency=0), InvalidInput, "input.concurrency"),
        (UpdateAgent("james-dev", 1, concurrency=65), InvalidInput, "input.concurrency"),
        (UpdateAgent("james-dev", 1, capabilities=["x"] * 101), InvalidInput, "input.capabilities"),
        (UpdateAgent("james-dev", 1, capabilities=[""]), InvalidInput, "input.capabilities"),
        (UpdateAgent("james-dev", 1, extension_config={"a": float("inf")}), InvalidInput, "input.extensionConfig"),
        (UpdateAgent("James", 1, agent_name="x"), InvalidInput, "input.agentId"),
        (UpdateAgent("james-dev", 2, agent_name="x"), StaleVersion, "input.expectedVersion"),
        (UpdateAgent("no-one", 1, agent_name="x"), NotFound, "input.agentId"),
    ],
)
async def test_bad_changes_are_refused(
    database: Database, command: UpdateAgent, error: type[HubError], field: str
) -> None:
    agent = await an_agent(database)
    before = await count(database, event_log)
    with pytest.raises(error) as caught:
        await run(database, update_agent, ADMIN, command)
    assert caught.value.field == field
    assert await row_of(database, agents, agent_id="james-dev") == agent
    assert await count(database, event_log) == before


async def test_of_two_who_change_the_same_version_one_is_told(database: Database) -> None:
    row = await an_agent(database)
    for turn in range(12):
        version = row.version
        other = AgentStatus.IDLE if row.status == "error" else AgentStatus.ERROR
        commands: list[tuple[Any, Any]] = [
            (update_agent, UpdateAgent("james-dev", version, agent_name=f"name {turn}")),
            (set_agent_status, SetAgentStatus("james-dev", other, version)),
            (update_agent, UpdateAgent("james-dev", version, extension_config={"turn": turn})),
        ]
        outcomes: list[Any] = await asyncio.gather(
            *(run(database, service, ADMIN, command) for service, command in commands), return_exceptions=True
        )
        won = [outcome for outcome in outcomes if not isinstance(outcome, StaleVersion)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, StaleVersion)]
        assert [row.version for row in won] == [version + 1]
        assert [error.current for error in lost] == [version + 1, version + 1]
        row = await row_of(database, agents, agent_id="james-dev")
        assert row == won[0]
    versions = [event[3] for event in await events_of(database, "james-dev")]
    assert versions == list(range(1, row.version + 1))
