"""Says in the log when the tail falls behind, and what it waits for."""

import math
import time
from collections.abc import Sequence

import asyncpg
import structlog

from db.queries import events
from db.queries.events import Connection, Holder

HELD_AFTER = 1.0
"""Seconds that the oldest event has waited before it is asked which transactions, older than so many, it waits for."""
LATE_AFTER = 5.0
"""Seconds that the oldest event has waited before it is told whatever the reason."""
LOOK_EVERY = 1.0
"""Least seconds between two questions for the reason."""
REPEATED_AFTER = 30.0
"""Least seconds between two lines of the same kind in the log."""

log = structlog.get_logger(__name__)


class Rarely:
    """Says when something that happens again and again is to be told: at once, then each `REPEATED_AFTER` at most."""

    def __init__(self) -> None:
        self.untold = 0
        """How often it happened since it was told."""
        self._told_at = -math.inf

    def is_due(self) -> bool:
        """It has happened: whether to tell it now."""
        self.untold += 1
        if time.monotonic() - self._told_at < REPEATED_AFTER:
            return False
        self._told_at, self.untold = time.monotonic(), 0
        return True


class LagAlarm:
    """Judges how far the tail is behind after each read; asks for the reason only when it is too far."""

    def __init__(self) -> None:
        self.held_by: Sequence[Holder] = ()
        """The transactions that hold the horizon, the one to end first in front; none when the log is told in time."""
        self._looked_at = -math.inf
        self._held, self._late = Rarely(), Rarely()
        self._is_told = False

    async def judge(self, connection: Connection, behind: float | None) -> None:
        """Take note that the oldest event has waited for so many seconds; None when none waits."""
        if behind is None or behind < HELD_AFTER:
            self._settle()
        elif time.monotonic() - self._looked_at >= LOOK_EVERY:
            self._looked_at = time.monotonic()
            self.held_by = await _holders(connection)
            self._tell(behind)

    def _tell(self, behind: float) -> None:
        if self.held_by and self._held.is_due():
            self._warn("a transaction holds up the event log: until it ends, nothing is pushed", behind)
        if behind >= LATE_AFTER and self._late.is_due():
            self._warn("the event log is told late", behind)

    def _warn(self, message: str, behind: float) -> None:
        self._is_told = True
        held_by = [holder._asdict() for holder in self.held_by]
        log.warning(message, behind_seconds=round(behind, 1), held_by=held_by)

    def _settle(self) -> None:
        if self._is_told:
            log.info("the event log is told in time again")
        self._is_told, self.held_by = False, ()


async def _holders(connection: Connection) -> Sequence[Holder]:
    """The transactions that have been open for long; none also where the server does not say."""
    try:
        return [holder for holder in await events.holders(connection) if holder.seconds >= HELD_AFTER]
    except asyncpg.InsufficientPrivilegeError:
        return ()
