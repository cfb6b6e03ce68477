"""Executions of one group, of which only so many run at once: those that do, and those that wait for their turn.

A group is a workflow with a key. Starts of a group come one after the other, by its lock; each then holds the rows of
those that run, so that none ends while it counts. The end of one, whatever statement ended it, lets the next go on, by
the trigger `workflow_executions_admit_queued`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.workflows import ACTIVE
from db.tables.workflows import workflow_executions

EXECUTION = workflow_executions.c
STARTS_SEED = 7
"""The trigger, by which ends come one after the other, has another."""


async def lock_starts(connection: AsyncConnection, workflow_name: str, key: str) -> None:
    """Nobody else starts one of the group before our transaction ends."""
    group = func.hashtextextended(f"{workflow_name}\n{key}", STARTS_SEED)
    await connection.execute(select(func.pg_advisory_xact_lock(group)))


async def running(connection: AsyncConnection, workflow_name: str, key: str) -> Sequence[Row[Any]]:
    """Those of the group that run, paused ones included: the oldest first."""
    rows: Sequence[Row[Any]] = (await connection.execute(_running(workflow_name, key))).all()
    return rows


async def hold_running(connection: AsyncConnection, workflow_name: str, key: str) -> Sequence[Row[Any]]:
    """As `running`, and none of them ends, nor is another admitted, before our transaction ends.

    While we wait for the row of one that ends, its end may admit another, whose row is then waited for in turn.
    """
    held: set[Any] = set()
    while True:
        statement = _running(workflow_name, key).with_for_update(key_share=True)
        rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
        found = {row.execution_id for row in rows}
        if found <= held:
            return rows
        held |= found


async def waiting(connection: AsyncConnection, workflow_name: str, key: str, most: int) -> Sequence[Row[Any]]:
    """Those of the group that wait, in the order of their turns, at most so many."""
    statement = (
        select(EXECUTION.execution_id)
        .where(*_in_group(workflow_name, key), EXECUTION.queued_at.is_not(None))
        .order_by(EXECUTION.queued_at, EXECUTION.execution_id)
        .limit(most)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


def _running(workflow_name: str, key: str) -> Select[Any]:
    return (
        select(EXECUTION.execution_id)
        .where(*_in_group(workflow_name, key), EXECUTION.queued_at.is_(None))
        .order_by(EXECUTION.execution_id)
    )


def _in_group(workflow_name: str, key: str) -> list[ColumnElement[bool]]:
    return [
        EXECUTION.workflow_name == workflow_name,
        EXECUTION.concurrency_key == key,
        EXECUTION.execution_status.in_(literal_column(f"'{status.value}'") for status in ACTIVE),
    ]
