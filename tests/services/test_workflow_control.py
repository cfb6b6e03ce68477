"""Start, pause, resume, retry, fail: what the services change in the rows, and what they refuse."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, IllegalTransition, InvalidInput, NotFound, StaleVersion, UnknownTemplate
from app.domain.ids import new_id
from app.domain.principals import Principal, Role
from app.domain.rules import JSON_MAX_DEPTH
from app.domain.workflows import ExecutionStatus, StepStatus
from app.services.tasks import CompleteTask, FailTask, complete_task, fail_task
from app.services.workflows import (
    CancelWorkflow,
    FailWorkflow,
    PauseWorkflow,
    ResumeWorkflow,
    RetryWorkflow,
    StartWorkflow,
    cancel_workflow,
    fail_workflow,
    pause_workflow,
    resume_workflow,
    retry_workflow,
    start_workflow,
)
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.queries.executions import claim, hold_fence, wake
from db.queries.steps import begin_step, end_step
from db.session import Database
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors, workflow_executions, workflow_steps
from tests.services.makers import (
    ADMIN,
    a_gate,
    a_running_task,
    a_task,
    a_template,
    agent_principal,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)

SERVICES: dict[str, tuple[Any, Any]] = {
    "pause": (pause_workflow, lambda execution_id, version: PauseWorkflow(execution_id, version, "why")),
    "resume": (resume_workflow, ResumeWorkflow),
    "retry": (retry_workflow, lambda execution_id, version: RetryWorkflow(execution_id, version, "why")),
    "fail": (fail_workflow, lambda execution_id, version: FailWorkflow(execution_id, version, "why")),
    "cancel": (cancel_workflow, lambda execution_id, version: CancelWorkflow(execution_id, version, "why")),
}
ALLOWED = {
    "pause": {"running"},
    "resume": {"paused"},
    "retry": {"failed"},
    "fail": {"running", "paused"},
    "cancel": {"pending", "running", "paused", "failed"},
}
WAYS: dict[str, tuple[ExecutionStatus, ...]] = {
    "pending": (),
    "running": (ExecutionStatus.RUNNING,),
    "paused": (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED),
    "failed": (ExecutionStatus.RUNNING, ExecutionStatus.FAILED),
    "completed": (ExecutionStatus.RUNNING, ExecutionStatus.COMPLETED),
    "cancelled": (ExecutionStatus.CANCELLED,),
}


async def execution_in(database: Database, status: str) -> Row[Any]:
    """An execution in this status."""
    row = await an_execution(database)
    for target in WAYS[status]:
        row = await database.transact(
            lambda session: transition(session, EXECUTION, row.execution_id, target, target.value, "test")  # noqa: B023
        )
    return row


async def a_step(database: Database, execution_id: UUID, number: int, phase: str, attempt: int = 1) -> None:
    await database.transact(lambda session: begin_step(session, execution_id, number, phase, attempt))


async def do(database: Database, name: str, execution_id: UUID, version: int) -> Row[Any]:
    service, command = SERVICES[name]
    row: Row[Any] = await run(database, service, ADMIN, command(execution_id, version))
    return row


async def claimed(database: Database) -> list[UUID]:
    rows = await database.transact(lambda session: claim(session, "worker", 30.0, 10))
    return [row.execution_id for row in rows]


@pytest.mark.parametrize("status", list(WAYS))
@pytest.mark.parametrize("name", list(SERVICES))
async def test_each_command_is_taken_in_its_statuses_only(database: Database, name: str, status: str) -> None:
    row = await execution_in(database, status)
    before = await count(database, event_log)
    if status in ALLOWED[name]:
        changed = await do(database, name, row.execution_id, row.version)
        assert changed.version == row.version + 1
        return
    with pytest.raises(IllegalTransition):
        await do(database, name, row.execution_id, row.version)
    assert await row_of(database, workflow_executions, execution_id=row.execution_id) == row
    assert await count(database, event_log) == before


@pytest.mark.parametrize("name", list(SERVICES))
async def test_what_is_stale_or_not_there_is_refused(database: Database, name: str) -> None:
    row = await execution_in(database, min(ALLOWED[name]))
    task = await a_task(database, execution_id=row.execution_id) if row.execution_status != "failed" else None
    before = await count(database, event_log)
    for version in (row.version - 1, row.version + 1):
        with pytest.raises(StaleVersion) as stale:
            await do(database, name, row.execution_id, version)
        assert stale.value.current == row.version
    with pytest.raises(NotFound) as missing:
        await do(database, name, new_id(), 1)
    assert missing.value.field == "input.executionId"
    assert await row_of(database, workflow_executions, execution_id=row.execution_id) == row
    assert await count(database, event_log) == before
    if task is not None:
        assert (await row_of(database, tasks, task_id=task.task_id)).status == "pending"


@pytest.mark.parametrize("reason", ["x" * 2_001, "a\x00b", "\ud800"])
async def test_reasons_that_cannot_be_kept(database: Database, reason: str) -> None:
    running = await execution_in(database, "running")
    commands: list[tuple[Any, Any]] = [(pause_workflow, PauseWorkflow), (fail_workflow, FailWorkflow)]
    for service, command in commands:
        with pytest.raises(InvalidInput) as error:
            await run(database, service, ADMIN, command(running.execution_id, running.version, reason))
        assert error.value.field == "input.reason"
    with pytest.raises(InvalidInput):
        await run(database, retry_workflow, ADMIN, RetryWorkflow(running.execution_id, running.version, reason))
    assert await row_of(database, workflow_executions, execution_id=running.execution_id) == running


@pytest.mark.parametrize("blank", ["", "  "])
async def test_an_end_needs_a_reason(database: Database, blank: str) -> None:
    running = await execution_in(database, "running")
    commands: list[tuple[Any, Any]] = [(cancel_workflow, CancelWorkflow), (fail_workflow, FailWorkflow)]
    for service, command in commands:
        with pytest.raises(InvalidInput, match="reason"):
            await run(database, service, ADMIN, command(running.execution_id, running.version, blank))


async def test_a_pause_takes_lease_and_fence_and_leaves_the_tasks(database: Database) -> None:
    await an_agent(database)
    row = await execution_in(database, "running")
    task = await a_running_task(database, execution_id=row.execution_id)
    assert await claimed(database) == [row.execution_id]
    paused = await run(database, pause_workflow, ADMIN, PauseWorkflow(row.execution_id, row.version, "lunch"))
    assert (paused.execution_status, paused.fence) == ("paused", row.fence + 2)
    assert (paused.lease_owner, paused.lease_until, paused.completed_at) == (None, None, None)
    assert not await database.transact(lambda session: hold_fence(session, row.execution_id, row.fence + 1))
    assert (await events_of(database, row.execution_id))[-1] == ("paused", "running", "paused", row.version + 1)
    (detail,) = await details(database, row.execution_id, "paused")
    assert detail == {"reason": "lunch"}
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "running"
    await run(database, complete_task, agent_principal("james-dev"), CompleteTask(task.task_id, task.version, {}))
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "completed"


async def test_while_paused_it_is_woken_but_not_claimed(database: Database) -> None:
    row = await execution_in(database, "paused")
    await database.transact(lambda session: wake(session, row.execution_id))
    woken = await row_of(database, workflow_executions, execution_id=row.execution_id)
    assert (woken.wake_seq, woken.handled_seq, await claimed(database)) == (row.wake_seq + 1, 0, [])
    resumed = await run(database, resume_workflow, ADMIN, ResumeWorkflow(row.execution_id, row.version))
    assert (resumed.execution_status, resumed.wake_seq) == ("running", row.wake_seq + 2)
    assert (await events_of(database, row.execution_id))[-1] == ("resumed", "paused", "running", row.version + 1)
    assert await claimed(database) == [row.execution_id]


async def test_of_many_at_once_one_wins(database: Database) -> None:
    row = await execution_in(database, "running")
    names = ["pause", "fail", "cancel"] * 3
    results = await asyncio.gather(
        *(do(database, name, row.execution_id, row.version) for name in names), return_exceptions=True
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert all(isinstance(result, HubError) for result in results if isinstance(result, BaseException))
    after = await row_of(database, workflow_executions, execution_id=row.execution_id)
    assert (after.version, after.fence) == (row.version + 1, row.fence + 1)


async def test_a_failure_by_a_person_says_who_and_why(database: Database) -> None:
    await an_agent(database)
    row = await execution_in(database, "running")
    await a_step(database, row.execution_id, 1, "build")
    held = await a_running_task(database, execution_id=row.execution_id)
    free = await a_task(database, execution_id=row.execution_id)
    pia = Principal("pia", Role.PM)
    failed = await run(database, fail_workflow, pia, FailWorkflow(row.execution_id, row.version, "no budget"))
    assert (failed.execution_status, failed.fence, failed.lease_owner) == ("failed", row.fence + 1, None)
    assert failed.completed_at is not None
    for task in (held, free):
        assert (await row_of(database, tasks, task_id=task.task_id)).status == "cancelled"
    assert (await row_of(database, agents, agent_id="james-dev")).status == "idle"
    step = await row_of(database, workflow_steps, execution_id=row.execution_id)
    assert (step.step_status, step.outcome) == (StepStatus.FAILED.value, {"reason": "no budget"})
    error = await row_of(database, workflow_errors, execution_id=row.execution_id)
    assert (error.severity, error.phase) == ("error", "build")
    assert error.message == "pia ended the workflow as failed: no budget"
    assert error.detail == {"phase": "build", "attempt": 1, "step_number": 1, "failed_by": "pia"}
    assert [event[0] for event in await events_of(database, row.execution_id)][-3:] == [
        "step_failed",
        "error_logged",
        "failed",
    ]


async def test_a_failure_before_the_first_step_is_one_too(database: Database) -> None:
    row = await execution_in(database, "running")
    await do(database, "fail", row.execution_id, row.version)
    error = await row_of(database, workflow_errors, execution_id=row.execution_id)
    assert (error.phase, error.detail) == (None, {"failed_by": "root"})
    retried = await do(database, "retry", row.execution_id, row.version + 1)
    assert retried.execution_status == "running"
    assert (await details(database, row.execution_id, "retried")) == [{"reason": "why", "phase": None}]


async def test_a_retry_wakes_it_and_drops_what_failed_in_phases(database: Database) -> None:
    await an_agent(database)
    row = await execution_in(database, "running")
    await a_step(database, row.execution_id, 1, "build")
    mine = [await a_failed_task(database, row.execution_id, phase) for phase in ("build", None)]
    end = {"reason": "it broke"}
    await database.transact(lambda session: end_step(session, row.execution_id, 1, StepStatus.FAILED, end))
    failed = await database.transact(
        lambda session: transition(session, EXECUTION, row.execution_id, ExecutionStatus.FAILED, "failed", "test")
    )
    assert await claimed(database) == []
    retried = await do(database, "retry", row.execution_id, failed.version)
    assert (retried.execution_status, retried.completed_at, retried.fence) == ("running", None, failed.fence + 1)
    assert retried.wake_seq == failed.wake_seq + 1
    assert (await events_of(database, row.execution_id))[-1] == ("retried", "failed", "running", retried.version)
    assert (await details(database, row.execution_id, "retried")) == [{"reason": "why", "phase": "build"}]
    states = [(await row_of(database, tasks, task_id=task_id)).status for task_id in mine]
    assert states == ["cancelled", "failed"]
    assert (await row_of(database, agents, agent_id="james-dev")).status == "idle"
    assert await claimed(database) == [row.execution_id]


async def test_a_retry_tells_the_phase_that_the_gate_sends_back_to(database: Database) -> None:
    row = await execution_in(database, "running")
    await a_step(database, row.execution_id, 1, "gate")
    end = {"reason": "rejected", "retry_phase": "build"}
    await database.transact(lambda session: end_step(session, row.execution_id, 1, StepStatus.FAILED, end))
    failed = await do(database, "fail", row.execution_id, row.version)
    await do(database, "retry", row.execution_id, failed.version)
    assert (await details(database, row.execution_id, "retried")) == [{"reason": "why", "phase": "build"}]


async def test_a_retry_replaces_rejected_gates_of_no_phase_once(database: Database) -> None:
    row = await execution_in(database, "running")
    rejected = {"approval_status": "rejected", "pm_decision": "no"}
    await a_gate(database, row.execution_id, gate_name="Licences", **rejected)
    await a_gate(database, row.execution_id, gate_name="Security", phase="gate", phase_attempt=1, **rejected)
    await a_gate(database, row.execution_id, gate_name="Open")
    for _ in range(2):
        failed = await do(database, "fail", row.execution_id, row.version)
        row = await do(database, "retry", row.execution_id, failed.version)
    made = await database.transact(
        lambda session: session.execute(
            select(quality_gates.c.gate_name, quality_gates.c.approval_status).order_by(quality_gates.c.gate_id)
        )
    )
    assert [tuple(gate) for gate in made] == [
        ("Licences", "rejected"),
        ("Security", "rejected"),
        ("Open", "pending"),
        ("Licences", "pending"),
    ]


async def a_failed_task(database: Database, execution_id: UUID, phase: str | None) -> UUID:
    task = await a_running_task(database, execution_id=execution_id)
    change = tasks.update().where(tasks.c.task_id == task.task_id).values(phase=phase)
    await database.transact(lambda session: session.execute(change))
    james = agent_principal("james-dev")
    await run(database, fail_task, james, FailTask(task.task_id, task.version, "it broke"))
    task_id: UUID = task.task_id
    return task_id


async def details(database: Database, execution_id: UUID, event_type: str) -> list[dict[str, Any]]:
    statement = select(event_log.c.detail).where(
        event_log.c.entity_id == str(execution_id), event_log.c.event_type == event_type
    )
    found = await database.transact(lambda session: session.execute(statement))
    return list(found.scalars())


async def test_a_command_waits_for_the_worker_that_writes_and_then_finds_itself_stale(database: Database) -> None:
    """The worker holds the row while it writes a step; a pause that read before is refused, and nothing is lost."""
    row = await execution_in(database, "running")
    holding, go = asyncio.Event(), asyncio.Event()

    async def write_a_step(session: AsyncConnection) -> None:
        assert await hold_fence(session, row.execution_id, row.fence)
        holding.set()
        await go.wait()
        await session.execute(
            text("UPDATE workflow_executions SET version = version + 1 WHERE execution_id = :id"),
            {"id": row.execution_id},
        )

    worker = asyncio.create_task(database.transact(write_a_step))
    await holding.wait()
    pause = asyncio.create_task(do(database, "pause", row.execution_id, row.version))
    await asyncio.sleep(0.2)
    assert not pause.done()
    go.set()
    await worker
    with pytest.raises(StaleVersion) as stale:
        await pause
    assert stale.value.current == row.version + 1
    assert (await do(database, "pause", row.execution_id, stale.value.current)).execution_status == "paused"


async def test_a_start_is_checked_before_anything_is_written(database: Database) -> None:
    await a_template(database)
    deep: dict[str, Any] = {}
    for _ in range(JSON_MAX_DEPTH + 1):
        deep = {"in": deep}
    refusals: list[tuple[StartWorkflow, type[HubError], str]] = [
        (StartWorkflow("plain", deep), InvalidInput, "input.inputContext"),
        (StartWorkflow("plain", {"key": "a\x00b"}), InvalidInput, "input.inputContext"),
        (StartWorkflow("plain", {"key": 2**64}), InvalidInput, "input.inputContext"),
        (StartWorkflow("plain", {"key": float("nan")}), InvalidInput, "input.inputContext"),
        (StartWorkflow("no-such"), UnknownTemplate, "input.workflowName"),
        (StartWorkflow("x" * 5_000), InvalidInput, "input.workflowName"),
        (StartWorkflow("plain", decision_id=new_id()), NotFound, "input.decisionId"),
    ]
    for command, error, field in refusals:
        with pytest.raises(error) as refused:
            await run(database, start_workflow, ADMIN, command)
        assert refused.value.field == field
    with pytest.raises(InvalidInput, match="triggeredBy"):
        await run(database, start_workflow, Principal(" ", Role.ADMIN), StartWorkflow("plain"))
    assert (await count(database, workflow_executions), await count(database, event_log)) == (0, 0)


async def test_two_starts_are_two_executions_of_who_started_them(database: Database) -> None:
    await a_template(database)
    first = await run(database, start_workflow, ADMIN, StartWorkflow("plain"))
    second = await run(database, start_workflow, agent_principal("john-pm", Role.PM), StartWorkflow("plain"))
    assert first.execution_id != second.execution_id
    assert (first.triggered_by, second.triggered_by) == ("root", "john-pm")
