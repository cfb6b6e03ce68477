"""Decisions, as far as the write path and start-up ask for them."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.decisions import decisions


async def newest_wrapped_key(connection: AsyncConnection) -> bytes | None:
    """The wrapped data key of the newest decision; None when there is none, or it was erased."""
    newest = select(decisions.c.sealed_key).order_by(decisions.c.decision_id.desc()).limit(1)
    key: bytes | None = (await connection.execute(newest)).scalar()
    return key
