"""Tasks that nobody needs any more: cancelled, and taken from the agents that held them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.tasks import HELD, REASON_MAX, TaskStatus
from app.engine.phases.base import ACTOR
from app.services.gate_ends import close_gates
from app.services.workflow_children import cancel_children
from app.services.workload import follow_load
from db.queries.changes import transition
from db.queries.entities import TASK
from db.queries.tasks import open_of_execution


async def cancel(session: AsyncConnection, rows: Sequence[Row[Any]], reason: str) -> None:
    """Cancel open tasks; their agents' status follows."""
    for task in rows:
        detail = {**task_detail(task), "reason": reason}
        await transition(session, TASK, task.task_id, TaskStatus.CANCELLED, "cancelled", ACTOR, detail=detail)
    for agent_id in sorted({task.assigned_agent_id for task in rows if TaskStatus(task.status) in HELD}):
        await follow_load(session, agent_id, ACTOR)


async def cancel_unfinished(session: AsyncConnection, execution_id: UUID, reason: str) -> None:
    """Cancel what an execution that fails still asks for, its gates that have no verdict, and the workflows it started.

    Tasks that failed stay failed, to be read and repeated.
    """
    await close_gates(session, execution_id, ACTOR, reason[:REASON_MAX])
    await cancel_children(session, execution_id, ACTOR, reason)
    rows = await open_of_execution(session, execution_id)
    await cancel(session, [task for task in rows if task.status != TaskStatus.FAILED.value], reason)


def task_detail(task: Row[Any]) -> dict[str, Any]:
    """What events of a task tell beside the change."""
    return {
        "execution_id": str(task.execution_id),
        "decision_id": str(task.decision_id) if task.decision_id is not None else None,
        "agent_id": task.assigned_agent_id,
        "phase": task.phase,
        "task_name": task.task_name,
    }
