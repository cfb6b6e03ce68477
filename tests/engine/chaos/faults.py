"""The workers of a round and what befalls them: each fault is drawn from the seed, and counted by its kind.

A worker kills or freezes itself at the n-th visit to the database, before, in or after a commit; others are killed or
frozen from outside at any time; the database is restarted as after a power cut. A frozen one goes on after its lease.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import psutil

from db.embedded import EmbeddedServer
from tests.engine.processes import Workers, state_of

LOOK_SECONDS = 0.02
POLL_SECONDS = 0.1
CONCURRENCY = 8
VISITS_MAX = (10, 30, 80)
MOMENTS = ("before", "fence", "inside", "after", "after", "claimed")
CLAIMS_MAX = 4
RAGE_MAX = 90.0
"""Seconds after which the faults cease in any case."""
BLOW_SECONDS = 3.0
"""Between two blows from outside, on the average."""
CUT_SECONDS = (0.3, 8.0)
"""When the database is restarted."""
UNEXPLAINED = "died of itself"
FREEZE = (1.05, 1.5)
"""How long a frozen worker stays so, in leases."""


@dataclass
class Faults:
    """What befalls the workers of one round. `last` is the time of the last fault, by the monotonic clock."""

    workers: Workers
    server: EmbeddedServer
    chance: random.Random
    counted: Counter[str]
    lease: float
    size: int
    restarts: int
    trapped: float = 0.8
    """The share of the workers that are started with a trap."""
    last: float = 0.0
    _names: int = 0
    _alive: dict[int, str] = field(default_factory=dict)
    _frozen: dict[int, float] = field(default_factory=dict)

    async def rage(self, is_enough: Callable[[], bool]) -> None:
        """Let it all happen until it is enough, then let everybody go on; `last` says since when."""
        self.last = began = monotonic()
        blow = began + self.chance.expovariate(1 / BLOW_SECONDS)
        cuts = sorted(began + self.chance.uniform(*CUT_SECONDS) for _ in range(self.restarts))
        while not is_enough() and monotonic() < began + RAGE_MAX:
            self._see_to_workers()
            if monotonic() >= blow:
                blow = monotonic() + self.chance.expovariate(1 / BLOW_SECONDS)
                self._strike()
            if cuts and monotonic() >= cuts[0]:
                cuts.pop(0)
                await asyncio.to_thread(self.server.restart, immediate=True)
                self._happened("database restarted")
            await asyncio.sleep(LOOK_SECONDS)
        self._strike(signal.SIGKILL)
        await self._end()

    def calm(self) -> None:
        """Agents and people do nothing wrong from now on either."""
        self.last = max(self.last, monotonic())

    async def _end(self) -> None:
        """Disarm the traps, let the frozen go on, and replace the dead."""
        for pid in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
        self.trapped = 0.0
        while self._frozen:
            self._see_to_workers()
            await asyncio.sleep(LOOK_SECONDS)

    def see_to_late_ones(self) -> None:
        """To be called until the round has ended: a trap that sprang in the last moment."""
        self._see_to_workers()

    def _see_to_workers(self) -> None:
        for pid, trap in list(self._alive.items()):
            state = state_of(pid)
            if state is None:
                del self._alive[pid]
                self._frozen.pop(pid, None)
                self._happened(f"killed {trap}" if trap else UNEXPLAINED)
            elif state == psutil.STATUS_STOPPED and pid not in self._frozen:
                self._frozen[pid] = monotonic() + self.lease * self.chance.uniform(*FREEZE)
                self._happened(f"frozen {trap or 'at any time'}")
        for pid, until in list(self._frozen.items()):
            if monotonic() >= until:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGUSR1)
                del self._frozen[pid]
                self.last = monotonic()
        while len(self._alive) < self.size:
            self._start()

    def _start(self) -> None:
        self._names += 1
        number = 0
        if self.chance.random() < self.trapped:
            number = self.chance.choices((signal.SIGKILL, signal.SIGSTOP), (3, 1))[0]
        moment = self.chance.choice(MOMENTS)
        visit = self.chance.randint(1, CLAIMS_MAX if moment == "claimed" else self.chance.choice(VISITS_MAX))
        pid = self.workers.start(
            f"w{self._names}", number, visit, moment, self.lease, poll=POLL_SECONDS, concurrency=CONCURRENCY
        )
        self._alive[pid] = _told(moment) if number else ""

    def _strike(self, number: int | None = None) -> None:
        """Kill or freeze one of those that run."""
        standing = [pid for pid in self._alive if pid not in self._frozen]
        if not standing:
            return
        pid = self.chance.choice(standing)
        number = number or self.chance.choice((signal.SIGKILL, signal.SIGSTOP))
        self._alive[pid] = "at any time"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def _happened(self, what: str) -> None:
        self.counted[what] += 1
        self.last = monotonic()


def _told(moment: str) -> str:
    return {
        "before": "before a transaction",
        "fence": "before its fence is checked",
        "inside": "before a commit",
        "after": "after a commit",
        "claimed": "after a claim",
    }[moment]
