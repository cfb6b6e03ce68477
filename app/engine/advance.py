"""One pass through a phase, as far as it can go now, in one transaction that may be repeated at any time.

The step's row says whether the pass was begun and whether it is over, so a crash at any point, before or after any
commit, repeats nothing.
"""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Event
from app.domain.templates import AnyPhase, DecisionPhase, FunctionPhase, GatePhase, ParallelPhase, TaskPhase
from app.domain.workflows import StepStatus, phase_of_retry, require_next_step
from app.engine.failing import fail_execution
from app.engine.leases import Execution
from app.engine.phases import decision, function, gate, parallel, task
from app.engine.phases.base import ACTOR, Done, Failed, Judgement, Own, PhaseKind, Visit, Waiting, following
from app.engine.phases.withdrawal import cancel_unfinished
from db.queries.changes import amend, append
from db.queries.entities import EXECUTION
from db.queries.steps import begin_step, end_step, find_step, last_numbers, latest_step

KINDS: dict[type[AnyPhase], PhaseKind] = {
    DecisionPhase: decision,
    TaskPhase: task,
    ParallelPhase: parallel,
    GatePhase: gate,
    FunctionPhase: function,
}


Way = str | Visit[FunctionPhase] | None
"""Where a pass leads: the next phase's name, empty at the end; the pass itself while the worker must act for it; None
while others must act first."""


@dataclass(frozen=True)
class Standing:
    """How a pass stands. After a retry it is one that has failed, after a skip one that was skipped: the graph, which
    came to its end with it or waits in it, must begin anew.
    """

    step_number: int
    way: Way
    retried: bool = False


async def advance(session: AsyncConnection, execution: Execution, phase_name: str, step_number: int) -> Way:
    """Begin the pass, or see how it stands.

    The end is the last phase's, or a failed one's, with which the execution has failed. Raises `LostLease`.
    """
    step = await find_step(session, execution.execution_id, step_number)
    if step is None:
        return await _begin(session, execution, phase_name, step_number)
    return await _go_on(session, execution, step)


async def look(session: AsyncConnection, execution: Execution) -> Standing | None:
    """How the latest pass stands, brought as far as it can go now; None before the first. Raises `LostLease`."""
    step = await latest_step(session, execution.execution_id)
    if step is None:
        await execution.hold(session)
        return None
    if step.step_status == StepStatus.FAILED.value:
        await execution.hold(session)
        return Standing(step.step_number, phase_of_retry(step.phase, step.outcome), retried=True)
    if step.step_status == StepStatus.SKIPPED.value:
        await execution.hold(session)
        return Standing(step.step_number, following(_visit(execution, step)), retried=True)
    return Standing(step.step_number, await _go_on(session, execution, step))


async def _begin(session: AsyncConnection, execution: Execution, phase_name: str, step_number: int) -> Way:
    latest, attempts = await last_numbers(session, execution.execution_id, phase_name)
    visit = Visit(execution, execution.template.phase(phase_name), step_number, attempts + 1)
    kind = KINDS[type(visit.phase)]
    await kind.prepare(session, visit)
    await execution.hold(session)
    require_next_step(latest, step_number)
    await begin_step(session, execution.execution_id, step_number, phase_name, visit.attempt)
    values = {"current_phase": phase_name, "last_activity": func.clock_timestamp()}
    await amend(session, EXECUTION, execution.execution_id, "step_started", ACTOR, values=values, detail=visit.detail)
    judgement = await kind.enter(session, visit)
    if isinstance(judgement, Failed):
        await cancel_unfinished(session, execution.execution_id, judgement.reason)
    return await _record(session, visit, judgement)


async def _go_on(session: AsyncConnection, execution: Execution, step: Row[Any]) -> Way:
    if step.step_status != StepStatus.RUNNING.value:
        await execution.hold(session)
        return str(step.outcome.get("next_phase", ""))
    visit = _visit(execution, step)
    judgement = await KINDS[type(visit.phase)].judge(session, visit)
    if isinstance(judgement, Failed):
        await cancel_unfinished(session, execution.execution_id, judgement.reason)
    await execution.hold(session)
    return await _record(session, visit, judgement)


def _visit(execution: Execution, step: Row[Any]) -> Visit[AnyPhase]:
    return Visit(execution, execution.template.phase(step.phase), step.step_number, step.attempt)


async def _record(session: AsyncConnection, visit: Visit[AnyPhase], judgement: Judgement) -> Way:
    execution_id = visit.execution.execution_id
    match judgement:
        case Waiting():
            return None
        case Own():
            return cast("Visit[FunctionPhase]", visit)
        case Failed(reason, outcome, retry_phase):
            if retry_phase is not None:
                outcome = {**outcome, "retry_phase": retry_phase}
            await fail_execution(session, execution_id, visit.detail, reason, step_outcome=outcome)
            return ""
        case Done(result, back_to):
            next_phase = following(visit) if back_to is None else back_to
            outcome = {**result, "next_phase": next_phase}
            await end_step(session, execution_id, visit.step_number, StepStatus.COMPLETED, outcome)
            detail = {**visit.detail, "outcome": outcome}
            await append(session, str(execution_id), Event(Aggregate.WORKFLOW, "step_completed", ACTOR, detail=detail))
            return next_phase


async def fail_pass(session: AsyncConnection, visit: Visit[AnyPhase], reason: str) -> None:
    """Fail the pass and the execution with it. Raises `LostLease`."""
    await cancel_unfinished(session, visit.execution.execution_id, reason)
    await visit.execution.hold(session)
    await _record(session, visit, Failed(reason))
