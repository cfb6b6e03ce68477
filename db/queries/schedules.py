"""Schedules: which are due, by the database's clock, and whether a moment of one was run already."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.schedules import ScheduleStatus
from db.tables.workflows import workflow_executions, workflow_schedules

SCHEDULE = workflow_schedules.c
IS_DUE = (SCHEDULE.schedule_status == ScheduleStatus.ACTIVE.value, SCHEDULE.next_run_at <= func.clock_timestamp())


async def now(connection: AsyncConnection) -> datetime:
    """The database's clock."""
    moment: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return moment


async def due(connection: AsyncConnection, most: int) -> Sequence[UUID]:
    """Schedules that are due, the longest waiting first."""
    statement = select(SCHEDULE.schedule_id).where(*IS_DUE).order_by(SCHEDULE.next_run_at).limit(most)
    return (await connection.execute(statement)).scalars().all()


async def take_due(connection: AsyncConnection, schedule_id: UUID) -> Row[Any] | None:
    """The schedule with the time that it is `now`, locked; None if it is not due any more, or somebody else has it."""
    statement: Select[Any] = (
        select(*SCHEDULE, func.clock_timestamp().label("now"))
        .where(SCHEDULE.schedule_id == schedule_id, *IS_DUE)
        .with_for_update(key_share=True, skip_locked=True)
    )
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def has_run(connection: AsyncConnection, schedule_id: UUID, moment: datetime) -> bool:
    """Whether the schedule has started an execution for this moment."""
    executions = workflow_executions.c
    found = select(executions.execution_id).where(
        executions.schedule_id == schedule_id, executions.scheduled_for == moment
    )
    return bool((await connection.execute(select(exists(found)))).scalar())
