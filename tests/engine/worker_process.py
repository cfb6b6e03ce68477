"""Worker processes for the tests, which die or freeze at a given point of their own accord.

`python -m tests.engine.worker_process` loads everything once and then forks a worker for each line of JSON on its
standard input: `{"url", "name", "lease", "log", "signal", "visit", "moment"}`; it answers with the process id. The
worker sends itself `signal` (9: SIGKILL, 19: SIGSTOP; 0: none) at its n-th visit to the database (`visit`, counted over
transactions, claims left out), at one of four moments: `before` the transaction, in it just before the `fence` is
checked, `inside` it when all is written, or `after` its commit; a transaction of one statement has only the first and
the last. Or at its n-th claim that found something (`claimed`). SIGUSR1 disarms it. `poll` and `concurrency` may be
given too: seconds between two looks for work, and executions at once.

Its function `note` writes the key of each call to its standard output, which is the log.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Unavailable
from app.domain.events import Aggregate
from app.engine import runner
from app.engine.functions import Call
from app.engine.leases import Execution
from app.engine.runner import Worker
from app.live.hints import HintSender
from db.session import Database


class Trap:
    """Counts visits to the database, and sends this process its signal at the chosen one."""

    def __init__(self, number: int, visit: int, moment: str) -> None:
        self._signal = number
        self._visit = visit
        self._moment = moment
        self._visits = 0
        self._claims = 0

    def enter(self) -> int:
        """The number of the visit that begins."""
        self._visits += 1
        return self._visits

    def at(self, visit: int, moment: str) -> None:
        """Spring, if this is the moment."""
        if self._signal and visit == self._visit and moment == self._moment:
            os.kill(os.getpid(), self._signal)

    def claimed(self) -> None:
        """A claim has found something."""
        self._claims += 1
        self.at(self._claims, "claimed")

    def disarm(self) -> None:
        """Spring no more."""
        self._signal = 0


def set_trap(trap: Trap) -> None:
    """Let every transaction pass by the trap."""
    real_transact, real_change, real_hold = Database.transact, Database.change, Execution.hold
    current: ContextVar[int] = ContextVar("visit")

    async def transact(
        self: Database,
        work: Callable[[AsyncConnection], Awaitable[Any]],
        changes: frozenset[Aggregate] | None = None,
    ) -> Any:
        visit = trap.enter()
        trap.at(visit, "before")
        current.set(visit)

        async def watched(session: AsyncConnection) -> Any:
            result = await work(session)
            trap.at(visit, "inside")
            return result

        result = await real_transact(self, watched, changes)
        trap.at(visit, "after")
        return result

    async def change(
        self: Database, sql: str, arguments: Sequence[Any] = (), changes: frozenset[Aggregate] | None = None
    ) -> Any:
        visit = trap.enter()
        trap.at(visit, "before")
        row = await real_change(self, sql, arguments, changes)
        trap.at(visit, "after")
        return row

    async def hold(self: Execution, session: AsyncConnection) -> None:
        trap.at(current.get(), "fence")
        await real_hold(self, session)

    async def claim(*arguments: Any) -> Any:
        rows = await real_claim(*arguments)
        if rows:
            trap.claimed()
        return rows

    real_claim = vars(runner)["claim"]
    vars(runner)["claim"] = claim
    Execution.hold = hold  # type: ignore[method-assign]
    Database.transact = transact  # type: ignore[method-assign]
    Database.change = change  # type: ignore[method-assign]


async def note(call: Call) -> dict[str, Any]:
    """Write down that it was called, and how many phases came before."""
    print(f"called {call.key}", flush=True)  # noqa: T201
    return {"number": sum(result["number"] for result in call.results.values()) + 1}


async def work(order: dict[str, Any]) -> None:
    """Work until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    database = Database(order["url"], pool_size=5, read_pool_size=1)
    await opened(database)
    worker = Worker(
        database,
        HintSender(database),
        name=order["name"],
        lease_seconds=order["lease"],
        concurrency=order.get("concurrency", 4),
        first_backoff=0.1,
        functions={"note": note},
    )
    await worker.start()
    await stopping.wait()
    await worker.stop()
    await database.close()


async def opened(database: Database) -> None:
    """Open it, as soon as it is there."""
    while True:
        try:
            await database.open()
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            return


def run_child(order: dict[str, Any]) -> None:
    """Be a worker process, and end."""
    with Path(order["log"]).open("a", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    trap = Trap(order["signal"], order["visit"], order["moment"])
    signal.signal(signal.SIGUSR1, lambda *_: trap.disarm())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    set_trap(trap)
    runner.POLL_SECONDS = order.get("poll", runner.POLL_SECONDS)
    asyncio.run(work(order))


def main() -> None:
    """Fork a worker for each line."""
    # nobody waits for the children: the kernel clears them away
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # a child that cannot hear it yet hears it later
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            run_child(order)
            os._exit(0)
        print(child, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
