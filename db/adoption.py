"""Taking over a database that was restored from another: its transaction ids count anew.

What came along carries ids of the server that it came from. Ids that this server has not given out yet would hold up
the tail of the log until they are reached, and then tell old events as new ones; so all that came along is put in front
of whatever this server writes.
"""

import structlog
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.queries.entities import BY_AGGREGATE
from db.tables.events import event_log

OLDEST_XID = 3
"""The first transaction id of any server."""

IS_OURS = """
    SELECT EXISTS (
        SELECT FROM installation, pg_control_system() AS server
        WHERE installation.system_identifier = server.system_identifier
    )
"""
"""Whether what this database holds was written by this server."""

CAME_FROM_ELSEWHERE = """
    SELECT EXISTS (SELECT FROM installation)
        OR EXISTS (SELECT FROM event_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))
"""
"""Whether another server wrote it: the one remembered; where none is, one that had given out more ids than ours."""

REMEMBER = """
    INSERT INTO installation (system_identifier) SELECT system_identifier FROM pg_control_system()
    ON CONFLICT (is_only) DO UPDATE SET system_identifier = excluded.system_identifier
"""

log = structlog.get_logger(__name__)


async def is_ours(connection: AsyncConnection) -> bool:
    """Whether what this migrated database holds was written by this server, or taken over by it."""
    return bool(await connection.scalar(text(IS_OURS)))


async def adopt(connection: AsyncConnection) -> bool:
    """Make the database this server's own, in the caller's transaction; whether there was anything to do.

    Those who write meanwhile wait: an event that one of them gave an id of old must not come after this.
    """
    if await is_ours(connection):
        return False
    if await connection.scalar(text(CAME_FROM_ELSEWHERE)):
        await connection.execute(text("LOCK TABLE event_log IN SHARE ROW EXCLUSIVE MODE"))
        for entity in BY_AGGREGATE.values():
            await connection.execute(update(entity.table).values(event_xid=OLDEST_XID))
        moved = await connection.execute(update(event_log).values(xid=OLDEST_XID, transaction_xid=None))
        log.warning("the database was restored from another server, and is taken over", events=moved.rowcount)
    await connection.execute(text(REMEMBER))
    return True
