"""Workflow executions: start, pause, resume, retry, fail and cancel; the engine does the rest.

What stops an execution takes the fence and the lease from the worker that has it: that one writes nothing more and
stops by itself. What sets it going only changes rows and wakes it. Why, and where a retry goes on: docs/adr/0017.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import func, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.concurrency import limit_of
from app.domain.errors import StaleVersion
from app.domain.principals import Principal
from app.domain.quality_gates import ApprovalStatus, GateType
from app.domain.rules import NAME_MAX, clean_text, required_text
from app.domain.tasks import REASON_MAX, TaskStatus
from app.domain.workflows import (
    EXECUTION_MACHINE,
    ErrorSeverity,
    ExecutionStatus,
    StepStatus,
    TriggerType,
    phase_of_retry,
    require_status,
)
from app.services.gate_creation import CreateGate, store_gate
from app.services.gate_ends import close_gates, reopen_gates
from app.services.references import Reference, find, require_known
from app.services.task_ends import cancel_open_tasks
from app.services.tasks import task_detail
from app.services.turns import begin_execution, require_turn
from app.services.workflow_children import cancel_children
from app.services.workflow_errors import fail_step, note_error
from app.services.workflow_inputs import checked_input, latest_template
from db.queries.changes import transition
from db.queries.checkpoints import prune
from db.queries.entities import DECISION, EXECUTION, TASK
from db.queries.phase_results import gates_at_the_end
from db.queries.steps import latest_step
from db.queries.tasks import open_of_execution
from db.tables.workflows import workflow_executions

EXECUTIONS = workflow_executions.c


@dataclass(frozen=True)
class StartWorkflow:
    """Run a template with this input."""

    workflow_name: str
    input_context: Mapping[str, Any] = field(default_factory=dict)
    trigger_type: TriggerType = TriggerType.MANUAL
    decision_id: UUID | None = None
    run: "ScheduledRun | None" = None


@dataclass(frozen=True)
class ScheduledRun:
    """The run of a schedule that an execution is: for its moment, or None where somebody asked for it now."""

    schedule_id: UUID
    schedule_name: str
    scheduled_for: datetime | None = None


async def start_workflow(session: AsyncConnection, principal: Principal, command: StartWorkflow) -> Row[Any]:
    """Store a pending execution of the template's latest version; a worker takes it up at once, or when its turn comes.

    Raises `UnknownTemplate`, `InvalidInput`, `NotFound` for the decision, `AlreadyRunning`.
    """
    clean_text("workflowName", command.workflow_name, NAME_MAX)
    template = await latest_template(session, command.workflow_name)
    version, input_context = template.template_version, checked_input(command.input_context, template)
    await require_known(session, [Reference("decisionId", DECISION, command.decision_id)])
    values = {
        "workflow_name": command.workflow_name,
        "template_version": version,
        "trigger_type": command.trigger_type.value,
        "triggered_by": triggered_by(principal),
        "input_context": input_context,
        "decision_id": command.decision_id,
        **_of_schedule(command.run),
    }
    detail = {"workflow_name": command.workflow_name, "template_version": version}
    return await begin_execution(session, principal, values, limit_of(template.concurrency, input_context), detail)


def triggered_by(principal: Principal) -> str:
    """Who starts an execution, as it is kept."""
    return required_text("triggeredBy", principal.agent_id or principal.name, NAME_MAX)


def _of_schedule(run: ScheduledRun | None) -> dict[str, Any]:
    if run is None:
        return {}
    columns = {"schedule_id": run.schedule_id, "scheduled_for": run.scheduled_for}
    return columns if run.scheduled_for is None else {**columns, "triggered_by": f"schedule {run.schedule_name}"}


@dataclass(frozen=True)
class PauseWorkflow:
    """Hold an execution where it is; agents may finish what they have."""

    execution_id: UUID
    expected_version: int
    reason: str = ""


async def pause_workflow(session: AsyncConnection, principal: Principal, command: PauseWorkflow) -> Row[Any]:
    """Running → paused: no phase begins or ends before it is resumed; tasks and verdicts go on and are kept.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    reason = clean_text("reason", command.reason, REASON_MAX)
    await find(session, EXECUTION, command.execution_id, "executionId")
    values = {**taken_from_its_worker(), "last_activity": func.clock_timestamp()}
    return await _transition(session, principal, command, ExecutionStatus.PAUSED, "paused", values, {"reason": reason})


@dataclass(frozen=True)
class ResumeWorkflow:
    """Let a paused execution go on."""

    execution_id: UUID
    expected_version: int


async def resume_workflow(session: AsyncConnection, principal: Principal, command: ResumeWorkflow) -> Row[Any]:
    """Paused → running, and woken: what was done meanwhile counts now.

    Raises `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    await _read_as(session, command, ExecutionStatus.PAUSED, "resumed")
    return await _transition(session, principal, command, ExecutionStatus.RUNNING, "resumed", woken())


@dataclass(frozen=True)
class RetryWorkflow:
    """Let a failed execution go on with the phase that failed."""

    execution_id: UUID
    expected_version: int
    reason: str = ""


async def retry_workflow(session: AsyncConnection, principal: Principal, command: RetryWorkflow) -> Row[Any]:
    """Failed → running: the failed phase is begun anew, with tasks of its own; completed phases are not repeated.

    After a gate's rejection the phase is begun that the gate sends back to, where it names one. A rejected gate of no
    phase is put before the end again, as a new one. Raises `InvalidInput`, `NotFound`, `StaleVersion`,
    `IllegalTransition`, `AlreadyRunning`.
    """
    reason = clean_text("reason", command.reason, REASON_MAX)
    await require_turn(session, await _read_as(session, command, ExecutionStatus.FAILED, "retried"))
    await reopen_gates(session, command.execution_id, principal.name)
    await _drop_failed_tasks(session, principal, command.execution_id)
    await _ask_again(session, principal, command.execution_id)
    step = await latest_step(session, command.execution_id)
    failed = step is not None and step.step_status == StepStatus.FAILED.value
    detail = {"reason": reason, "phase": phase_of_retry(step.phase, step.outcome) if step and failed else None}
    values = {**woken(), **taken_from_its_worker(), "completed_at": None}
    return await _transition(session, principal, command, ExecutionStatus.RUNNING, "retried", values, detail)


@dataclass(frozen=True)
class FailWorkflow:
    """End an execution as failed."""

    execution_id: UUID
    expected_version: int
    reason: str


async def fail_workflow(session: AsyncConnection, principal: Principal, command: FailWorkflow) -> Row[Any]:
    """Running or paused → failed, with its open tasks cancelled, and an error that says who ended it and why.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    await _require_and_sweep(session, principal, command, ExecutionStatus.FAILED, reason)
    # the row is ours before its steps are touched, as it is for workers
    await find(session, EXECUTION, command.execution_id, "executionId", lock=True)
    await _note_failure(session, principal, command.execution_id, reason)
    return await _end(session, principal, command, ExecutionStatus.FAILED, "failed", reason)


@dataclass(frozen=True)
class CancelWorkflow:
    """Stop an execution for good."""

    execution_id: UUID
    expected_version: int
    reason: str


async def cancel_workflow(session: AsyncConnection, principal: Principal, command: CancelWorkflow) -> Row[Any]:
    """Cancel the execution and its open tasks, and take the fence from the worker that has it.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    await _require_and_sweep(session, principal, command, ExecutionStatus.CANCELLED, reason)
    return await _end(session, principal, command, ExecutionStatus.CANCELLED, "cancelled", reason)


class Expecting(Protocol):
    """A command about an execution as whoever gives it has read it."""

    @property
    def execution_id(self) -> UUID: ...
    @property
    def expected_version(self) -> int: ...


Ending = FailWorkflow | CancelWorkflow
Change = PauseWorkflow | ResumeWorkflow | RetryWorkflow | Ending


async def _require_and_sweep(
    session: AsyncConnection, principal: Principal, command: Ending, target: ExecutionStatus, reason: str
) -> None:
    """Close the open gates, cancel the open tasks and what it started: all of it is locked before the execution."""
    execution = await read_expected(session, command)
    EXECUTION_MACHINE.require(ExecutionStatus(execution.execution_status), target)
    await close_gates(session, command.execution_id, principal.name, reason)
    await cancel_children(session, command.execution_id, principal.name, reason)
    await cancel_open_tasks(session, command.execution_id, principal.name, reason)


async def _end(
    session: AsyncConnection,
    principal: Principal,
    command: Ending,
    target: ExecutionStatus,
    event_type: str,
    reason: str,
) -> Row[Any]:
    now = {"completed_at": func.clock_timestamp(), "last_activity": func.clock_timestamp()}
    values = {**taken_from_its_worker(), **now}
    ended = await _transition(session, principal, command, target, event_type, values, {"reason": reason})
    # a worker may have added some between the first sweep and the moment the fence was taken from it
    await close_gates(session, command.execution_id, principal.name, reason)
    await cancel_children(session, command.execution_id, principal.name, reason)
    await cancel_open_tasks(session, command.execution_id, principal.name, reason)
    # no worker takes it up again, to prune it as it does at an end that it comes to itself
    await prune(session, [str(command.execution_id)])
    return ended


async def _note_failure(session: AsyncConnection, principal: Principal, execution_id: UUID, reason: str) -> None:
    """Fail the step under way, and log who ended the execution and why."""
    step = await latest_step(session, execution_id)
    where = {}
    if step is not None and step.step_status == StepStatus.RUNNING.value:
        where = {"phase": step.phase, "attempt": step.attempt, "step_number": step.step_number}
        await fail_step(session, execution_id, principal.name, where, reason)
    message = f"{principal.name} ended the workflow as failed: {reason}"
    detail = {**where, "failed_by": principal.name}
    await note_error(session, execution_id, principal.name, ErrorSeverity.ERROR, message, detail)


async def _drop_failed_tasks(session: AsyncConnection, principal: Principal, execution_id: UUID) -> None:
    """Cancel what failed in phases: a phase that is begun anew has tasks of its own. Failed tasks of no phase stay."""
    for task in await open_of_execution(session, execution_id):
        if task.phase is not None:
            detail = task_detail(task) | {"reason": "the workflow is retried, its phase makes new tasks"}
            await transition(
                session, TASK, task.task_id, TaskStatus.CANCELLED, "cancelled", principal.name, detail=detail
            )


async def _ask_again(session: AsyncConnection, principal: Principal, execution_id: UUID) -> None:
    """For each rejected gate that keeps the execution from its end make a new one; the rejection stays recorded."""
    for gate in await gates_at_the_end(session, execution_id):
        if gate.approval_status == ApprovalStatus.REJECTED.value:
            again = CreateGate(execution_id, gate.gate_name, GateType(gate.gate_type), gate.validation_criteria)
            await store_gate(session, principal, again, gate.requested_by_decision_id)


async def _read_as(
    session: AsyncConnection, command: ResumeWorkflow | RetryWorkflow, needed: ExecutionStatus, act: str
) -> Row[Any]:
    """The execution. Raises `StaleVersion` or `IllegalTransition` unless it is what the command is for."""
    execution = await read_expected(session, command)
    require_status(ExecutionStatus(execution.execution_status), ExecutionStatus.RUNNING, needed, act)
    return execution


async def read_expected(session: AsyncConnection, command: Expecting) -> Row[Any]:
    """The execution. Raises `NotFound`, and `StaleVersion` before anything that its status forbids is told."""
    execution = await find(session, EXECUTION, command.execution_id, "executionId")
    if execution.version != command.expected_version:
        raise StaleVersion(EXECUTION.kind, execution.execution_id, command.expected_version, execution.version)
    return execution


async def _transition(
    session: AsyncConnection,
    principal: Principal,
    command: Change,
    target: ExecutionStatus,
    event_type: str,
    values: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> Row[Any]:
    return await transition(
        session,
        EXECUTION,
        command.execution_id,
        target,
        event_type,
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=detail,
    )


def taken_from_its_worker() -> dict[str, Any]:
    """The columns by which whoever works on an execution loses it."""
    return {"fence": EXECUTIONS.fence + 1, "lease_owner": null(), "lease_until": null()}


def woken() -> dict[str, Any]:
    """The columns by which a worker looks at an execution again."""
    return {"wake_seq": EXECUTIONS.wake_seq + 1, "last_activity": func.clock_timestamp()}
