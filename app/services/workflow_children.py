"""Executions that others start as parts of themselves: started by a step, cancelled with their parent."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, null
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, IllegalTransition
from app.domain.ids import new_id
from app.domain.workflows import DEPTH, FAMILY_MAX, ExecutionStatus
from app.services.gate_ends import close_gates
from app.services.task_ends import cancel_open_tasks
from app.services.workflow_inputs import checked_input, latest_template
from db.queries.changes import create, read, transition
from db.queries.checkpoints import prune
from db.queries.children import count_family, unfinished_children
from db.queries.entities import EXECUTION
from db.tables.workflows import workflow_executions as executions


async def start_children(
    session: AsyncConnection,
    parent_id: UUID,
    step_number: int,
    workflow_name: str,
    inputs: Sequence[Mapping[str, Any]],
    actor: str,
) -> None:
    """Start an execution of the template's latest version for each input; the parent is held.

    Raises `UnknownTemplate`, `InvalidInput` for an input that does not fit, `Blocked` when there are too many or they
    are too deep; nothing is started then.
    """
    parent = await read(session, EXECUTION, parent_id)
    root_id = parent.root_execution_id or parent_id
    await _require_room(session, parent.depth + 1, root_id, len(inputs))
    template = await latest_template(session, workflow_name)
    checked = [checked_input(given, template) for given in inputs]
    for index, given in enumerate(checked):
        values = {
            "execution_id": new_id(),
            "workflow_name": workflow_name,
            "template_version": template.template_version,
            "trigger_type": parent.trigger_type,
            "triggered_by": actor,
            "input_context": given,
            "decision_id": parent.decision_id,
            "parent_execution_id": parent_id,
            "root_execution_id": root_id,
            "parent_step": step_number,
            "child_index": index,
            "depth": parent.depth + 1,
        }
        detail = {
            "workflow_name": workflow_name,
            "template_version": template.template_version,
            "parent_execution_id": str(parent_id),
        }
        await create(session, EXECUTION, values, "started", actor, detail)


async def _require_room(session: AsyncConnection, depth: int, root_id: UUID, wanted: int) -> None:
    if depth > int(DEPTH.high or 0):
        raise Blocked(f"Workflows start workflows at most {DEPTH.high} deep, and this would be deeper.")
    there = await count_family(session, root_id)
    if there + wanted > FAMILY_MAX:
        raise Blocked(f"A workflow starts at most {FAMILY_MAX} others, theirs included; {there} were started already.")


async def cancel_children(session: AsyncConnection, execution_id: UUID, actor: str, reason: str) -> None:
    """Cancel what the execution has started and has not ended, the deepest first; its own row is locked after them."""
    for child_id in await unfinished_children(session, execution_id):
        await cancel_children(session, child_id, actor, reason)
        await close_gates(session, child_id, actor, reason)
        await cancel_open_tasks(session, child_id, actor, reason)
        try:
            await _cancel(session, child_id, actor, reason)
        except IllegalTransition:
            # it came to its end meanwhile
            continue
        # a worker may have added some between the first sweep and the moment the fence was taken from it
        await cancel_children(session, child_id, actor, reason)
        await cancel_open_tasks(session, child_id, actor, reason)
        await prune(session, [str(child_id)])


async def _cancel(session: AsyncConnection, execution_id: UUID, actor: str, reason: str) -> None:
    values = {
        "fence": executions.c.fence + 1,
        "lease_owner": null(),
        "lease_until": null(),
        "completed_at": func.clock_timestamp(),
        "last_activity": func.clock_timestamp(),
    }
    await transition(
        session,
        EXECUTION,
        execution_id,
        ExecutionStatus.CANCELLED,
        "cancelled",
        actor,
        values=values,
        detail={"reason": reason},
    )
