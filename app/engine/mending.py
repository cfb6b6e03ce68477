"""What becomes of a pass that failed: it is tried again, another phase goes on, or the execution fails with it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.templates import AnyPhase
from app.domain.workflows import StepStatus
from app.engine.phases.base import ACTOR, Caught, Failed, Visit
from app.engine.phases.withdrawal import cancel, cancel_unfinished
from app.services.workflow_children import cancel_children
from db.queries.steps import find_step
from db.queries.tasks import open_of_phase


async def mend(session: AsyncConnection, visit: Visit[AnyPhase], failed: Failed) -> Failed | Caught:
    """What the template says of the failure; whatever the pass still asks for is cancelled."""
    phase, execution_id = visit.phase, visit.execution.execution_id
    failures = 1 + (await _failures_before(session, visit) if phase.retry is not None else 0)
    outcome = {**failed.outcome, "failures": failures}
    caught: Caught | None = None
    if phase.retry is not None and failures < phase.retry.max_attempts:
        caught = Caught(failed.reason, outcome, phase.name, phase.retry.pause(failures))
    elif phase.on_failure is not None:
        caught = Caught(failed.reason, failed.outcome, phase.on_failure)
    if caught is None:
        await cancel_unfinished(session, execution_id, failed.reason)
        return failed
    await cancel_children(session, execution_id, ACTOR, failed.reason)
    await cancel(session, await open_of_phase(session, execution_id, phase.name), failed.reason)
    return caught


async def _failures_before(session: AsyncConnection, visit: Visit[AnyPhase]) -> int:
    """How often the phase has failed in a row up to this pass, and was tried again."""
    before = await find_step(session, visit.execution.execution_id, visit.step_number - 1)
    if before is None or before.step_status != StepStatus.FAILED.value or before.phase != visit.phase.name:
        return 0
    return int(before.outcome.get("failures", 0))
