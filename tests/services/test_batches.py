"""Batches: one transaction of a few statements, each item by the same rules as alone."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from app.domain.agents import AgentStatus
from app.domain.batches import BATCH_MAX, BatchMode, Linked
from app.domain.errors import Blocked, Forbidden, HubError, IllegalTransition, InvalidInput, NotFound
from app.domain.ids import new_id
from app.services.agents import SetAgentStatus, SetAgentStatuses, set_agent_status, set_agent_statuses
from app.services.batches import Outcome, field_of_item, item_itself, judge_items
from app.services.task_batches import CreateTasks, PlannedTask, create_tasks
from app.services.tasks import ClaimTask, CreateTask, claim_task, create_task
from db.session import Database
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.tasks import tasks
from tests.services.makers import (
    ADMIN,
    a_running_task,
    a_task,
    agent_principal,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)

NAMES = [f"dev-{number:03}" for number in range(20)]


def planned(task: CreateTask, key: str | None = None, *depends_on_keys: str) -> PlannedTask:
    return PlannedTask(lambda: task, Linked(key, depends_on_keys))


def refusals(outcomes: list[Outcome]) -> dict[int, tuple[type[HubError], str | None]]:
    return {one.index: (type(one.error), one.error.field) for one in outcomes if one.error is not None}


def test_errors_are_located_in_their_item() -> None:
    assert [field_of_item("tasks")(3, field) for field in ("input.title", "input", None)] == [
        "input.tasks.3.title", "input.tasks.3", "input.tasks.3",
    ]  # fmt: skip
    assert [item_itself("agentIds")(3, field) for field in ("input.agentId", None)] == ["input.agentIds.3"] * 2


def test_a_defect_is_no_refusal() -> None:
    def judge(index: int) -> int:
        return 1 // index

    with pytest.raises(ZeroDivisionError):
        judge_items(BatchMode.EACH, range(2), judge, item_itself("x"))


async def test_a_task_of_a_batch_is_the_same_as_one_alone(database: Database) -> None:
    other = await a_task(database)
    command = CreateTask(
        "Build it", "in full", complexity=9, required_capabilities=["go"], depends_on=[other.task_id], input={"a": [1]}
    )
    alone = await run(database, create_task, ADMIN, command)
    (outcome,) = await run(database, create_tasks, ADMIN, CreateTasks([planned(command)]))
    own = {"task_id", "created_at", "updated_at", "event_xid"}
    assert outcome.row is not None
    assert {name: value for name, value in outcome.row._mapping.items() if name not in own} == {
        name: value for name, value in alone._mapping.items() if name not in own
    }
    assert await events_of(database, outcome.row.task_id) == await events_of(database, alone.task_id)


async def test_two_hundred_tasks_in_a_chain(database: Database) -> None:
    chain = [
        planned(CreateTask(f"{place}"), f"{place}", *([f"{place + 1}"] if place + 1 < BATCH_MAX else []))
        for place in range(BATCH_MAX)
    ]
    statements = await counted(database, lambda: run(database, create_tasks, ADMIN, CreateTasks(chain)))
    assert statements <= 3
    assert await count(database, tasks) == await count(database, event_log) == BATCH_MAX
    last = await row_of(database, tasks, title="0")
    assert last.depends_on == [(await row_of(database, tasks, title="1")).task_id]


async def counted(database: Database, work: Callable[[], Any]) -> int:
    """How many statements the work takes."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        await work()
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    return len(seen)


async def test_what_hangs_on_a_refused_task_is_refused_with_it(database: Database) -> None:
    items = [
        planned(CreateTask("third"), "third", "second"),
        planned(CreateTask("second", depends_on=[new_id()]), "second", "first"),
        planned(CreateTask("first"), "first"),
        planned(CreateTask("fourth"), None, "third", "first"),
    ]
    outcomes = await run(database, create_tasks, ADMIN, CreateTasks(items, mode=BatchMode.EACH))
    assert refusals(outcomes) == {
        0: (Blocked, "input.tasks.0.dependsOnKeys"),
        1: (NotFound, "input.tasks.1.dependsOn"),
        3: (Blocked, "input.tasks.3.dependsOnKeys"),
    }
    assert [row.title for row in (one.row for one in outcomes) if row is not None] == ["first"]
    with pytest.raises(NotFound):
        await run(database, create_tasks, ADMIN, CreateTasks(items))
    assert await count(database, tasks) == 1


async def test_tasks_of_a_workflow_that_is_unknown(database: Database) -> None:
    await an_execution(database)
    for command, field in [
        (CreateTasks([planned(CreateTask("x"))], execution_id=new_id()), "input.executionId"),
        (CreateTasks([planned(CreateTask("x"))], decision_id=new_id()), "input.decisionId"),
    ]:
        with pytest.raises(NotFound) as caught:
            await run(database, create_tasks, ADMIN, command)
        assert caught.value.field == field


async def a_team(database: Database) -> None:
    for name in NAMES:
        await an_agent(database, name, concurrency=2)
        await a_running_task(database, name)


@pytest.mark.parametrize("mode", BatchMode)
async def test_an_agent_of_a_batch_goes_as_one_alone(database: Database, mode: BatchMode) -> None:
    await a_team(database)
    ids = [*reversed(NAMES[1:])]
    command = SetAgentStatuses(ids, AgentStatus.OFFLINE, "maintenance", mode)
    statements = await counted(database, lambda: run(database, set_agent_statuses, ADMIN, command))
    # one of them looks for models that work on the tasks, of all agents at once
    assert statements <= 6
    await run(database, set_agent_status, ADMIN, SetAgentStatus(NAMES[0], AgentStatus.OFFLINE, reason="maintenance"))
    alone = await events_of(database, NAMES[0])
    assert [await events_of(database, name) for name in ids] == [alone] * len(ids)
    told = text(
        "SELECT DISTINCT aggregate, event_type, from_status, version, actor, detail - 'agent_id' FROM event_log "
        "WHERE event_type IN ('released', 'status_changed') AND to_status IN ('pending', 'offline') ORDER BY 1"
    )
    nothing = dict.fromkeys(("phase", "task_name", "execution_id", "decision_id"))
    assert [tuple(row) for row in await database.transact(lambda session: session.execute(told))] == [
        ("agent", "status_changed", "active", 3, "root", {"reason": "maintenance"}),
        ("task", "released", "running", 4, "root", {"reason": "maintenance", **nothing}),
    ]


async def test_agents_that_cannot_go_there(database: Database) -> None:
    await a_team(database)
    await run(database, set_agent_statuses, ADMIN, SetAgentStatuses(NAMES[:2], AgentStatus.ERROR))
    ids = [NAMES[0], NAMES[2], "no-one", NAMES[1], "Bad", NAMES[0]]
    command = SetAgentStatuses(ids, AgentStatus.IDLE, mode=BatchMode.EACH)
    outcomes = await run(database, set_agent_statuses, ADMIN, command)
    assert refusals(outcomes) == {
        1: (InvalidInput, "input.agentIds.1"),
        2: (NotFound, "input.agentIds.2"),
        4: (InvalidInput, "input.agentIds.4"),
        5: (InvalidInput, "input.agentIds.5"),
    }
    assert [row.status for row in (one.row for one in outcomes) if row is not None] == ["idle", "idle"]
    again = await run(
        database, set_agent_statuses, ADMIN, SetAgentStatuses(NAMES[:2], AgentStatus.IDLE, mode=BatchMode.EACH)
    )
    assert {error for error, _ in refusals(again).values()} == {IllegalTransition}
    own = await run(
        database, set_agent_statuses, agent_principal(NAMES[5]),
        SetAgentStatuses(NAMES[4:7], AgentStatus.OFFLINE, mode=BatchMode.EACH),
    )  # fmt: skip
    assert refusals(own) == {0: (Forbidden, "input.agentIds.0"), 2: (Forbidden, "input.agentIds.2")}
    with pytest.raises(InvalidInput) as caught:
        await run(database, set_agent_statuses, ADMIN, SetAgentStatuses(NAMES, AgentStatus.BUSY))
    assert caught.value.field == "input.status"


async def test_batches_that_cross_each_other_and_claims_leave_nobody_with_a_task_offline(database: Database) -> None:
    await a_team(database)
    for _ in NAMES:
        await a_task(database)

    async def claim(name: str) -> None:
        await run(database, claim_task, ADMIN, ClaimTask(name))

    offline = [
        SetAgentStatuses(ids, AgentStatus.OFFLINE, mode=BatchMode.EACH) for ids in (NAMES, NAMES[::-1], NAMES[::2])
    ]
    outcomes: list[Any] = await asyncio.gather(
        *(run(database, set_agent_statuses, ADMIN, command) for command in offline),
        *(claim(name) for name in NAMES),
        return_exceptions=True,
    )
    assert [one for one in outcomes if isinstance(one, BaseException) and not isinstance(one, HubError)] == []
    moved = [one.row.agent_id for batch in outcomes[:3] for one in batch if one.row is not None]
    assert sorted(moved) == NAMES
    held = text("SELECT count(*) FROM tasks WHERE status IN ('assigned', 'running')")
    assert (await database.transact(lambda session: session.execute(held))).scalar_one() == 0
    assert {row.status for row in await database.transact(lambda session: session.execute(agents.select()))} == {
        "offline"
    }
