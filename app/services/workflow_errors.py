"""What goes wrong in an execution, as rows and events: a step that failed, an error in the log."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.domain.workflows import ErrorSeverity, StepStatus
from app.security.scrubbing import scrub_json, scrub_text
from db.queries.changes import append
from db.queries.steps import end_step, log_error

SHOWN = 500
"""Characters of a reason in events and steps; the error's row has all of it."""


async def fail_step(
    session: AsyncConnection,
    execution_id: UUID,
    actor: str,
    where: Mapping[str, Any],
    reason: str,
    outcome: Mapping[str, Any] | None = None,
) -> None:
    """Fail a step under way, with its event; one that has ended stays as it is. `where` has its `step_number`."""
    # whole, then cut: half a secret is not recognised
    told = {"reason": scrub_text(reason).value[:SHOWN]}
    if await end_step(session, execution_id, where["step_number"], StepStatus.FAILED, {**(outcome or {}), **told}):
        event = Event(Aggregate.WORKFLOW, "step_failed", actor, detail={**where, **told})
        await append(session, str(execution_id), event)


async def note_error(
    session: AsyncConnection,
    execution_id: UUID,
    actor: str,
    severity: ErrorSeverity,
    message: str,
    detail: Mapping[str, Any],
) -> None:
    """Log an error of the execution, with its event. `detail` has the phase, where it happened in one.

    The words of an exception may carry what nobody sent through the API, so they are scrubbed here.
    """
    message, detail = scrub_text(message).value, scrub_json(detail).value
    phase = detail.get("phase")
    error_id = await log_error(session, execution_id, phase, severity, message, detail)
    told = {"error_id": str(error_id), "severity": severity.value, "phase": phase}
    event = Event(Aggregate.WORKFLOW, "error_logged", actor, detail={**told, "message": message[:SHOWN]})
    await append(session, str(execution_id), event)
