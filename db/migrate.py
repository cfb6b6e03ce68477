"""Bring a database to the state that this version of the hub needs: schema, partitions, and what others keep in it."""

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from db.adoption import adopt, is_ours
from db.locks import schema_lock
from db.partitions import make_partitions
from db.session import Database

MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST_SERVER = 16
CONNECT_TIMEOUT = 5.0


class UnsupportedServerError(RuntimeError):
    """The server is older than PostgreSQL 16."""


async def migrate(url: str, after: Callable[[], Awaitable[None]] | None = None) -> None:
    """Upgrade the schema, make partitions ahead, then await `after`; any number of processes may call it at once.

    They do it one after the other, and whoever comes later finds nothing left to do. `after` is for tables that others
    own (the engine's checkpoints): it runs outside of any transaction, while the lock is held.
    Raises `UnsupportedServerError`, or the driver's errors.
    """
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            lock = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await _require_version(lock)
            async with schema_lock(lock, wait=True):
                await _upgrade(engine)
                if after is not None:
                    await after()
    finally:
        await engine.dispose()


async def is_migrated(url: str) -> bool:
    """Whether the schema is the one of this version, and its rows are this server's own. Raises the driver's errors.

    False also when the schema is a newer one, and when the database was restored here and not taken over yet.
    """
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            is_at_head = await connection.run_sync(current_revision) == head_revision()
            return is_at_head and await is_ours(connection)
    finally:
        await engine.dispose()


async def is_at_head(database: Database) -> bool:
    """The same by one read on an open pool, for a question that is asked every few seconds."""
    return bool(await database.fetch_value("SELECT version_num FROM alembic_version") == head_revision())


def current_revision(connection: Connection) -> str | None:
    """The revision that a database is at, None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def head_revision() -> str | None:
    """The newest revision that this version of the hub knows."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


def configuration() -> Config:
    """Alembic's configuration; its environment expects `attributes["connection"]`."""
    config = Config()
    # a path may contain a per cent sign, with which the configuration would begin an interpolation
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _engine(url: str) -> AsyncEngine:
    # no time limit for a statement: a migration may rewrite a large table
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        connect_args={
            "timeout": CONNECT_TIMEOUT,
            "server_settings": {
                "application_name": "orchestration-hub migrate",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": "60000",
            },
        },
    )


async def _require_version(connection: AsyncConnection) -> None:
    version = int(await connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if version < OLDEST_SERVER:
        raise UnsupportedServerError(f"The hub needs PostgreSQL {OLDEST_SERVER} or newer; this server is {version}.")


async def _upgrade(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade_schema)
        await connection.commit()
    async with engine.begin() as connection:
        await adopt(connection)
    async with engine.connect() as connection:
        now = (await connection.execute(select(func.now()))).scalar_one()
        await connection.rollback()
        await make_partitions(connection, now)


def _upgrade_schema(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
