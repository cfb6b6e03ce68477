"""One stream: follows the event log for all who asked the same, renders each event once, hands it to each.

Whoever resumes by cursor, or begins with a snapshot, first gets what is its own, then joins the others: when the log
has nothing more for it alone, without a gap and without a repeat, since no turn of the loop lies in between.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any

import structlog
from graphql import GraphQLError

from app.domain.errors import HubError, Unavailable
from app.live.follower import Follower
from app.live.records import EventRecord
from app.live.tail import EventTail
from graphql_schema.errors import typed_error
from graphql_schema.outgoing import describe_error, masked
from graphql_schema.planner.plan import ReadContext
from graphql_schema.streams.delivery import Payload, Receiver
from graphql_schema.streams.opening import Opening
from graphql_schema.streams.rendering import Merged, Renderer
from graphql_schema.streams.snapshots import Snapshot, refuse_unfinished

BATCH = 200
"""Events rendered at once."""
CHUNK = 100
"""Members that are handed payloads before others of the process have a turn."""
RENDER_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between attempts to render while the database is away; the last one again and again."""
PENDING_MAX = 10_000
"""Entities of which the latest event waits for the end of an interval; more end it early."""
MERGED_MAX = 10_000
"""Of how many events, the latest, one payload tells the figures."""

Key = tuple[int, int]
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Told:
    """A rendered event."""

    event: EventRecord
    payload: Payload

    @property
    def place(self) -> Key:
        """Where it is in the log."""
        return self.event.position.key


@dataclass(eq=False)
class Member:
    """One receiver; it has had everything up to `place`, and what its snapshot shows."""

    receiver: Receiver
    place: Key
    snapshot: Snapshot = field(default_factory=Snapshot)
    task: asyncio.Task[None] | None = field(default=None)

    def take(self, told: Sequence[Told], payloads: Sequence[Payload]) -> None:
        """Hand on what this one has not had. `payloads` are those of `told`, listed once for all members."""
        if told[0].place <= self.place or not self.snapshot.is_behind(told[0].place):
            new = (each for each in told if each.place > self.place)
            payloads = [each.payload for each in new if not self.snapshot.shows(each.event)]
        if payloads:
            self.receiver.deliver(payloads)
        self.place = max(self.place, told[-1].place)
        if self.snapshot.is_behind(self.place):
            self.snapshot = Snapshot()


class SharedStream:
    """A stream, for as long as it has members."""

    def __init__(self, opening: Opening, renderer: Renderer, tail: EventTail, context: ReadContext) -> None:
        self._opening = opening
        self._renderer = renderer
        self._tail = tail
        self._context = context
        self._members: set[Member] = set()
        self._joining: set[Member] = set()
        self._task: asyncio.Task[None] | None = None
        self.renderings = 0
        """How many payloads were rendered for all members together; those of one who catches up are its own."""

    @property
    def size(self) -> int:
        """How many receivers it has."""
        return len(self._members) + len(self._joining)

    async def start(self, ended: Callable[["SharedStream"], None]) -> None:
        """Begin to follow, from now on. `ended` is told when the stream ends by itself. Raises `Unavailable`."""
        following = contextlib.AsyncExitStack()
        follower = await following.enter_async_context(self._tail.follow(self._opening.wanted))
        self._task = asyncio.create_task(self._run(following, follower, ended), name="shared stream")

    async def stop(self) -> None:
        """End, and return when nothing runs any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def join(self, receiver: Receiver, opening: Opening) -> Member:
        """Add a receiver; what it asked for before the changes from now on comes to it first."""
        member = Member(receiver, self._tail.position.key)
        if opening.after is None and not opening.snapshot:
            self._members.add(member)
        else:
            self._joining.add(member)
            member.task = asyncio.create_task(self._bring_up(member, opening), name="joining a stream")
        return member

    async def leave(self, member: Member) -> None:
        """Remove a receiver, and return when nothing runs for it any more."""
        self._members.discard(member)
        self._joining.discard(member)
        if member.task is not None and member.task is not asyncio.current_task():
            member.task.cancel()
            await asyncio.wait([member.task])

    # -- for all

    async def _run(
        self,
        following: contextlib.AsyncExitStack,
        follower: Follower,
        ended: Callable[["SharedStream"], None],
    ) -> None:
        errors: list[dict[str, Any]] = []
        try:
            async with following:
                async for events in self._batches(follower):
                    told = await self._tell(events)
                    self.renderings += len(told)
                    await self._hand_on(told)
        except Exception as error:
            errors = [_described(error)]
        ended(self)
        for member in (*self._members, *self._joining):
            if member.task is not None:
                member.task.cancel()
            member.receiver.finish(errors)
        self._members.clear()
        self._joining.clear()

    async def _hand_on(self, told: Sequence[Told]) -> None:
        if not told:
            return
        payloads = [each.payload for each in told]
        for number, member in enumerate(tuple(self._members), start=1):
            if member in self._members:
                member.take(told, payloads)
            if number % CHUNK == 0:
                await asyncio.sleep(0)

    async def _batches(self, follower: Follower) -> AsyncIterator[Sequence[Merged]]:
        """What comes, merged to the latest of each entity where an interval is asked for."""
        interval, flushed_at = self._opening.min_interval, 0.0
        while True:
            happened = self._merged({}, await follower.batch(BATCH))
            while len(happened) < PENDING_MAX and (left := flushed_at + interval - time.monotonic()) > 0:
                happened = self._merged(happened, await _within(left, follower.batch(BATCH)))
            flushed_at = time.monotonic()
            yield self._ordered(happened)

    def _merged(self, before: dict[str, Merged], events: Sequence[EventRecord]) -> dict[str, Merged]:
        """Where no interval is asked for, every event stands for itself."""
        merged = dict(before)
        for event in events:
            key = self._opening.plan.merge_key(event) if self._opening.min_interval else event.cursor + event.entity_id
            known = merged.get(key)
            merged[key] = Merged(event, (*(known.ids if known is not None else ()), event.entity_id)[-MERGED_MAX:])
        return merged

    def _ordered(self, merged: dict[str, Merged]) -> list[Merged]:
        """In the order of the log, which merging may have disturbed."""
        return sorted(merged.values(), key=_place) if self._opening.min_interval else list(merged.values())

    async def _tell(self, happened: Sequence[Merged]) -> list[Told]:
        told = [each for each in happened if self._opening.keeps(each.event)]
        bodies: list[bytes | None] = []
        for start in range(0, len(told), BATCH):
            bodies += await self._render(told[start : start + BATCH])
        return [
            Told(each.event, Payload(body, self._latest_of(each.event)))
            for each, body in zip(told, bodies, strict=True)
            if body is not None
        ]

    def _latest_of(self, event: EventRecord) -> str | None:
        return self._opening.plan.merge_key(event) if self._opening.min_interval else None

    async def _render(self, told: Sequence[Merged]) -> list[bytes | None]:
        """Render, again and again while the database is away: a stream outlives that."""
        for pause in chain(RENDER_PAUSES, repeat(RENDER_PAUSES[-1])):
            try:
                return await self._renderer.render(told, self._context, self._opening.variables)
            except Unavailable as error:
                log.info("a stream waits for the database", error=error.message)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the pauses do not end")

    # -- for one

    async def _bring_up(self, member: Member, opening: Opening) -> None:
        """Give one receiver what it asked for, then let it join the others."""
        try:
            refuse_unfinished(opening.after)
            async with self._tail.follow(opening.wanted, opening.after) as follower:
                if opening.snapshot:
                    place, identity = follower.position, self._tail.database
                    member.snapshot = await Snapshot.read(opening, place, identity, self._context)
                    await self._catch_up(member, self._of_snapshot(member.snapshot))
                    member.snapshot = replace(member.snapshot, events=())
                await self._catch_up(member, self._missed(follower, member.snapshot))
                member.place = max(member.place, follower.position.key)
                self._joining.discard(member)
                self._members.add(member)
        except Exception as error:
            self._joining.discard(member)
            member.receiver.finish([_described(error)])

    async def _catch_up(self, member: Member, batches: AsyncIterator[Sequence[EventRecord]]) -> None:
        async for events in batches:
            told = await self._tell(self._ordered(self._merged({}, events)))
            await member.receiver.ready()
            if told:
                member.receiver.deliver([each.payload for each in told])

    async def _of_snapshot(self, snapshot: Snapshot) -> AsyncIterator[Sequence[EventRecord]]:
        for start in range(0, len(snapshot.events), BATCH):
            yield snapshot.events[start : start + BATCH]

    async def _missed(self, follower: Follower, snapshot: Snapshot) -> AsyncIterator[Sequence[EventRecord]]:
        while events := await follower.ready(BATCH):
            yield [event for event in events if not snapshot.shows(event)]


async def _within(seconds: float, batch: Awaitable[list[EventRecord]]) -> list[EventRecord]:
    """What the batch brings in time; nothing after that."""
    try:
        async with asyncio.timeout(seconds):
            return await batch
    except TimeoutError:
        return []


def _place(told: Merged) -> Key:
    return told.event.position.key


def _described(error: Exception) -> dict[str, Any]:
    if isinstance(error, HubError):
        return describe_error(typed_error(error))
    return describe_error(error) if isinstance(error, GraphQLError) else masked(error)
