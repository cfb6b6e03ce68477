"""Skipping a phase: an execution goes on without what the phase was to bring."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, Forbidden
from app.domain.principals import Principal, Role
from app.domain.rules import required_text
from app.domain.tasks import REASON_MAX
from app.domain.workflows import ExecutionStatus, StepStatus, WrongStatus
from app.services.references import find
from app.services.task_ends import cancel_open_tasks
from app.services.turns import require_turn
from app.services.workflow_children import cancel_children
from app.services.workflows import read_expected, taken_from_its_worker, woken
from db.queries.changes import amend, transition
from db.queries.entities import EXECUTION
from db.queries.steps import latest_step, skip_step
from db.queries.templates import kind_of_phase

SKIPPABLE = (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED, ExecutionStatus.FAILED)
GATE = "gate"


@dataclass(frozen=True)
class SkipPhase:
    """Go on without the phase under way, or without the one that failed."""

    execution_id: UUID
    expected_version: int
    reason: str


async def skip_phase(session: AsyncConnection, principal: Principal, command: SkipPhase) -> Row[Any]:
    """End the latest step as skipped, with the reason; its open tasks are cancelled. A failed execution runs again.

    Whoever works on it loses the fence, so nothing of the phase is recorded any more; the next look begins the phase
    that follows. Its result is null to later phases, which are told why. A gate is skipped by ADMIN only: that lets the
    work pass without a verdict. Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`, `Forbidden`,
    `AlreadyRunning`; `Blocked` when no phase is under way.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    execution = await read_expected(session, command)
    status = ExecutionStatus(execution.execution_status)
    if status not in SKIPPABLE:
        raise WrongStatus(status, ExecutionStatus.RUNNING, ExecutionStatus.RUNNING, "made to skip its phase")
    step = await latest_step(session, execution.execution_id)
    if step is None or step.step_status not in (StepStatus.RUNNING.value, StepStatus.FAILED.value):
        raise _nothing_under_way(execution)
    await _require_right(session, principal, execution, step.phase)
    if status is ExecutionStatus.FAILED:
        await require_turn(session, execution)
    told = {"phase": step.phase, "attempt": step.attempt, "step_number": step.step_number, "reason": reason}
    await cancel_children(session, execution.execution_id, principal.name, _cancelled_with(reason))
    await cancel_open_tasks(session, execution.execution_id, principal.name, _cancelled_with(reason), step.phase)
    # the row is ours before its steps are touched, as it is for workers
    await find(session, EXECUTION, execution.execution_id, "executionId", lock=True)
    skipped = {"skipped": {"by": principal.name, "reason": reason}}
    if await skip_step(session, execution.execution_id, step.step_number, skipped) is None:
        raise _nothing_under_way(execution)
    changed = await _go_on(session, principal, command, status, told)
    # a worker may have added tasks between the first sweep and the moment the fence was taken from it
    await cancel_open_tasks(session, execution.execution_id, principal.name, _cancelled_with(reason), step.phase)
    return changed


async def _go_on(
    session: AsyncConnection, principal: Principal, command: SkipPhase, status: ExecutionStatus, told: dict[str, Any]
) -> Row[Any]:
    values = {**taken_from_its_worker(), **woken()}
    expected = command.expected_version
    if status is not ExecutionStatus.FAILED:
        return await amend(
            session,
            EXECUTION,
            command.execution_id,
            "step_skipped",
            principal.name,
            expected_version=expected,
            values=values,
            detail=told,
        )
    return await transition(
        session,
        EXECUTION,
        command.execution_id,
        ExecutionStatus.RUNNING,
        "step_skipped",
        principal.name,
        expected_version=expected,
        values={**values, "completed_at": None, "last_activity": func.clock_timestamp()},
        detail=told,
    )


async def _require_right(session: AsyncConnection, principal: Principal, execution: Row[Any], phase: str) -> None:
    kind = await kind_of_phase(session, execution.workflow_name, execution.template_version, phase)
    if kind == GATE and principal.role is not Role.ADMIN:
        raise Forbidden(
            f"The phase {phase!r} is a quality gate, without which work does not go on; only ADMIN may skip one. "
            "Nothing was changed; decide on the gate instead."
        )


def _cancelled_with(reason: str) -> str:
    return f"its phase was skipped: {reason}"


def _nothing_under_way(execution: Row[Any]) -> Blocked:
    return Blocked(
        f"No phase of the execution {execution.execution_id} is under way or has failed. Nothing was changed; read it "
        "again in a moment."
    )
