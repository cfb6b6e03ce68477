"""The advisory lock of whatever changes the schema: migrations and new partitions, one process at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SCHEMA_LOCK = 0x6875625F64646C
"""Any number of 64 bits that nobody else takes: "hub_ddl" in ASCII."""
POLL_SECONDS = 0.1


@contextlib.asynccontextmanager
async def schema_lock(connection: AsyncConnection, *, wait: bool) -> AsyncIterator[bool]:
    """Hold the lock, on a connection that is in AUTOCOMMIT; says whether it is held, always true with `wait`.

    Waiting is asking again: a statement that waits for the lock would hold a snapshot, for which a
    CREATE INDEX CONCURRENTLY of the process that has the lock waits in turn, for ever.
    """
    held = await _try(connection)
    while wait and not held:
        await asyncio.sleep(POLL_SECONDS)
        held = await _try(connection)
    try:
        yield held
    finally:
        if held:
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": SCHEMA_LOCK})


async def _try(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": SCHEMA_LOCK}))
