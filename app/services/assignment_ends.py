"""Models whose task went back to the pool: they work on it no more."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.model_assignments import AssignmentStatus
from db.queries.entities import ASSIGNMENT
from db.queries.many import transition_all
from db.queries.model_assignments import active_of_tasks


async def end_assignments(session: AsyncConnection, task_ids: Collection[UUID], actor: str) -> None:
    """Active → cancelled, for all models that work on these tasks; the tasks are locked."""
    active = await active_of_tasks(session, task_ids)
    if not active:
        return
    reason = {"reason": "the task went back to the pool"}
    details = {str(row.assignment_id): assignment_detail(row._asdict()) | reason for row in active}
    await transition_all(session, ASSIGNMENT, active, AssignmentStatus.CANCELLED, "cancelled", actor, details=details)


def assignment_detail(assignment: Mapping[str, Any]) -> dict[str, Any]:
    """What every event of an assignment tells; subscriptions find it by execution and agent."""
    names = ("execution_id", "task_id", "agent_id", "decision_id", "fallback_of")
    given = {name: assignment.get(name) for name in names}
    return {name: str(value) if value is not None else None for name, value in given.items()}
