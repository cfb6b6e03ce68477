"""Model assignments of tasks."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, func, literal, select
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.model_assignments import AssignmentStatus
from db.tables.model_assignments import model_assignments


async def active_of_tasks(connection: AsyncConnection, task_ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The active assignments of the tasks, locked, in the order of their ids."""
    statement: Select[Any] = (
        select(model_assignments)
        .where(
            model_assignments.c.task_id == func.any(literal(list(task_ids), ARRAY(PG_UUID(as_uuid=True)))),
            model_assignments.c.assignment_status == AssignmentStatus.ACTIVE.value,
        )
        .order_by(model_assignments.c.assignment_id)
        .with_for_update(key_share=True)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows
