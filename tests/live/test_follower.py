"""The hand-over between catching up and following, for every order in which the steps of the two can come."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.events import Aggregate
from app.live import follower as follower_module
from app.live.cursor import DatabaseIdentity
from app.live.follower import Follower
from app.live.records import EventFilter, EventRecord
from db.queries.events import Position

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BATCH = 3
QUEUE = 2


def event(number: int) -> EventRecord:
    position = Position(number, number, NOW)
    wanted = "task" if number % 3 else "agent"
    return EventRecord(DatabaseIdentity(1, 1), position, wanted, str(number), "created", "test", None, None, None, {})


class Log:
    """A log, a tail that hands it on one by one, and reads of it that take a while."""

    def __init__(self, read_early: list[bool], delays: list[int]) -> None:
        self.events: list[EventRecord] = []
        self.handed_on = 0
        self._read_early = iter(read_early)
        self._delays = iter(delays)

    def write(self) -> None:
        self.events.append(event(len(self.events) + 1))

    def hand_on(self, follower: Follower) -> None:
        if self.handed_on < len(self.events):
            next_one = self.events[self.handed_on]
            follower.offer(next_one, Position(self.handed_on, self.handed_on, NOW))
            self.handed_on += 1

    async def read_after(self, after: Position, wanted: EventFilter) -> tuple[list[EventRecord], bool]:
        early, delay = next(self._read_early, True), next(self._delays, 0)
        found = self._found(after, wanted)
        for _ in range(delay):
            await asyncio.sleep(0)
        if not early:
            found = self._found(after, wanted)
        return found[:BATCH], len(found) < BATCH

    def _found(self, after: Position, wanted: EventFilter) -> list[EventRecord]:
        return [one for one in self.events if one.position.key > after.key and wanted.matches(one)]


steps = st.lists(st.sampled_from(["write", "write", "hand on", "hand on", "hand on", "take", "turn"]), max_size=60)


@settings(max_examples=400, deadline=None)
@given(
    steps=steps,
    past=st.integers(0, 8),
    handed_on=st.integers(0, 8),
    start=st.integers(0, 8),
    only_tasks=st.booleans(),
    read_early=st.lists(st.booleans(), max_size=20),
    delays=st.lists(st.integers(0, 5), max_size=20),
)
@example(
    # what the tail hands on while the backlog is not empty does not move the follower past it
    steps=["take", "turn", "turn", "turn", "write", "hand on"],
    past=2,
    handed_on=2,
    start=0,
    only_tasks=False,
    read_early=[],
    delays=[],
)
def test_each_event_comes_once_in_order(
    steps: list[str],
    past: int,
    handed_on: int,
    start: int,
    only_tasks: bool,
    read_early: list[bool],
    delays: list[int],
) -> None:
    # QUEUE is small, so that it overflows all the time
    limit, follower_module.QUEUE_LIMIT = follower_module.QUEUE_LIMIT, QUEUE
    try:
        taken, expected = asyncio.run(
            _play(steps, Log(read_early, delays), past, min(handed_on, past), min(start, past), only_tasks=only_tasks)
        )
    finally:
        follower_module.QUEUE_LIMIT = limit
    assert taken == expected


async def _play(
    steps: list[str], log: Log, past: int, handed_on: int, start: int, *, only_tasks: bool
) -> tuple[list[str], list[str]]:
    wanted = EventFilter() if not only_tasks else EventFilter(Aggregate.TASK)
    for _ in range(past):
        log.write()
    log.handed_on = handed_on
    follower = Follower(wanted, Position(start, start, NOW), log.read_after, up_to_date=False)
    taken: list[str] = []
    appetite = asyncio.Semaphore(0)

    async def consume() -> None:
        while True:
            await appetite.acquire()
            taken.append((await anext(follower)).entity_id)

    consumer = asyncio.create_task(consume())
    acts: dict[str, Callable[[], None]] = {
        "write": log.write,
        "hand on": lambda: log.hand_on(follower),
        "take": appetite.release,
        "turn": lambda: None,
    }
    for step in steps:
        acts[step]()
        await asyncio.sleep(0)
    while log.handed_on < len(log.events):
        log.hand_on(follower)
        await asyncio.sleep(0)
    for _ in range(len(log.events) + 1):
        appetite.release()
    for _ in range(300):
        await asyncio.sleep(0)
    assert len(follower._queue) <= QUEUE
    consumer.cancel()
    await asyncio.wait([consumer])
    return taken, [one.entity_id for one in log.events[start:] if wanted.matches(one)]
