"""Executions that others started as parts of themselves."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, Text, func, literal, or_, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.workflows import ErrorSeverity
from db.queries.executions import UNFINISHED
from db.tables.workflows import workflow_errors
from db.tables.workflows import workflow_executions as executions


async def children_of_step(connection: AsyncConnection, execution_id: UUID, step_number: int) -> Sequence[Row[Any]]:
    """`execution_id`, `child_index`, `workflow_name` and `execution_status` of a step's children, in their order."""
    statement: Select[Any] = (
        select(
            executions.c.execution_id,
            executions.c.child_index,
            executions.c.workflow_name,
            executions.c.execution_status,
        )
        .where(executions.c.parent_execution_id == execution_id, executions.c.parent_step == step_number)
        .order_by(executions.c.child_index)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def outputs_of_step(connection: AsyncConnection, execution_id: UUID, step_number: int) -> list[Any]:
    """The outputs of a step's children in their order; null for one that did not complete."""
    statement = (
        select(executions.c.output)
        .where(executions.c.parent_execution_id == execution_id, executions.c.parent_step == step_number)
        .order_by(executions.c.child_index)
    )
    return list((await connection.execute(statement)).scalars())


async def unfinished_children(connection: AsyncConnection, execution_id: UUID) -> Sequence[UUID]:
    """The children that have not ended, the oldest first."""
    statement = (
        select(executions.c.execution_id)
        .where(
            executions.c.parent_execution_id == execution_id,
            executions.c.execution_status == func.any(literal(UNFINISHED, ARRAY(Text))),
        )
        .order_by(executions.c.execution_id)
    )
    return (await connection.execute(statement)).scalars().all()


async def count_family(connection: AsyncConnection, root_execution_id: UUID) -> int:
    """How many executions were started as parts of this one, theirs included."""
    statement = select(func.count()).where(executions.c.root_execution_id == root_execution_id)
    return int((await connection.execute(statement)).scalar_one())


async def last_reason(connection: AsyncConnection, execution_id: UUID) -> str | None:
    """What the error log of a failed execution says last."""
    statement = (
        select(workflow_errors.c.message)
        .where(
            workflow_errors.c.execution_id == execution_id,
            or_(
                workflow_errors.c.severity == ErrorSeverity.CRITICAL.value,
                workflow_errors.c.severity == ErrorSeverity.ERROR.value,
            ),
        )
        .order_by(workflow_errors.c.error_id.desc())
        .limit(1)
    )
    found: str | None = (await connection.execute(statement)).scalar()
    return found
