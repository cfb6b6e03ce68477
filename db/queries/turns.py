"""Executions of one group, of which only so many run at once: those that do, and those that wait for their turn.

A group is a workflow with a key. Whoever counts its members holds the group's lock until the transaction ends. So
does the trigger `workflow_executions_admit_queued`: the end of one, whatever statement ended it, lets the next go on.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Select, Text, func, literal, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.workflows import ACTIVE
from db.tables.workflows import workflow_executions

EXECUTION = workflow_executions.c
LOCK_SEED = 7
"""The trigger's own too."""


async def lock_group(connection: AsyncConnection, workflow_name: str, key: str) -> None:
    """Nobody else counts the members of the group before our transaction ends."""
    group = func.hashtextextended(f"{workflow_name}\n{key}", LOCK_SEED)
    await connection.execute(select(func.pg_advisory_xact_lock(group)))


async def members(connection: AsyncConnection, workflow_name: str, key: str) -> Sequence[Row[Any]]:
    """Those under way (`queued_at` is null), the oldest first, then those that wait, in the order of their turns."""
    statement: Select[Any] = (
        select(EXECUTION.execution_id, EXECUTION.execution_status, EXECUTION.version, EXECUTION.queued_at)
        .where(
            EXECUTION.workflow_name == workflow_name,
            EXECUTION.concurrency_key == key,
            EXECUTION.execution_status == func.any(literal([status.value for status in ACTIVE], ARRAY(Text))),
        )
        .order_by(EXECUTION.queued_at.asc().nulls_first(), EXECUTION.execution_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows
