"""Decisions' keys: as the write path and start-up ask for them, and as a rotation of the master key replaces them."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, Select, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.decisions import decisions

SEALING_LOCK = 0x6875625F6B6579
"""Any number of 64 bits that nobody else takes: "hub_key" in ASCII. Shared by who seals, taken alone by a rotation."""
ROTATION_LOCK = 0x6875625F726F74
"""Likewise, "hub_rot": held by the one rotation that is under way."""
BARRIER_TIMEOUT = "200ms"
"""How long a rotation lets those who seal queue behind it; less than what makes a deadlock."""


async def newest_wrapped_key(connection: AsyncConnection) -> bytes | None:
    """The wrapped data key of the newest decision that has one; None when there is none."""
    row = await newest_wrapped(connection)
    return row.sealed_key if row is not None else None


async def newest_key_while_sealing(connection: AsyncConnection) -> bytes | None:
    """Join those who seal until the transaction ends, then the wrapped key of the newest decision that has one.

    In this order, and before anything is sealed: a rotation waits for all who joined before it changed the newest
    decision's key, and all who join later see that it did.
    """
    await connection.execute(select(func.pg_advisory_xact_lock_shared(SEALING_LOCK)))
    return await newest_wrapped_key(connection)


async def wait_for_sealing(connection: AsyncConnection) -> None:
    """Wait for all transactions that are sealing, and keep others from it until this one ends.

    Raises a lock timeout, which is retryable, when they take long.
    """
    await connection.execute(select(func.set_config("lock_timeout", BARRIER_TIMEOUT, True)))
    await connection.execute(select(func.pg_advisory_xact_lock(SEALING_LOCK)))


async def newest_wrapped(connection: AsyncConnection) -> Row[Any] | None:
    """`decision_id` and `sealed_key` of the newest decision that has a key."""
    row: Row[Any] | None = (await connection.execute(_wrapped().limit(1))).first()
    return row


async def keys_not_of(connection: AsyncConnection, key_id: bytes, before: UUID | None, most: int) -> Sequence[Row[Any]]:
    """`decision_id` and `sealed_key` of decisions whose key another master key wrapped, newest first.

    Newest first, so that a process which only has the old master key notices it soonest.
    """
    statement = _wrapped().where(_not_of(key_id)).limit(most)
    if before is not None:
        statement = statement.where(decisions.c.decision_id < before)
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def count_keys_not_of(connection: AsyncConnection, key_id: bytes) -> int:
    """How many decisions have a key that another master key wrapped."""
    statement = select(func.count()).select_from(decisions).where(decisions.c.sealed_key.is_not(None), _not_of(key_id))
    return int((await connection.execute(statement)).scalar_one())


async def replace_keys(connection: AsyncConnection, replacements: Sequence[tuple[UUID, bytes, bytes]]) -> None:
    """Set each decision's key from the second to the third value; one that is another by now, or erased, stays.

    The data key is the same, so this is no change of the decision: no version, no event.
    """
    ids, olds, news = zip(*replacements, strict=True)
    given = (
        select(
            func.unnest(literal(list(ids), ARRAY(decisions.c.decision_id.type))).label("decision_id"),
            func.unnest(literal(list(olds), ARRAY(LargeBinary))).label("old"),
            func.unnest(literal(list(news), ARRAY(LargeBinary))).label("new"),
        )
    ).subquery()
    await connection.execute(
        update(decisions)
        .values(sealed_key=given.c.new)
        .where(decisions.c.decision_id == given.c.decision_id, decisions.c.sealed_key == given.c.old)
    )


@contextlib.asynccontextmanager
async def rotation_lock(connection: AsyncConnection) -> AsyncIterator[bool]:
    """Hold the lock of rotations, on a connection that is in AUTOCOMMIT; says whether it is held."""
    held = bool(await connection.scalar(select(func.pg_try_advisory_lock(ROTATION_LOCK))))
    try:
        yield held
    finally:
        if held:
            await connection.execute(select(func.pg_advisory_unlock(ROTATION_LOCK)))


def _wrapped() -> Select[Any]:
    return (
        select(decisions.c.decision_id, decisions.c.sealed_key)
        .where(decisions.c.sealed_key.is_not(None))
        .order_by(decisions.c.decision_id.desc())
    )


def _not_of(key_id: bytes) -> ColumnElement[bool]:
    return func.substr(decisions.c.sealed_key, 1, len(key_id), type_=LargeBinary) != key_id
