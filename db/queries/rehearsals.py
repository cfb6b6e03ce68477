"""What a transaction that is about to be rolled back has written to the event log."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, cast, func, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.events import event_log


class Rehearsed(NamedTuple):
    """The first events of a transaction, in order, and how many there are in all."""

    events: Sequence[Row[Any]]
    total: int


async def events_so_far(connection: AsyncConnection, most: int) -> Rehearsed:
    """The events that this transaction has written until now; at most `most` of them, and their number."""
    log = event_log.c
    statement: Select[Any] = (
        select(
            log.aggregate,
            log.entity_id,
            log.event_type,
            log.from_status,
            log.to_status,
            log.version,
            log.detail,
            cast(func.count().over(), BigInteger).label("total"),
        )
        # events are stamped with the transaction's start, which names their partition
        .where(log.created_at == func.now(), log.transaction_xid == func.pg_current_xact_id())
        .order_by(log.id)
        .limit(most)
    )
    rows = (await connection.execute(statement)).all()
    return Rehearsed(rows, rows[0].total if rows else 0)
