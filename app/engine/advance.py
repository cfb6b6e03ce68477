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
from app.domain.flow_phases import BranchPhase, LoopPhase, WaitPhase, WorkflowPhase
from app.domain.gate_phase import GatePhase
from app.domain.templates import AnyPhase, DecisionPhase, FunctionPhase, ParallelPhase, TaskPhase
from app.domain.workflows import ErrorSeverity, StepStatus, phase_of_retry, require_next_step
from app.engine.failing import fail_execution
from app.engine.leases import Execution
from app.engine.mending import mend
from app.engine.phases import branch, decision, function, gate, loop, parallel, task, wait, workflow
from app.engine.phases.base import (
    ACTOR,
    Caught,
    Done,
    Failed,
    Judgement,
    Own,
    PhaseKind,
    Visit,
    Waiting,
    following,
)
from app.services.workflow_errors import fail_step, note_error
from db.queries.changes import amend, append
from db.queries.entities import EXECUTION
from db.queries.executions import arm, arm_at, disarm, is_over
from db.queries.steps import begin_step, end_step, find_step, last_numbers, latest_step

KINDS: dict[type[AnyPhase], PhaseKind] = {
    DecisionPhase: decision,
    TaskPhase: task,
    ParallelPhase: parallel,
    GatePhase: gate,
    FunctionPhase: function,
    BranchPhase: branch,
    LoopPhase: loop,
    WaitPhase: wait,
    WorkflowPhase: workflow,
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
    if step.step_status == StepStatus.FAILED.value and "next_phase" not in step.outcome:
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
        judgement = await mend(session, visit, judgement)
    return await _record(session, visit, judgement)


async def _go_on(session: AsyncConnection, execution: Execution, step: Row[Any]) -> Way:
    if step.step_status != StepStatus.RUNNING.value:
        await execution.hold(session)
        return await _after(session, step)
    visit = _visit(execution, step)
    judgement = await KINDS[type(visit.phase)].judge(session, visit)
    if isinstance(judgement, Waiting):
        judgement = await _in_time(session, visit, judgement)
    if isinstance(judgement, Failed):
        judgement = await mend(session, visit, judgement)
    await execution.hold(session)
    return await _record(session, visit, judgement)


async def _after(session: AsyncConnection, step: Row[Any]) -> Way:
    """Where a pass that has ended leads; None while another try is to wait."""
    pause = step.outcome.get("pause_seconds", 0)
    if pause and not await is_over(session, step.execution_id, step.step_number, pause):
        await arm(session, step.execution_id, step.step_number, pause)
        return None
    return str(step.outcome.get("next_phase", ""))


async def _in_time(session: AsyncConnection, visit: Visit[AnyPhase], waiting: Waiting) -> Judgement:
    """The judgement, or what follows from the phase's time-out."""
    phase, limit = visit.phase, _limit(visit.phase)
    if limit is None or not await is_over(session, visit.execution.execution_id, visit.step_number, limit):
        return waiting
    if isinstance(phase, WaitPhase) and phase.on_timeout is not None:
        return Done({"timed_out": True}, leads_to=phase.on_timeout)
    return Failed(f"The phase {phase.name!r} took over {limit:g} s.", {"timed_out": True})


def _visit(execution: Execution, step: Row[Any]) -> Visit[AnyPhase]:
    return Visit(execution, execution.template.phase(step.phase), step.step_number, step.attempt)


def _limit(phase: AnyPhase) -> float | None:
    """Seconds after which a pass that waits has failed. A gate is escalated instead, and waited for."""
    return None if isinstance(phase, GatePhase) else phase.timeout_seconds


async def _record(session: AsyncConnection, visit: Visit[AnyPhase], judgement: Judgement) -> Way:
    execution_id = visit.execution.execution_id
    match judgement:
        case Waiting():
            await _set_timers(session, visit, judgement)
            return None
        case Own():
            return cast("Visit[FunctionPhase]", visit)
        case Failed(reason, outcome, retry_phase):
            if retry_phase is not None:
                outcome = {**outcome, "retry_phase": retry_phase}
            await fail_execution(session, execution_id, visit.detail, reason, step_outcome=outcome)
            return ""
        case Caught():
            return await _catch(session, visit, judgement)
        case Done(result, back_to, leads_to):
            next_phase = back_to if back_to is not None else following(visit, leads_to)
            outcome = {**result, "next_phase": next_phase}
            await end_step(session, execution_id, visit.step_number, StepStatus.COMPLETED, outcome)
            if _limit(visit.phase) is not None or isinstance(visit.phase, WaitPhase):
                await disarm(session, execution_id)
            detail = {**visit.detail, "outcome": outcome}
            await append(session, str(execution_id), Event(Aggregate.WORKFLOW, "step_completed", ACTOR, detail=detail))
            return next_phase


async def fail_pass(session: AsyncConnection, visit: Visit[AnyPhase], reason: str) -> Way:
    """Fail the pass; where it leads then, the end if the execution has failed with it. Raises `LostLease`."""
    judgement = await mend(session, visit, Failed(reason))
    await visit.execution.hold(session)
    return await _record(session, visit, judgement)


async def _catch(session: AsyncConnection, visit: Visit[AnyPhase], caught: Caught) -> Way:
    """Fail the pass alone, which the error log tells too."""
    execution_id = visit.execution.execution_id
    outcome = {**caught.outcome, "next_phase": caught.next_phase, "pause_seconds": caught.seconds}
    await fail_step(session, execution_id, ACTOR, visit.detail, caught.reason, outcome)
    detail = {**visit.detail, "next_phase": caught.next_phase}
    await note_error(session, execution_id, ACTOR, ErrorSeverity.WARNING, caught.reason, detail)
    if not caught.seconds:
        return caught.next_phase
    await arm(session, execution_id, visit.step_number, caught.seconds)
    return None


async def _set_timers(session: AsyncConnection, visit: Visit[AnyPhase], waiting: Waiting) -> None:
    execution_id = visit.execution.execution_id
    seconds = [each for each in (_limit(visit.phase), waiting.seconds) if each is not None]
    if seconds:
        await arm(session, execution_id, visit.step_number, min(seconds))
    if waiting.until is not None:
        await arm_at(session, execution_id, waiting.until)
