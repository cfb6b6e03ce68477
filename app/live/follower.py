"""One consumer of the event log: first what it missed, from the database, then what the tail hands it, without a gap.

It is *joined* while the tail hands it events. It joins before it reads the database for the last time, so whatever
that read does not see comes by the tail; what comes by both ways is told by its position and given once. Its queue is
bounded: when it is full the follower leaves, drops the queue, and goes back to reading from where its consumer is.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from app.live.records import EventFilter, EventRecord
from db.queries.events import Position

QUEUE_LIMIT = 1_000
"""Events that wait for one consumer at most; beyond that it reads them from the database when it gets to them."""

ReadAfter = Callable[[Position, EventFilter], Awaitable[tuple[list[EventRecord], bool]]]
"""Reads a batch of matching events after a position; the flag says that there are none beyond it."""


class Follower:
    """An async iterator of the wanted events after its position, each once, in order; it never ends.

    `catch_ups` counts the batches that it read from the database.
    """

    def __init__(self, wanted: EventFilter, position: Position, read_after: ReadAfter, *, up_to_date: bool) -> None:
        self.wanted = wanted
        self.catch_ups = 0
        self._position = position
        self._read_after = read_after
        self._backlog: deque[EventRecord] = deque()
        self._queue: deque[EventRecord] = deque()
        self._joined = up_to_date
        self._reading = False
        self._failure: Exception | None = None
        self._wake = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    @property
    def position(self) -> Position:
        """Where the consumer is: it has every wanted event up to here, and none beyond."""
        return self._position

    async def __anext__(self) -> EventRecord:
        """The next event. Raises `ResyncRequired` if the database was replaced, `Unavailable` if the tail stopped."""
        return (await self.batch(1))[0]

    async def batch(self, most: int) -> list[EventRecord]:
        """The next events, one at least, at most `most`: what is there at once. Raises as `__anext__`."""
        while True:
            events = await self.ready(most)
            if events:
                return events
            self._wake.clear()
            await self._wake.wait()

    async def ready(self, most: int) -> list[EventRecord]:
        """The next events that there are already, at most `most`; none once the tail has nothing more to hand on.

        Raises as `__anext__`.
        """
        events: list[EventRecord] = []
        while len(events) < most:
            if self._failure is not None:
                raise self._failure
            if self._backlog:
                event = self._backlog.popleft()
            elif self._joined and self._queue:
                event = self._queue.popleft()
            elif self._joined or events:
                break
            else:
                await self._catch_up()
                continue
            if event.position.key > self._position.key:
                self._position = event.position
                events.append(event)
        return events

    def offer(self, event: EventRecord, before: Position) -> None:
        """Take an event from the tail; `before` is the place of the event in front of it in the log."""
        if not self._joined or not self.wanted.matches(event):
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self._leave()
            return
        if not (self._reading or self._backlog or self._queue) and before.key > self._position.key:
            # nothing that matches lies in between; a later catch-up need not search there
            self._position = before
        self._queue.append(event)
        self._wake.set()

    def fail(self, failure: Exception) -> None:
        """End the iteration with an error."""
        self._failure = failure
        self._leave()
        self._wake.set()

    async def _catch_up(self) -> None:
        self.catch_ups += 1
        self._joined = self._reading = True
        exhausted = False
        try:
            events, exhausted = await self._read_after(self._position, self.wanted)
            self._backlog.extend(events)
        finally:
            self._reading = False
            if not exhausted:
                self._leave()

    def _leave(self) -> None:
        self._joined = False
        self._queue.clear()
