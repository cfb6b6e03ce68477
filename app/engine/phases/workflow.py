"""The phase `workflow`: other workflows, as executions of their own, whose end wakes this one."""

from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, InvalidInput
from app.domain.flow_phases import FOREACH_MAX, WorkflowPhase
from app.domain.template_parts import needed
from app.domain.workflows import ENDED, ExecutionStatus
from app.engine.phases.base import ACTOR, Done, Failed, Judgement, Visit, Waiting
from app.engine.phases.results import results_of
from app.engine.phases.values import variables
from app.services.workflow_children import cancel_children, start_children
from db.queries.children import children_of_step, last_reason


async def prepare(session: AsyncConnection, visit: Visit[WorkflowPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[WorkflowPhase]) -> Judgement:
    """Start one, or one for each item of the list."""
    phase = visit.phase
    try:
        inputs = await _inputs(session, visit)
        if needed(phase.join, len(inputs)) > len(inputs):
            return Failed(f"{needed(phase.join, len(inputs))} workflows must complete, and there are {len(inputs)}.")
        await start_children(session, visit.execution.execution_id, visit.step_number, phase.workflow, inputs, ACTOR)
    except HubError as error:
        return Failed(f"The workflow {phase.workflow!r} cannot be started: {error.message}")
    return Waiting() if inputs else Done({"workflows": 0})


async def judge(session: AsyncConnection, visit: Visit[WorkflowPhase]) -> Judgement:
    """Done when as many have completed as the phase joins; the others are cancelled then."""
    execution_id, phase = visit.execution.execution_id, visit.phase
    children = await children_of_step(session, execution_id, visit.step_number)
    ended = [child for child in children if child.execution_status in ENDED]
    completed = [child for child in ended if child.execution_status == ExecutionStatus.COMPLETED.value]
    least = needed(phase.join, len(children))
    if len(completed) >= least:
        if len(ended) < len(children):
            await cancel_children(session, execution_id, ACTOR, "enough of the others have completed")
        return Done({"workflows": len(children), "completed": len(completed)})
    if len(children) - len(ended) + len(completed) >= least:
        return Waiting()
    return await _lost(session, next(child for child in ended if child not in completed))


async def _lost(session: AsyncConnection, child: Row[Any]) -> Failed:
    where = f"The workflow {child.workflow_name!r} (execution {child.execution_id})"
    outcome = {"execution_id": str(child.execution_id)}
    if child.execution_status == ExecutionStatus.CANCELLED.value:
        return Failed(f"{where} was cancelled.", outcome)
    return Failed(f"{where} failed: {await last_reason(session, child.execution_id)}", outcome)


async def _inputs(session: AsyncConnection, visit: Visit[WorkflowPhase]) -> list[dict[str, Any]]:
    """What each is started with. Raises `InvalidInput`."""
    phase, execution = visit.phase, visit.execution
    expressions = phase.values()
    listed = [] if phase.items is None else [phase.items]
    values = await variables(session, execution, [*expressions.values(), *listed], visit.attempt)
    given = dict(phase.input)
    if phase.uses:
        given["results"] = await results_of(session, execution, phase.uses)
    if phase.items is None:
        seen = [{**values, "item": None, "index": 0}]
    else:
        seen = [{**values, "item": item, "index": index} for index, item in enumerate(_items(phase, values))]
    return [{**given, **{name: each.evaluate(one) for name, each in expressions.items()}} for one in seen]


def _items(phase: WorkflowPhase, values: dict[str, Any]) -> list[Any]:
    assert phase.items is not None  # noqa: S101  (asked before)
    items = phase.items.evaluate(values)
    if not isinstance(items, list):
        raise InvalidInput(f"foreach, {phase.foreach!r}, gave no list.")
    if len(items) > FOREACH_MAX:
        raise InvalidInput(f"foreach gave {len(items)} items; at most {FOREACH_MAX} workflows are started by a phase.")
    return items
