"""What a gate is about, out of rows alone: the results of the phases under review, and who made them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Select, Text, and_, func, literal, select
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.model_assignments import AssignmentStatus
from app.domain.tasks import TaskKind, TaskStatus
from app.domain.workflows import StepStatus
from db.tables.model_assignments import model_assignments
from db.tables.tasks import tasks
from db.tables.workflows import workflow_steps

STEP, TASK, ASSIGNMENT = workflow_steps.c, tasks.c, model_assignments.c
UNUSED = [AssignmentStatus.PENDING.value, AssignmentStatus.CANCELLED.value]


async def completed_passes(
    connection: AsyncConnection, execution_id: UUID, phases: Sequence[str] | None
) -> Sequence[Row[Any]]:
    """`phase`, `attempt` and `outcome` of the latest completed pass through each of the phases; None is all."""
    statement: Select[Any] = (
        select(STEP.phase, STEP.attempt, STEP.outcome)
        .ext(distinct_on(STEP.phase))
        .where(STEP.execution_id == execution_id, STEP.step_status == StepStatus.COMPLETED.value)
        .order_by(STEP.phase, STEP.attempt.desc())
    )
    if phases is not None:
        statement = statement.where(STEP.phase == func.any(literal(list(phases), ARRAY(Text))))
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def work_of(
    connection: AsyncConnection, execution_id: UUID, passes: Sequence[tuple[str, int]]
) -> Sequence[Row[Any]]:
    """The tasks of kind work that these passes completed: name, result, and who answered under which token."""
    if not passes:
        return []
    wanted = select(
        func.unnest(literal([phase for phase, _ in passes], ARRAY(Text))).label("phase"),
        func.unnest(literal([attempt for _, attempt in passes], ARRAY(Integer))).label("attempt"),
    ).cte("wanted")
    statement: Select[Any] = (
        select(TASK.task_id, TASK.phase, TASK.task_name, TASK.result, TASK.assigned_agent_id, TASK.answered_in_session)
        .join(wanted, and_(TASK.phase == wanted.c.phase, TASK.phase_attempt == wanted.c.attempt))
        .where(
            TASK.execution_id == execution_id,
            TASK.task_kind == TaskKind.WORK.value,
            TASK.status == TaskStatus.COMPLETED.value,
            TASK.gate_id.is_(None),
        )
        .order_by(TASK.task_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def models_of_tasks(connection: AsyncConnection, task_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """`agent_id`, `provider_name` and `model_name` of the models that worked on the tasks."""
    statement: Select[Any] = select(ASSIGNMENT.agent_id, ASSIGNMENT.provider_name, ASSIGNMENT.model_name).where(
        ASSIGNMENT.task_id == func.any(literal(list(task_ids), ARRAY(PG_UUID(as_uuid=True)))), _was_used()
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def latest_models_of(connection: AsyncConnection, agent_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """`agent_id`, `provider_name` and `model_name` of the model that each of the agents worked with last."""
    statement: Select[Any] = (
        select(ASSIGNMENT.agent_id, ASSIGNMENT.provider_name, ASSIGNMENT.model_name)
        .ext(distinct_on(ASSIGNMENT.agent_id))
        .where(ASSIGNMENT.agent_id == func.any(literal(list(agent_ids), ARRAY(Text))), _was_used())
        .order_by(ASSIGNMENT.agent_id, ASSIGNMENT.assignment_id.desc())
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


def _was_used() -> Any:
    return ASSIGNMENT.assignment_status != func.all(literal(UNUSED, ARRAY(Text)))
