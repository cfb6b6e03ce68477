"""The database as the rest of the hub sees it: short transactions for writes, one-statement reads.

A write transaction is never held across a wait for anything but PostgreSQL, and ends within
a quarter of a second: a transaction with an id holds back the tail of the event log for everybody.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, cast

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.domain.errors import Unavailable
from app.domain.events import Aggregate
from db.failures import DRIVER_ERRORS, is_retryable, typed_errors

Result = TypeVar("Result")
CommitHook = Callable[[frozenset[Aggregate] | None], None]
"""Is told of which aggregates a transaction that was committed may have changed rows; None for any."""

COMMAND_TIMEOUT = 10.0
"""Seconds after which one statement is given up."""
CHECKOUT_TIMEOUT = 5.0
"""Seconds to wait for a free connection."""
PING_TIMEOUT = 1.0
"""Seconds in which a healthy server answers."""
ATTEMPTS = 4
"""How often a transaction that lost a deadlock is tried."""

SERVER_SETTINGS = {
    "application_name": "orchestration-hub",
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": "10000",
    "statement_timeout": "10000",
}


class Database:
    """A pool for transactions (SQLAlchemy), one for single statements (asyncpg), and hooks that run after a commit."""

    def __init__(self, url: str, *, pool_size: int = 10, read_pool_size: int = 10) -> None:
        self.url = url
        self._read_pool_size = read_pool_size
        self._after_commit: list[CommitHook] = []
        self._reads: asyncpg.Pool[asyncpg.Record] | None = None
        self._ping: asyncio.Task[Any] | None = None
        self.engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+asyncpg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CHECKOUT_TIMEOUT,
            hide_parameters=True,
            json_serializer=lambda value: orjson.dumps(value, default=str).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "command_timeout": COMMAND_TIMEOUT,
                "timeout": CHECKOUT_TIMEOUT,
                "server_settings": SERVER_SETTINGS,
            },
        )

        event.listen(self.engine.sync_engine, "checkout", _replace_closed)

    async def open(self) -> None:
        """Open the read pool and make sure that the server answers; raises `Unavailable`."""
        with typed_errors():
            self._reads = await asyncpg.create_pool(
                self.url,
                min_size=1,
                max_size=self._read_pool_size,
                command_timeout=COMMAND_TIMEOUT,
                timeout=CHECKOUT_TIMEOUT,
                max_cacheable_statement_size=0,
                server_settings=SERVER_SETTINGS,
                reset=_no_reset,
            )

    async def close(self) -> None:
        """Close both pools; connections in use get five seconds."""
        if self._reads is not None:
            try:
                await asyncio.wait_for(self._reads.close(), 5)
            except TimeoutError:
                self._reads.terminate()
        await self.engine.dispose()

    def after_commit(self, hook: CommitHook) -> None:
        """Call `hook`, which must not block, after each commit of this process, with what was changed."""
        self._after_commit.append(hook)

    async def transact(
        self, work: Callable[[AsyncConnection], Awaitable[Result]], changes: frozenset[Aggregate] | None = None
    ) -> Result:
        """Run `work` in one transaction and commit; nothing is kept when it raises.

        `changes` names the aggregates whose rows it may change, None any; whoever keeps answers is told.

        A transaction that loses a deadlock is run again, so `work` must have no effect outside of the database.
        Driver errors that bad input causes come out as typed errors.
        """
        with typed_errors():
            result = await self._until_no_deadlock(work, self.engine.begin)
        for hook in self._after_commit:
            hook(changes)
        return result

    async def rehearse(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run `work` as `transact` does, with the same errors, and undo it: what it returns tells what would happen."""
        with typed_errors():
            return await self._until_no_deadlock(work, self._undone)

    @contextlib.asynccontextmanager
    async def _undone(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            try:
                yield connection
            finally:
                await connection.rollback()

    async def _until_no_deadlock(
        self,
        work: Callable[[AsyncConnection], Awaitable[Result]],
        begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    ) -> Result:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with begin() as connection:
                    return await work(connection)
            except DRIVER_ERRORS as error:
                if attempt == ATTEMPTS or not is_retryable(error):
                    raise
                await asyncio.sleep(0.01 * attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A read-only transaction that sees one state of the database."""
        with typed_errors():
            async with self.engine.connect() as connection:
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                yield connection
                await connection.rollback()

    async def fetch_value(self, sql: str, arguments: Sequence[Any] = ()) -> Any:
        """The first column of the first row of one read, prepared once a connection and then only bound."""
        if self._reads is None:
            raise AssertionError("Database.open() was not awaited")
        with typed_errors():
            return await self._reads.fetchval(sql, *arguments)

    async def change(
        self, sql: str, arguments: Sequence[Any] = (), changes: frozenset[Aggregate] | None = None
    ) -> "asyncpg.Record | None":
        """Run one statement that writes, as a transaction of its own in one round trip; its first row.

        As with `transact`, it is run again after a lost deadlock, and whoever follows commits is told of `changes`.
        """
        if self._reads is None:
            raise AssertionError("Database.open() was not awaited")
        with typed_errors():
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    async with self._reads.acquire(timeout=CHECKOUT_TIMEOUT) as connection:
                        row: asyncpg.Record | None = await connection.fetchrow(sql, *arguments)
                    break
                except DRIVER_ERRORS as error:
                    if attempt == ATTEMPTS or not is_retryable(error):
                        raise
                    await asyncio.sleep(0.01 * attempt)
        for hook in self._after_commit:
            hook(changes)
        return row

    async def ping(self) -> None:
        """Raise `Unavailable` unless the server answers within a second."""
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self.fetch_value("SELECT 1"), name="ping")
            self._ping.add_done_callback(_retrieve)
        # not cancelled after the second: the driver would wait for the server to confirm that, and one ping at a time
        # is all that a server that hangs keeps busy
        await asyncio.wait({self._ping}, timeout=PING_TIMEOUT)
        if not self._ping.done():
            raise Unavailable("The database does not answer. Try again in a moment.")
        self._ping.result()


async def raw_connection(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    """The driver's connection under a transaction, for planned statements inside of it."""
    proxied = await connection.get_raw_connection()
    return cast("asyncpg.Connection[asyncpg.Record]", proxied.driver_connection)


def _replace_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool connect anew where the server has closed a connection, and take all that are older for lost too.

    The driver has seen the end of the socket, so nothing is sent: a ping in a transaction of its own (`pool_pre_ping`)
    costs three round trips, more than most of our transactions themselves.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


async def _no_reset(_connection: object) -> None:
    """Reads leave no session state behind, so the pool's reset would be a wasted round trip."""


def _retrieve(ping: "asyncio.Task[Any]") -> None:
    """Look at the outcome of a ping that nobody waited for to the end, which would otherwise be logged."""
    if not ping.cancelled():
        ping.exception()
