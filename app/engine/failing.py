"""The end of an execution that cannot go on, and the errors that may come before it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, null
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.domain.workflows import ErrorSeverity, ExecutionStatus, StepStatus
from app.engine.phases.base import ACTOR
from db.queries.changes import append, transition
from db.queries.entities import EXECUTION
from db.queries.steps import end_step, log_error
from db.tables.workflows import workflow_executions

SHOWN = 500
"""Characters of a reason in events and steps; the error's row has all of it."""


async def fail_execution(
    session: AsyncConnection,
    execution_id: UUID,
    where: Mapping[str, Any],
    reason: str,
    error_detail: Mapping[str, Any] | None = None,
) -> None:
    """Running → failed, with the step under way, if any (`where`: its phase, attempt and number, which is 0 for none).

    The caller holds the fence and has cancelled the open tasks.
    """
    told = {**where, "reason": reason[:SHOWN]}
    if where["step_number"] and await end_step(
        session, execution_id, where["step_number"], StepStatus.FAILED, {"reason": reason[:SHOWN]}
    ):
        await append(session, str(execution_id), Event(Aggregate.WORKFLOW, "step_failed", ACTOR, detail=told))
    await note_error(session, execution_id, ErrorSeverity.CRITICAL, reason, {**where, **(error_detail or {})})
    await transition(
        session,
        EXECUTION,
        execution_id,
        ExecutionStatus.FAILED,
        "failed",
        ACTOR,
        values=ended(),
        detail=told,
    )


def ended() -> dict[str, Any]:
    """The columns of an execution that has come to an end: no lease, and no wake-up that is still to be looked at."""
    return {
        "completed_at": func.clock_timestamp(),
        "last_activity": func.clock_timestamp(),
        "handled_seq": workflow_executions.c.wake_seq,
        "lease_owner": null(),
        "lease_until": null(),
    }


async def note_error(
    session: AsyncConnection, execution_id: UUID, severity: ErrorSeverity, message: str, detail: Mapping[str, Any]
) -> None:
    """Log an error of the execution, with its event."""
    error_id = await log_error(session, execution_id, detail.get("phase"), severity, message, detail)
    told = {"error_id": str(error_id), "severity": severity.value, "phase": detail.get("phase")}
    event = Event(Aggregate.WORKFLOW, "error_logged", ACTOR, detail={**told, "message": message[:SHOWN]})
    await append(session, str(execution_id), event)
