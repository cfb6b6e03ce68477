"""The worker: takes up executions that were woken, runs them side by side, and keeps their leases alive."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

import structlog
from langgraph.runtime import RunControl
from sqlalchemy.ext.asyncio import AsyncConnection

from app.engine.compiler import Compiled
from app.engine.functions import Function
from app.engine.run import FIRST_BACKOFF, Tools, run_execution
from db.failures import typed_errors
from db.queries.executions import claim, renew
from db.session import Database

LEASE_SECONDS = 15.0
POLL_SECONDS = 1.0
"""Seconds after which a worker looks for work though nobody told it of any."""
GATHER_SECONDS = 0.003
"""Seconds in which several hints become one look: each commit of this process gives one."""
RESTING_SECONDS = 2.0
"""Seconds before another try when the database is away."""
RENEWALS_PER_LEASE = 3

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class Wakeup(Protocol):
    """An event that somebody sets when there may be something to do."""

    def set(self) -> None: ...
    def clear(self) -> None: ...
    async def wait(self) -> Any: ...
    def close(self) -> None: ...


class Hints(Protocol):
    """Where wake-ups come from: `app.live.hints.HintSender`. They only save waiting for the next poll."""

    def subscribe(self) -> Wakeup: ...


@dataclass(frozen=True)
class Running:
    """A run in hand."""

    execution_id: UUID
    fence: int
    control: RunControl


class Worker:
    """Runs up to `concurrency` executions at once, under leases of `lease_seconds`. Any number may share a database.

    A worker that dies loses its leases after that time, and others go on from the last checkpoint.
    """

    def __init__(
        self,
        database: Database,
        hints: Hints,
        *,
        name: str,
        lease_seconds: float = LEASE_SECONDS,
        concurrency: int = 8,
        first_backoff: float = FIRST_BACKOFF,
        functions: Mapping[str, Function] | None = None,
    ) -> None:
        self.name = name
        self._database = database
        self._hints = hints
        self._lease_seconds = lease_seconds
        self._concurrency = concurrency
        self._tools = Tools(database, Compiled(database), first_backoff, functions or {})
        self._running: dict[asyncio.Task[None], Running] = {}
        self._wakeup: Wakeup | None = None
        self._stopping = False
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to take up work; returns at once, also when the database is away."""
        self._wakeup = self._hints.subscribe()
        self._loops = [
            asyncio.create_task(self._claim_forever(self._wakeup), name=f"{self.name}: claims"),
            asyncio.create_task(self._renew_forever(), name=f"{self.name}: leases"),
        ]

    async def stop(self) -> None:
        """Take up no more, let the phases in hand come to the end of their step, give back the leases."""
        self._stopping = True
        if self._wakeup is None:
            return
        claims, leases = self._loops
        self._wakeup.set()
        await asyncio.wait([claims])
        for run in self._running.values():
            run.control.request_drain()
        if self._running:
            await asyncio.wait(list(self._running))
        leases.cancel()
        await asyncio.wait([leases])
        self._wakeup.close()

    @property
    def in_hand(self) -> int:
        """How many executions are being run at this moment."""
        return len(self._running)

    async def _claim_forever(self, wakeup: Wakeup) -> None:
        while not self._stopping:
            wakeup.clear()
            try:
                await self._claim()
            except Exception as error:
                log.warning("no work could be claimed", worker=self.name, error=repr(error))
                await asyncio.sleep(RESTING_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wakeup.wait(), POLL_SECONDS)
                await asyncio.sleep(GATHER_SECONDS)

    async def _claim(self) -> None:
        """Take up what is runnable, as far as there is room."""
        room = self._concurrency - len(self._running)
        if room <= 0:
            return
        rows = await self._quietly(lambda session: claim(session, self.name, self._lease_seconds, room))
        for row in rows:
            control = RunControl()
            task = asyncio.create_task(run_execution(self._tools, row, control), name=f"execution {row.execution_id}")
            self._running[task] = Running(row.execution_id, row.fence, control)
            task.add_done_callback(self._put_down)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        run = self._running.pop(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a run broke off", execution_id=str(run.execution_id), exc_info=task.exception())
        if self._wakeup is not None:
            # there is room again, and this execution may have been woken while it ran
            self._wakeup.set()

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / RENEWALS_PER_LEASE)
            held = {run.execution_id: run.fence for run in self._running.values()}
            if not held:
                continue
            try:
                await self._quietly(lambda session: renew(session, held, self._lease_seconds))  # noqa: B023
            except Exception as error:
                log.warning("leases could not be renewed", worker=self.name, error=repr(error))

    async def _quietly(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """One statement that nobody is told of: leases are nobody's news, and telling would wake our own claims."""
        with typed_errors():
            async with self._database.engine.connect() as connection:
                return await work(await connection.execution_options(isolation_level="AUTOCOMMIT"))
