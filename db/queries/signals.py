"""Signals of executions: sent once by their key, taken once by the step that waited for them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, func, literal, select, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.workflows import workflow_signals as signals


async def store_signal(connection: AsyncConnection, values: Mapping[str, Any]) -> UUID | None:
    """Store a signal; its id, or None when one of the same key was sent before."""
    statement = upsert(signals).values(**values).on_conflict_do_nothing().returning(signals.c.signal_id)
    found: UUID | None = (await connection.execute(statement)).scalar()
    return found


async def sent_before(connection: AsyncConnection, execution_id: UUID, name: str, key: str) -> Row[Any]:
    """The signal of this key."""
    statement: Select[Any] = select(signals).where(
        signals.c.execution_id == execution_id, signals.c.signal_name == name, signals.c.signal_key == key
    )
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def count_signals(connection: AsyncConnection, execution_id: UUID) -> int:
    """How many were sent."""
    statement = select(func.count()).where(signals.c.execution_id == execution_id)
    return int((await connection.execute(statement)).scalar_one())


async def waiting_signal(connection: AsyncConnection, execution_id: UUID, name: str) -> UUID | None:
    """The oldest signal of the name that nobody took, locked; None when there is none."""
    statement = (
        select(signals.c.signal_id)
        .where(
            signals.c.execution_id == execution_id,
            signals.c.signal_name == name,
            signals.c.taken_by_step.is_(None),
        )
        .order_by(signals.c.signal_id)
        .limit(1)
        .with_for_update()
    )
    found: UUID | None = (await connection.execute(statement)).scalar()
    return found


async def take_signal(connection: AsyncConnection, signal_id: UUID, step_number: int) -> None:
    """Note that the step has it."""
    await connection.execute(
        update(signals)
        .where(signals.c.signal_id == signal_id)
        .values(taken_by_step=step_number, taken_at=func.clock_timestamp())
    )


async def payloads(connection: AsyncConnection, signal_ids: Sequence[UUID]) -> dict[UUID, Any]:
    """What the signals brought."""
    statement: Select[Any] = select(signals.c.signal_id, signals.c.payload).where(
        signals.c.signal_id == func.any(literal(list(signal_ids), ARRAY(PG_UUID(as_uuid=True))))
    )
    return {row.signal_id: row.payload for row in (await connection.execute(statement)).all()}
