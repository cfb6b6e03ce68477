"""What `hub doctor` asks of a database: its server's settings, who holds it up, and work that nobody takes up.

Everything here only reads.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Interval, Select, Text, bindparam, distinct, func, literal, or_, select, text
from sqlalchemy.engine import Row, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from app.domain.agents import STALE_AFTER
from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import HELD
from db.partitions import EXISTING, PARTITIONINGS
from db.queries.executions import IS_RUNNABLE
from db.tables.agents import agent_reports, agents
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions as executions

SECONDS = 5.0
"""How long the database has for a connection or an answer."""
FEW = 5
"""How many examples of a fault are read."""

SETTINGS = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)").bindparams(
    bindparam("names", type_=ARRAY(Text))
)
# the order of the event log waits for every transaction of the server that has an id, of whichever database
LONG_TRANSACTIONS = text(
    "SELECT pid, datname, application_name, state,"
    " extract(epoch FROM clock_timestamp() - xact_start)::float AS seconds FROM pg_stat_activity"
    " WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
    " AND xact_start < clock_timestamp() - make_interval(secs => :seconds) ORDER BY xact_start"
)
PREPARED_TRANSACTIONS = text(
    "SELECT count(*) AS number, extract(epoch FROM clock_timestamp() - min(prepared))::float AS seconds"
    " FROM pg_prepared_xacts"
)
SEES_ALL_SESSIONS = text("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')")
CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
REVISION_TABLE = text("SELECT to_regclass('public.alembic_version') IS NOT NULL")
REVISION = text("SELECT version_num FROM public.alembic_version")
DEFAULT_PARTITIONS = text(
    "SELECT child.relname FROM pg_partitioned_table AS parent JOIN pg_class AS child ON child.oid = parent.partdefid"
    " WHERE child.relnamespace = 'public'::regnamespace ORDER BY child.relname"
)


@contextlib.asynccontextmanager
async def observing(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that may only read, and is never in a transaction for longer than a statement.

    Raises the driver's errors.
    """
    settings = {
        "application_name": "orchestration-hub doctor",
        "timezone": "UTC",
        "default_transaction_read_only": "on",
        "statement_timeout": f"{SECONDS:.0f}s",
    }
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={"timeout": SECONDS, "command_timeout": SECONDS, "server_settings": settings},
    )
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def settings_of(connection: AsyncConnection, *names: str) -> dict[str, str]:
    """The server's settings by name, as this session has them."""
    return {row.name: row.setting for row in await connection.execute(SETTINGS, {"names": list(names)})}


async def clock(connection: AsyncConnection) -> datetime:
    """The database's time."""
    moment: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return moment


async def connections_in_use(connection: AsyncConnection) -> int:
    """How many clients are connected to the server, this one too."""
    return int((await connection.execute(CONNECTIONS)).scalar_one())


async def revision(connection: AsyncConnection) -> str | None:
    """The migration that the database is at; None before the first."""
    if not (await connection.execute(REVISION_TABLE)).scalar():
        return None
    found: str | None = (await connection.execute(REVISION)).scalar()
    return found


async def sees_all_sessions(connection: AsyncConnection) -> bool:
    """Whether the role is told what sessions of other roles do."""
    return bool((await connection.execute(SEES_ALL_SESSIONS)).scalar())


async def long_transactions(connection: AsyncConnection, seconds: float) -> Sequence[Row[Any]]:
    """The transactions with an id that are older: pid, datname, application_name, state, seconds; the oldest first.

    What they run is not read: a statement may hold what is secret.
    """
    rows: Sequence[Row[Any]] = (await connection.execute(LONG_TRANSACTIONS, {"seconds": seconds})).all()
    return rows


async def prepared_transactions(connection: AsyncConnection) -> tuple[int, float]:
    """How many transactions are prepared for a two-phase commit, and the age of the oldest in seconds."""
    row = (await connection.execute(PREPARED_TRANSACTIONS)).one()
    return int(row.number), float(row.seconds or 0)


async def missing_partitions(connection: AsyncConnection) -> tuple[list[str], list[str]]:
    """The partitions that should be there and are not: those of now or of the past, and those of the time to come."""
    now = (await connection.execute(select(func.now()))).scalar_one()
    parents = [partitioning.parent for partitioning in PARTITIONINGS]
    existing = set((await connection.scalars(EXISTING, {"parents": parents})).all())
    wanted = [part for partitioning in PARTITIONINGS for part in partitioning.partitions(now)]
    missing = [part for part in wanted if part.name not in existing]
    return [part.name for part in missing if part.low <= now], [part.name for part in missing if part.low > now]


async def filled_default_partitions(connection: AsyncConnection) -> list[str]:
    """The default partitions that hold rows: rows that found no partition of their own."""
    names = (await connection.scalars(DEFAULT_PARTITIONS)).all()
    quote = connection.dialect.identifier_preparer.quote
    found = {
        name: (await connection.execute(text(f"SELECT EXISTS (SELECT FROM public.{quote(name)})"))).scalar()  # noqa: S608
        for name in names
    }
    return [name for name, filled in found.items() if filled]


async def unclaimed_executions(connection: AsyncConnection, after: timedelta) -> tuple[int, Sequence[Row[Any]]]:
    """How many executions have been runnable for longer than `after` without a worker, and the oldest of them."""
    free = or_(executions.c.lease_until.is_(None), executions.c.lease_until < func.clock_timestamp())
    waiting = (executions.c.wake_seq > executions.c.handled_seq, IS_RUNNABLE, free)
    old = executions.c.last_activity < _ago(after)
    statement: Select[Any] = (
        select(executions.c.execution_id, executions.c.workflow_name, executions.c.last_activity)
        .where(*waiting, old)
        .order_by(executions.c.last_activity)
        .limit(FEW)
    )
    number = (await connection.execute(select(func.count()).select_from(executions).where(*waiting, old))).scalar_one()
    return int(number), (await connection.execute(statement)).all()


async def silent_holders(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Agents that hold tasks and are stale, in error or offline: agent_id, status, last_seen, held (how many)."""
    last_seen = func.coalesce(agent_reports.c.last_activity, agents.c.updated_at)
    held = func.count(distinct(tasks.c.task_id))
    statement = (
        select(agents.c.agent_id, agents.c.status, last_seen.label("last_seen"), held.label("held"))
        .join(tasks, tasks.c.assigned_agent_id == agents.c.agent_id)
        .outerjoin(agent_reports, agent_reports.c.agent_id == agents.c.agent_id)
        .where(tasks.c.status == func.any(literal([status.value for status in HELD], ARRAY(Text))))
        .where(or_(last_seen < _ago(STALE_AFTER), agents.c.status.in_(("error", "offline"))))
        .group_by(agents.c.agent_id, last_seen)
        .order_by(agents.c.agent_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def waiting_gates(connection: AsyncConnection, after: timedelta) -> tuple[int, Sequence[Row[Any]]]:
    """How many gates have been in review for longer than `after` without a change, and those that waited longest."""
    waiting = (
        quality_gates.c.approval_status == ApprovalStatus.IN_REVIEW.value,
        quality_gates.c.updated_at < _ago(after),
    )
    statement: Select[Any] = (
        select(quality_gates.c.gate_id, quality_gates.c.gate_name, quality_gates.c.updated_at)
        .where(*waiting)
        .order_by(quality_gates.c.updated_at)
        .limit(FEW)
    )
    number = (await connection.execute(select(func.count()).select_from(quality_gates).where(*waiting))).scalar_one()
    return int(number), (await connection.execute(statement)).all()


def _ago(after: timedelta) -> Any:
    return func.clock_timestamp() - literal(after, Interval)
