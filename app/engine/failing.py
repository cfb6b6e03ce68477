"""The end of an execution that cannot go on."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, null
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.workflows import ErrorSeverity, ExecutionStatus
from app.engine.phases.base import ACTOR
from app.services.workflow_errors import SHOWN, fail_step, note_error
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.tables.workflows import workflow_executions


async def fail_execution(
    session: AsyncConnection,
    execution_id: UUID,
    where: Mapping[str, Any],
    reason: str,
    error_detail: Mapping[str, Any] | None = None,
    step_outcome: Mapping[str, Any] | None = None,
) -> None:
    """Running → failed, with the step under way, if any (`where`: its phase, attempt and number, which is 0 for none).

    The caller holds the fence and has cancelled the open tasks. A `retry_phase` in the step's outcome is where a retry
    goes on.
    """
    if where["step_number"]:
        await fail_step(session, execution_id, ACTOR, where, reason, step_outcome)
    detail = {**where, **(error_detail or {})}
    await note_error(session, execution_id, ACTOR, ErrorSeverity.CRITICAL, reason, detail)
    await transition(
        session,
        EXECUTION,
        execution_id,
        ExecutionStatus.FAILED,
        "failed",
        ACTOR,
        values=ended(),
        detail={**where, "reason": reason[:SHOWN]},
    )


def ended() -> dict[str, Any]:
    """The columns of an execution that has come to an end: no lease, no timer, no wake-up that nobody looked at."""
    return {
        "completed_at": func.clock_timestamp(),
        "last_activity": func.clock_timestamp(),
        "handled_seq": workflow_executions.c.wake_seq,
        "lease_owner": null(),
        "lease_until": null(),
        "wake_at": null(),
    }
