"""Tasks: who gets them, who may answer them, and that every change has exactly its events."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole, AgentStatus
from app.domain.errors import (
    AgentAtCapacity,
    AgentUnavailable,
    Blocked,
    ClaimLost,
    HubError,
    IllegalTransition,
    InvalidInput,
    NotFound,
    StaleVersion,
)
from app.domain.ids import new_id
from app.domain.tasks import TaskKind
from app.services.agents import SetAgentStatus, set_agent_status
from app.services.tasks import (
    ClaimTask,
    CompleteTask,
    CreateTask,
    FailTask,
    ReleaseTask,
    ReportTaskProgress,
    StartTask,
    answer_task,
    claim_task,
    complete_task,
    create_task,
    fail_task,
    release_task,
    release_tasks_of,
    report_progress,
    start_task,
)
from db.session import Database
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.tasks import task_progress, tasks
from db.tables.workflows import workflow_executions
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

JAMES = agent_principal("james-dev")


async def test_a_task_from_creation_to_completion(database: Database) -> None:
    await an_agent(database)
    task = await a_task(database)
    claimed = await run(database, claim_task, JAMES, ClaimTask("james-dev"))
    assert (claimed.task_id, claimed.status, claimed.assigned_agent_id) == (task.task_id, "assigned", "james-dev")
    assert (await row_of(database, agents, agent_id="james-dev")).status == "busy"
    started = await run(database, start_task, JAMES, StartTask(task.task_id, claimed.version))
    done = await run(database, complete_task, JAMES, CompleteTask(task.task_id, started.version, {"lines": 3}))
    assert (done.status, done.result, done.attempts, done.failures, done.version) == (
        "completed", {"lines": 3}, 1, 0, 4,
    )  # fmt: skip
    assert (await row_of(database, agents, agent_id="james-dev")).status == "idle"
    assert await events_of(database, task.task_id) == [
        ("created", None, "pending", 1),
        ("claimed", "pending", "assigned", 2),
        ("started", "assigned", "running", 3),
        ("completed", "running", "completed", 4),
    ]
    assert await events_of(database, "james-dev") == [
        ("registered", None, "idle", 1),
        ("status_changed", "idle", "busy", 2),
        ("status_changed", "busy", "idle", 3),
    ]


async def test_twenty_agents_claim_ten_tasks_at_once_and_each_task_has_one_holder(database: Database) -> None:
    names = [f"dev-{number}" for number in range(20)]
    for name in names:
        await an_agent(database, name)
    made = {(await a_task(database)).task_id for _ in range(10)}
    claims = await asyncio.gather(*(run(database, claim_task, ADMIN, ClaimTask(name)) for name in names))
    won = [task.task_id for task in claims if task is not None]
    assert len(won) == len(set(won))
    late = [
        await run(database, claim_task, ADMIN, ClaimTask(name))
        for name, task in zip(names, claims, strict=True)
        if task is None
    ]
    won += [task.task_id for task in late if task is not None]
    assert sorted(won) == sorted(made)


async def test_one_agent_never_holds_more_than_its_concurrency(database: Database) -> None:
    await an_agent(database, concurrency=2)
    for _ in range(6):
        await a_task(database)

    async def claim() -> Any:
        try:
            return await run(database, claim_task, JAMES, ClaimTask("james-dev"))
        except AgentAtCapacity as error:
            return error

    outcomes = await asyncio.gather(*(claim() for _ in range(6)))
    assert sum(not isinstance(outcome, HubError) and outcome is not None for outcome in outcomes) == 2
    agent = await row_of(database, agents, agent_id="james-dev")
    assert agent.status == "busy"


async def test_a_task_is_offered_to_those_who_fit_and_when_it_may_begin(database: Database) -> None:
    await an_agent(database, "james-dev", AgentRole.DEVELOPER, capabilities=["python"])
    await an_agent(database, "quinn-qa", AgentRole.QA, capabilities=["python", "load"])
    first = await a_task(database, required_role=AgentRole.QA, required_capabilities=["load"])
    second = await a_task(database, depends_on=[first.task_id])
    assert await run(database, claim_task, JAMES, ClaimTask("james-dev")) is None
    with pytest.raises(Blocked, match="does not fit"):
        await run(database, claim_task, JAMES, ClaimTask("james-dev", first.task_id))
    with pytest.raises(Blocked, match="depends on"):
        await run(database, claim_task, JAMES, ClaimTask("james-dev", second.task_id))
    claimed = await run(database, claim_task, ADMIN, ClaimTask("quinn-qa"))
    assert claimed.task_id == first.task_id
    started = await run(database, start_task, ADMIN, StartTask(first.task_id, claimed.version))
    await run(database, complete_task, ADMIN, CompleteTask(first.task_id, started.version, None))
    assert (await run(database, claim_task, JAMES, ClaimTask("james-dev"))).task_id == second.task_id


async def test_claims_that_fail_say_why_and_change_nothing(database: Database) -> None:
    await an_agent(database)
    await an_agent(database, "jane-dev")
    task = await a_task(database)
    with pytest.raises(StaleVersion) as stale:
        await run(database, claim_task, JAMES, ClaimTask("james-dev", task.task_id, 7))
    assert stale.value.current == 1
    await run(database, claim_task, JAMES, ClaimTask("james-dev", task.task_id, 1))
    before = await count(database, event_log)
    with pytest.raises(ClaimLost, match="held by james-dev"):
        await run(database, claim_task, ADMIN, ClaimTask("jane-dev", task.task_id))
    with pytest.raises(NotFound):
        await run(database, claim_task, ADMIN, ClaimTask("jane-dev", new_id()))
    with pytest.raises(NotFound, match="no agent nobody-here"):
        await run(database, claim_task, ADMIN, ClaimTask("nobody-here"))
    with pytest.raises(InvalidInput, match="lower-case words"):
        await run(database, claim_task, ADMIN, ClaimTask("Nobody"))
    await run(database, set_agent_status, ADMIN, SetAgentStatus("jane-dev", AgentStatus.OFFLINE))
    other = await a_task(database)
    with pytest.raises(AgentUnavailable):
        await run(database, claim_task, ADMIN, ClaimTask("jane-dev", other.task_id))
    assert await count(database, event_log) == before + 2


async def test_only_the_holder_answers_and_only_with_the_present_version(database: Database) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    jane = agent_principal("jane-dev")
    attempts: list[tuple[Any, Any]] = [
        (start_task, StartTask(task.task_id, task.version)),
        (complete_task, CompleteTask(task.task_id, task.version, 1)),
        (fail_task, FailTask(task.task_id, task.version, "no")),
        (release_task, ReleaseTask(task.task_id, task.version)),
        (report_progress, ReportTaskProgress(task.task_id, "half", 50)),
    ]
    for service, command in attempts:
        with pytest.raises(ClaimLost, match="held by james-dev, not by jane-dev"):
            await run(database, service, jane, command)
    with pytest.raises(StaleVersion):
        await run(database, complete_task, JAMES, CompleteTask(task.task_id, task.version - 1, 1))
    with pytest.raises(IllegalTransition):
        await run(database, start_task, JAMES, StartTask(task.task_id, task.version))
    assert (await row_of(database, tasks, task_id=task.task_id)).version == task.version


async def test_an_answer_that_comes_while_the_task_moves_on_is_refused(database: Database) -> None:
    await an_agent(database)
    await an_agent(database, "jane-dev")
    task = await a_running_task(database)
    moved, go_on = asyncio.Event(), asyncio.Event()

    async def hand_over(session: AsyncConnection) -> None:
        await release_tasks_of(session, ["james-dev"], "hub", "gone")
        await claim_task(session, ADMIN, ClaimTask("jane-dev", task.task_id))
        moved.set()
        await go_on.wait()

    handing = asyncio.create_task(database.transact(hand_over))
    await moved.wait()

    async def answer(session: AsyncConnection) -> Any:
        return await answer_task(session, JAMES, task.task_id, None, TaskKind.WORK, "late")

    answering = asyncio.create_task(database.transact(answer))
    await asyncio.sleep(0.2)
    go_on.set()
    await handing
    with pytest.raises(ClaimLost, match="held by jane-dev, not by james-dev"):
        await answering
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "assigned"


async def test_progress_is_pushed_and_kept_without_a_new_version(database: Database) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    for percent in (10, 60):
        await run(database, report_progress, JAMES, ReportTaskProgress(task.task_id, f"at {percent}", percent))
    kept = await row_of(database, task_progress, task_id=task.task_id)
    assert (kept.message, float(kept.percent)) == ("at 60", 60.0)
    assert (await row_of(database, tasks, task_id=task.task_id)).version == task.version
    assert [event[0] for event in await events_of(database, task.task_id)][-2:] == ["progressed", "progressed"]
    with pytest.raises(InvalidInput):
        await run(database, report_progress, JAMES, ReportTaskProgress(task.task_id, "beyond", 101))


async def test_release_and_failure_count_differently_and_both_wake_the_execution(database: Database) -> None:
    await an_agent(database)
    execution = await an_execution(database)
    task = await a_running_task(database, execution_id=execution.execution_id)
    released = await run(database, release_task, JAMES, ReleaseTask(task.task_id, task.version, "stopping"))
    assert (released.status, released.assigned_agent_id, released.attempts, released.failures) == (
        "pending",
        None,
        1,
        0,
    )
    claimed = await run(database, claim_task, JAMES, ClaimTask("james-dev"))
    started = await run(database, start_task, JAMES, StartTask(task.task_id, claimed.version))
    failed = await run(database, fail_task, JAMES, FailTask(task.task_id, started.version, "broken", {"log": "x"}))
    assert (failed.status, failed.attempts, failed.failures) == ("failed", 2, 1)
    assert failed.result == {"error": "broken", "output": {"log": "x"}}
    woken = await row_of(database, workflow_executions, execution_id=execution.execution_id)
    assert woken.wake_seq == execution.wake_seq + 2
    assert (await row_of(database, agents, agent_id="james-dev")).status == "idle"


@pytest.mark.parametrize(
    ("command", "error", "field", "match"),
    [
        (CreateTask(""), InvalidInput, "title", "title must not be empty"),
        (CreateTask("x" * 201), InvalidInput, "title", "longer than 200"),
        (CreateTask("x", complexity=0), InvalidInput, "complexity", "from 1 to 10"),
        (CreateTask("x", complexity=11), InvalidInput, "complexity", "from 1 to 10"),
        (CreateTask("a\x00b"), InvalidInput, "title", "cannot be stored"),
        (CreateTask("x", required_capabilities=[" "]), InvalidInput, "requiredCapabilities", "must not be empty"),
        (CreateTask("x", required_capabilities=["a"] * 51), InvalidInput, "requiredCapabilities", "at most 50"),
        (CreateTask("x", input={"a": float("nan")}), InvalidInput, "input", "cannot carry"),
        (CreateTask("x", depends_on=[new_id()]), NotFound, "dependsOn", "There is no task"),
        (CreateTask("x", execution_id=new_id()), NotFound, "executionId", "There is no workflow execution"),
        (CreateTask("x", decision_id=new_id()), NotFound, "decisionId", "There is no decision"),
    ],
)
async def test_bad_tasks_are_refused_before_anything_is_written(
    database: Database, command: CreateTask, error: type[HubError], field: str, match: str
) -> None:
    with pytest.raises(error, match=match) as caught:
        await run(database, create_task, ADMIN, command)
    assert caught.value.field == f"input.{field}"
    assert await count(database, tasks) == 0
    assert await count(database, event_log) == 0
