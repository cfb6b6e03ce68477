"""Partitions by time, made ahead, so that a row always finds the one it belongs to.

- `event_log_audit`, the record of transitions, by month: it is kept for years, and pruned by `created_at`.
- `event_log_report`, short-lived, by day: a day is what retention drops.
- `resource_metrics` by week. A measurement may be 90 days old when it comes, so the whole window must exist from the
  first day on: 98 days or 16 weeks. Measured, making them takes 0.8 s or 0.1 s, and planning the read of an agent's
  latest measurement 9.4 ms or 0.8 ms. The price is that retention keeps a measurement up to a week longer.

Names end with the first day of the span (UTC): `resource_metrics_20261116`.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from sqlalchemy import ARRAY, Text, bindparam, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.metrics import RETENTION
from db.failures import is_retryable
from db.locks import schema_lock
from db.session import Database

LOCK_TIMEOUT = "250ms"
ATTEMPTS = 20
PAUSE = 0.2
"""Seconds between attempts: with the time-out, nine seconds in all."""


class Span(Enum):
    """How much time one partition takes."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start(self, moment: datetime) -> datetime:
        """The start of the span that `moment` lies in; weeks start on Monday."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self is Span.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Span.MONTH else day

    def following(self, start: datetime) -> datetime:
        """The start of the next span."""
        longest = {Span.DAY: 1, Span.WEEK: 7, Span.MONTH: 31}
        return self.start(start + timedelta(days=longest[self]))


@dataclass(frozen=True)
class Partitioning:
    """A partitioned table, and how far its partitions reach to both sides of now."""

    parent: str
    span: Span
    behind: timedelta
    ahead: timedelta

    def partitions(self, now: datetime) -> Iterator["Partition"]:
        """All partitions that must exist at `now`, oldest first."""
        low = self.span.start(now - self.behind)
        while low <= now + self.ahead:
            high = self.span.following(low)
            yield Partition(self.parent, low, high)
            low = high


@dataclass(frozen=True)
class Partition:
    """The rows of `parent` from `low` (inclusive) to `high` (exclusive)."""

    parent: str
    low: datetime
    high: datetime

    @property
    def name(self) -> str:
        """The partition's table."""
        return f"{self.parent}_{self.low:%Y%m%d}"


PARTITIONINGS = (
    Partitioning("event_log_audit", Span.MONTH, behind=timedelta(0), ahead=timedelta(days=62)),
    Partitioning("event_log_report", Span.DAY, behind=timedelta(0), ahead=timedelta(days=7)),
    Partitioning("resource_metrics", Span.WEEK, behind=RETENTION, ahead=timedelta(days=14)),
)

EXISTING = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid"
    " JOIN pg_class AS parent ON parent.oid = inhparent"
    " WHERE parent.relname = ANY(:parents) AND parent.relnamespace = 'public'::regnamespace"
).bindparams(bindparam("parents", type_=ARRAY(Text)))


async def make_partitions_unless_busy(database: Database) -> list[str]:
    """Make what is missing at the database's time, unless another process is changing the schema.

    Returns the names of the new ones. Raises driver errors.
    """
    async with database.engine.connect() as lock, database.engine.connect() as work:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        async with schema_lock(lock, wait=False) as held:
            if not held:
                return []
            now = (await lock.execute(select(func.now()))).scalar_one()
            return await make_partitions(work, now)


async def make_partitions(connection: AsyncConnection, now: datetime) -> list[str]:
    """Make the partitions that `now` calls for and that do not exist; the names of the new ones.

    The caller holds the schema lock; `connection` is in no transaction, each partition is a short one of its own.
    Raises `DBAPIError` when somebody keeps a table locked against it for nine seconds.
    """
    async with connection.begin():
        parents = [partitioning.parent for partitioning in PARTITIONINGS]
        existing = set((await connection.scalars(EXISTING, {"parents": parents})).all())
    wanted = (partition for partitioning in PARTITIONINGS for partition in partitioning.partitions(now))
    missing = [partition for partition in wanted if partition.name not in existing]
    for partition in missing:
        await _make(connection, partition)
    return [partition.name for partition in missing]


async def _make(connection: AsyncConnection, partition: Partition) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.begin():
                await _attach(connection, partition)
        except DBAPIError as error:
            if attempt == ATTEMPTS or not is_retryable(error):
                raise
            await asyncio.sleep(PAUSE)
        else:
            return


async def _attach(connection: AsyncConnection, partition: Partition) -> None:
    """Create the table apart, then attach it.

    CREATE TABLE … PARTITION OF would lock the parent against all reads and writes; attaching only locks out other
    changes of the schema. The table is empty, so the scan that ATTACH makes without a CHECK costs nothing.
    """
    parent, name = partition.parent, partition.name
    await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY)"))
    await connection.execute(
        text(
            f"ALTER TABLE {parent} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{partition.low.isoformat()}') TO ('{partition.high.isoformat()}')"
        )
    )
