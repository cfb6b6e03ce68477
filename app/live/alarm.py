"""Says in the log when the tail falls behind, and what it waits for."""

import time
from collections.abc import Sequence

import structlog

from db.queries import events
from db.queries.events import Connection, Holder

ALARM_AFTER = 2.0
"""Seconds that the oldest event has waited before it is told."""
REPEATED_AFTER = 30.0
"""Seconds between two alarms at least."""

log = structlog.get_logger(__name__)


class LagAlarm:
    """Judges how far the tail is behind after each read; asks for the reason only when it is too far."""

    def __init__(self) -> None:
        self.held_by: Sequence[Holder] = ()
        """The transactions that hold the horizon, the oldest first, as the last alarm found them."""
        self._raised_at: float | None = None

    async def judge(self, connection: Connection, behind: float | None) -> None:
        """Take note that the oldest event has waited for so many seconds; None when none waits."""
        if behind is None or behind < ALARM_AFTER:
            self._settle()
        elif self._raised_at is None or time.monotonic() - self._raised_at >= REPEATED_AFTER:
            self._raised_at = time.monotonic()
            self.held_by = await events.holders(connection)
            log.warning(
                "the event log is told late: subscribers wait for transactions that have written and not ended",
                behind_seconds=round(behind, 1),
                held_by=[holder._asdict() for holder in self.held_by],
            )

    def _settle(self) -> None:
        if self._raised_at is not None:
            log.info("the event log is told in time again")
        self._raised_at, self.held_by = None, ()
