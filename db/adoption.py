"""Taking over a database that was restored from another: its transaction ids count anew.

What came along carries ids of the server that it came from. Ids that this server has not given out yet would hold up
the tail of the log until they are reached, and then tell old events as new ones; so all that came along is put in front
of whatever this server writes.
"""

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

REMEMBER = """
    INSERT INTO installation (system_identifier) SELECT system_identifier FROM pg_control_system()
    ON CONFLICT (is_only) DO UPDATE SET system_identifier = excluded.system_identifier
"""


async def adopt(connection: AsyncConnection) -> bool:
    """Make the database this server's own, in the caller's transaction; whether there was anything to do."""
    if await connection.scalar(text(IS_OURS)):
        return False
    if await connection.scalar(text("SELECT EXISTS (SELECT FROM installation)")):
        await connection.execute(update(event_log).values(xid=OLDEST_XID, transaction_xid=None))
        for entity in BY_AGGREGATE.values():
            await connection.execute(update(entity.table).values(event_xid=OLDEST_XID))
    await connection.execute(text(REMEMBER))
    return True
