"""Model assignments: which model was given which task, and what it cost in the end."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import check_agent_id
from app.domain.errors import ClaimLost, InvalidInput
from app.domain.ids import new_id
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.domain.principals import Principal
from app.domain.rules import MONEY, NAME_MAX, NOT_NEGATIVE, SCORE, TEN_POINT, required_text
from app.services.tasks import held_task
from db.queries.changes import create, read, transition
from db.queries.entities import ASSIGNMENT

RECORDABLE = (AssignmentStatus.PENDING, AssignmentStatus.ACTIVE)


@dataclass(frozen=True)
class RecordAssignment:
    """A model was chosen for an agent's task; None as complexity takes the task's own."""

    agent_id: str
    task_id: UUID
    provider_name: Provider
    model_name: str
    assignment_reason: AssignmentReason
    task_complexity: int | None = None
    estimated_cost: Decimal | None = None
    decision_id: UUID | None = None
    assignment_status: AssignmentStatus = AssignmentStatus.ACTIVE


async def record_assignment(session: AsyncConnection, principal: Principal, command: RecordAssignment) -> Row[Any]:
    """Store an assignment, pending or already active. Raises `InvalidInput`, `NotFound`, `ClaimLost`."""
    check_agent_id(command.agent_id)
    TEN_POINT.check("taskComplexity", command.task_complexity)
    MONEY.check("estimatedCost", command.estimated_cost)
    if command.assignment_status not in RECORDABLE:
        raise InvalidInput("A model assignment is recorded as PENDING or ACTIVE.", "input.assignmentStatus")
    task = await held_task(session, principal, command.task_id)
    if task.assigned_agent_id not in (None, command.agent_id):
        raise ClaimLost(f"The task {task.task_id} is held by {task.assigned_agent_id}, not by {command.agent_id}.")
    values = {
        "assignment_id": new_id(),
        "agent_id": command.agent_id,
        "task_id": command.task_id,
        "execution_id": task.execution_id,
        "decision_id": command.decision_id or task.decision_id,
        "provider_name": command.provider_name.value,
        "model_name": required_text("modelName", command.model_name, NAME_MAX),
        "assignment_reason": command.assignment_reason.value,
        "task_complexity": command.task_complexity or task.complexity,
        "estimated_cost": command.estimated_cost,
    }
    row = await create(session, ASSIGNMENT, values, "recorded", principal.name, _detail(values))
    if command.assignment_status is AssignmentStatus.PENDING:
        return row
    return await transition(
        session,
        ASSIGNMENT,
        row.assignment_id,
        AssignmentStatus.ACTIVE,
        "activated",
        principal.name,
        detail=_detail(values),
    )


@dataclass(frozen=True)
class CompleteAssignment:
    """What the model's work took; times in milliseconds."""

    assignment_id: UUID
    expected_version: int
    actual_cost: Decimal | None = None
    tokens_used: int | None = None
    processing_time: int | None = None
    performance_score: Decimal | None = None


async def complete_assignment(session: AsyncConnection, principal: Principal, command: CompleteAssignment) -> Row[Any]:
    """Active → completed with the figures. Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`."""
    MONEY.check("actualCost", command.actual_cost)
    NOT_NEGATIVE.check("tokensUsed", command.tokens_used)
    NOT_NEGATIVE.check("processingTime", command.processing_time)
    SCORE.check("performanceScore", command.performance_score)
    assignment = await read(session, ASSIGNMENT, command.assignment_id)
    if principal.agent_id not in (None, assignment.agent_id):
        raise ClaimLost(f"The assignment {assignment.assignment_id} belongs to {assignment.agent_id}.")
    values = {
        "actual_cost": command.actual_cost,
        "tokens_used": command.tokens_used,
        "processing_time": command.processing_time,
        "performance_score": command.performance_score,
        "completed_at": func.clock_timestamp(),
    }
    return await transition(
        session,
        ASSIGNMENT,
        command.assignment_id,
        AssignmentStatus.COMPLETED,
        "completed",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=_detail(dict(assignment._mapping)),
    )


def _detail(assignment: dict[str, Any]) -> dict[str, Any]:
    names = ("execution_id", "task_id", "agent_id", "decision_id")
    return {name: str(assignment[name]) if assignment[name] is not None else None for name in names}
