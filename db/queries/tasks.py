"""Tasks: which one an agent may claim, what an agent holds, what is still open."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.tasks import HELD, TASK_MACHINE, TaskStatus
from db.tables.tasks import task_progress, tasks

HELD_VALUES = [status.value for status in HELD]
OPEN_VALUES = [status.value for status in TaskStatus if not TASK_MACHINE.is_final(status)]


def _dependencies_open() -> Any:
    needed = tasks.alias("needed")
    return exists(
        select(needed.c.task_id).where(
            and_(needed.c.task_id == func.any(tasks.c.depends_on), needed.c.status != TaskStatus.COMPLETED.value)
        )
    )


async def next_claimable(
    connection: AsyncConnection, role: str, capabilities: Sequence[str], task_id: UUID | None = None
) -> Row[Any] | None:
    """Lock and return the oldest pending task that the role and capabilities fit; None when there is none.

    A task that another transaction is claiming is passed over, so that no two agents wait for each other.
    """
    statement = (
        select(tasks)
        .where(
            tasks.c.status == TaskStatus.PENDING.value,
            or_(tasks.c.required_role.is_(None), tasks.c.required_role == role),
            tasks.c.required_capabilities.contained_by(literal(list(capabilities), ARRAY(Text))),
            ~_dependencies_open(),
        )
        .order_by(tasks.c.task_id)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True, of=tasks)
    )
    if task_id is not None:
        statement = statement.where(tasks.c.task_id == task_id)
    return (await connection.execute(statement)).first()


async def has_open_dependencies(connection: AsyncConnection, task_id: UUID) -> bool:
    """Whether a task that this one depends on is not completed yet."""
    statement = select(_dependencies_open()).select_from(tasks).where(tasks.c.task_id == task_id)
    return bool((await connection.execute(statement)).scalar())


async def count_held(connection: AsyncConnection, agent_id: str) -> int:
    """How many tasks the agent has at hand."""
    statement = select(func.count()).where(
        tasks.c.assigned_agent_id == agent_id, tasks.c.status == func.any(literal(HELD_VALUES, ARRAY(Text)))
    )
    return int((await connection.execute(statement)).scalar_one())


async def held_by(connection: AsyncConnection, agent_id: str) -> Sequence[Row[Any]]:
    """The tasks that the agent has at hand, locked, in the order of their ids."""
    return (
        await connection.execute(
            select(tasks)
            .where(tasks.c.assigned_agent_id == agent_id, tasks.c.status == func.any(literal(HELD_VALUES, ARRAY(Text))))
            .order_by(tasks.c.task_id)
            .with_for_update(key_share=True)
        )
    ).all()


async def open_of_execution(connection: AsyncConnection, execution_id: UUID) -> Sequence[Row[Any]]:
    """The tasks of an execution that are not completed or cancelled, locked, in the order of their ids."""
    return (
        await connection.execute(
            select(tasks)
            .where(tasks.c.execution_id == execution_id, tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))))
            .order_by(tasks.c.task_id)
            .with_for_update(key_share=True)
        )
    ).all()


async def missing_tasks(connection: AsyncConnection, task_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the ids that name no task."""
    found = await connection.execute(
        select(tasks.c.task_id).where(tasks.c.task_id == func.any(literal(list(task_ids))))
    )
    return set(task_ids) - set(found.scalars())


async def open_reviews(connection: AsyncConnection, gate_id: UUID) -> int:
    """How many review tasks of the gate are still open."""
    statement = select(func.count()).where(
        tasks.c.gate_id == gate_id,
        tasks.c.task_kind == "review",
        tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))),
    )
    return int((await connection.execute(statement)).scalar_one())


async def write_progress(connection: AsyncConnection, task_id: UUID, percent: float | None, message: str) -> None:
    """Keep the latest progress of a task; it is no change of the task's version."""
    values = {"percent": percent, "message": message, "reported_at": func.clock_timestamp()}
    statement = upsert(task_progress).values(task_id=task_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["task_id"], set_=values))
