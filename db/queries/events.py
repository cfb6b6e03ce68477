"""The event log read in the order of its commits.

The order is `(xid, id)`, and only what lies below `pg_snapshot_xmin` is read: every transaction below it has ended, so
no row can appear in front of one that was read. Each statement bounds `created_at` below, so that old partitions are
not visited; the bound has a day's slack, for a transaction that began long before it wrote and for a clock set back.

These are statements for a connection of asyncpg: the tail reads a few hundred times a second, each time the same thing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

SESSION = {
    "application_name": "orchestration-hub tail",
    "timezone": "UTC",
    "jit": "off",
    # a plan made for the values at hand plans every partition anew, 60 ms at 700 of them; the generic plan prunes
    # them when it starts, 0.4 ms
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "10000",
    "idle_in_transaction_session_timeout": "10000",
}
"""Settings of a session that reads the log."""


class Position(NamedTuple):
    """A place in the log: what has a smaller or equal `(xid, id)` lies behind it.

    `created_at` bounds the partitions to visit: all that lies ahead was created later, give or take the slack.
    """

    xid: int
    id: int
    created_at: datetime

    @property
    def key(self) -> tuple[int, int]:
        """What positions are compared by."""
        return self.xid, self.id


class Server(NamedTuple):
    """Which database answers, and the first transaction id that it has not given out yet."""

    system_identifier: int
    database_oid: int
    next_xid: int


class Holder(NamedTuple):
    """A transaction that has written and not ended: whoever reads the log waits for it. A prepared one has no pid.

    Without a name of its own a session is told by what kind it is, such as an autovacuum worker.
    """

    pid: int | None
    database: str | None
    application_name: str | None
    state: str | None
    seconds: float


_READ = """
    SELECT xid, id, created_at, aggregate, entity_id, event_type, actor, from_status, to_status, version, detail
    FROM event_log
    WHERE (xid, id) > ($1, $2)
      AND xid < pg_snapshot_xmin(pg_current_snapshot())
      AND created_at >= LEAST($3::timestamptz, now()) - interval '1 day'
      {conditions}
    ORDER BY xid, id
    LIMIT $4
"""
READ_ALL = _READ.format(conditions="")
_OF_AGGREGATE = "AND aggregate = $5 AND detail @> ANY ($6::jsonb[]) AND ($7::text[] IS NULL OR event_type = ANY ($7))"
READ_AGGREGATE = _READ.format(conditions=_OF_AGGREGATE)
READ_ENTITY = _READ.format(conditions=f"{_OF_AGGREGATE} AND entity_id = $8")

BEHIND = """
    SELECT now(), (
        SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
        FROM event_log
        WHERE (xid, id) > ($1, $2) AND created_at >= LEAST($3::timestamptz, now()) - interval '1 day'
        ORDER BY xid, id
        LIMIT 1
    )
"""

LAST = """
    SELECT xid, id, created_at
    FROM event_log
    WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid DESC, id DESC
    LIMIT 1
"""

SERVER = """
    SELECT system_identifier, d.oid, pg_snapshot_xmax(pg_current_snapshot())
    FROM pg_control_system(), pg_database d
    WHERE d.datname = current_database()
"""

# of whichever database of the server; a role that may not see a session is not told that it has an id. The one with the
# oldest id is the horizon: that it began first says nothing, since an id comes with the first write
HOLDERS = """
    SELECT pid, datname, coalesce(nullif(application_name, ''), backend_type), state,
        coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8, age(backend_xid) AS age
    FROM pg_stat_activity
    WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT NULL, database, gid, 'prepared', extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction)
    FROM pg_prepared_xacts
    ORDER BY age DESC
    LIMIT 5
"""

KEPT_SINCE = """
    SELECT max(oldest) FROM (
        SELECT min((regexp_match(pg_get_expr(relpartbound, c.oid), 'FROM \\(''(.+?)''\\)'))[1]::timestamptz) AS oldest
        FROM pg_partition_tree('event_log') JOIN pg_class c ON c.oid = relid
        WHERE isleaf
        GROUP BY parentrelid
    ) AS retention_classes
"""


async def read_after(
    connection: Connection,
    after: Position,
    limit: int,
    aggregate: str | None = None,
    entity_id: str | None = None,
    details: Sequence[str] = ("{}",),
    event_types: Collection[str] | None = None,
) -> list[asyncpg.Record]:
    """At most `limit` settled events after the position, in order; of one aggregate, entity, of these types.

    One of `details`, JSON texts, is part of an event's detail. Fewer than `limit` events means that there was no other
    settled one when the statement ran.
    """
    place = (after.xid, after.id, after.created_at, limit)
    if aggregate is None:
        return await connection.fetch(READ_ALL, *place)
    wanted = (aggregate, list(details), None if event_types is None else list(event_types))
    if entity_id is None:
        return await connection.fetch(READ_AGGREGATE, *place, *wanted)
    return await connection.fetch(READ_ENTITY, *place, *wanted, entity_id)


async def behind(connection: Connection, position: Position) -> tuple[datetime, float | None]:
    """The database's time, and the age in seconds of the oldest event after the position, settled or not."""
    row = await _one(connection, BEHIND, position.xid, position.id, position.created_at)
    return row[0], row[1]


async def holders(connection: Connection) -> list[Holder]:
    """The transactions that hold the horizon, the one that holds it now first, at most five."""
    return [Holder(*row[:-1]) for row in await connection.fetch(HOLDERS)]


async def last_position(connection: Connection) -> Position:
    """The end of the log as it is settled now: the place of its last event, or its beginning when it has none."""
    row = await connection.fetchrow(LAST)
    if row is None:
        return Position(0, 0, await connection.fetchval("SELECT now()"))
    return Position(row[0], row[1], row[2])


async def identify(connection: Connection) -> Server:
    """Which database this is."""
    return Server(*await _one(connection, SERVER))


async def kept_since(connection: Connection) -> datetime | None:
    """The time since when every event is still there, whatever its retention class; None when none was dropped."""
    return (await _one(connection, KEPT_SINCE))[0]  # type: ignore[no-any-return]  # a record's values have no types


async def _one(connection: Connection, sql: str, *arguments: Any) -> asyncpg.Record:
    row = await connection.fetchrow(sql, *arguments)
    if row is None:
        raise AssertionError("the statement returns exactly one row")
    return row
