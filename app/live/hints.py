"""Hints: after a commit, tell whoever reads the log to look at once. Nothing depends on one; polls stand behind them.

A NOTIFY in each transaction would more than halve the rate of writes (docs/architecture.md), so a process sends at most
one empty NOTIFY every few milliseconds, after its commits.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import asyncpg
import structlog

from app.domain.events import Aggregate
from app.live.alarm import Rarely
from db.session import SERVER_SETTINGS, Database

CHANNEL = "hub_events"
INTERVAL = 0.005
"""Least seconds between two NOTIFYs of a process."""
RECONNECT_AFTER = 1.0
"""Seconds without hints after one could not be sent."""
TIMEOUT = 5.0
"""Seconds until a connection or a NOTIFY is given up."""
SETTINGS = {**SERVER_SETTINGS, "application_name": "orchestration-hub hints", "synchronous_commit": "off"}
"""A NOTIFY writes nothing that must outlive a crash, and so does not wait for the disk."""

log = structlog.get_logger(__name__)


class Wakeup(asyncio.Event):
    """Set at each hint: `await wakeup.wait()`, `wakeup.clear()`, then look; `close()` it, or use it as a context."""

    def __init__(self, waiting: set["Wakeup"]) -> None:
        super().__init__()
        self._waiting = waiting
        waiting.add(self)

    def close(self) -> None:
        """Be woken no more."""
        self._waiting.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class HintSender:
    """Wakes this process at once and the others by NOTIFY, whenever something was committed here."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[Wakeup] = set()
        self._unsent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._failures = Rarely()
        database.after_commit(self.hint)

    @property
    def backend_pid(self) -> int | None:
        """The server process that sends our NOTIFYs, so that our own listener can leave them out."""
        return self._connection.get_server_pid() if self._connection is not None else None

    async def start(self) -> None:
        """Start sending; hints of before are sent now."""
        self._task = asyncio.create_task(self._run(), name="hint sender")

    async def stop(self) -> None:
        """Send no more, and return when everything is released."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)

    def hint(self, _changes: frozenset[Aggregate] | None = None) -> None:
        """Something was committed here. Does not block."""
        self.wake()
        self._unsent.set()

    def wake(self) -> None:
        """Wake whoever waits in this process, and nobody else."""
        for wakeup in self._waiting:
            wakeup.set()

    def subscribe(self) -> Wakeup:
        """An event of your own that each hint sets, ours or another process's that the tail heard."""
        return Wakeup(self._waiting)

    async def _run(self) -> None:
        while True:
            await self._unsent.wait()
            self._unsent.clear()
            await asyncio.sleep(INTERVAL if await self._send() else RECONNECT_AFTER)

    async def _send(self) -> bool:
        try:
            connection = await self._connected()
            await connection.execute(f"NOTIFY {CHANNEL}", timeout=TIMEOUT)
        except Exception as error:  # whatever it was: hints go on
            if self._failures.is_due():
                log.warning("no hint was sent, the others will poll", error=repr(error))
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            return False
        return True

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._database.url,
                timeout=TIMEOUT,
                server_settings=SETTINGS,
            )
        return self._connection


async def close_quietly(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Close a connection that nobody uses any more, whatever state it is in; a cancelled statement is waited for."""
    with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.close(timeout=TIMEOUT)
