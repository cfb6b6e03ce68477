"""Following: filters, resuming by cursor, overflow, and what cannot be resumed."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from app.domain.errors import ErrorCode, InvalidInput, ResyncRequired, Unavailable
from app.domain.events import Aggregate
from app.live import follower as follower_module
from app.live import tail as tail_module
from app.live.cursor import decode_cursor, encode_cursor
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.session import Database
from tests.live.events import EVERYTHING_TAKES, eventually, ids, nothing_comes, take, write

ALL = EventFilter()


async def test_without_a_cursor_it_begins_now(database: Database, tail: EventTail) -> None:
    await write(database, "past")
    async with tail.follow(ALL) as events:
        assert await ids(events, 1) == ["past"]  # committed, but not read by the tail when the follower came
    await asyncio.sleep(0.2)
    async with tail.follow(ALL) as events:
        await write(database, "present")
        assert await ids(events, 1) == ["present"]


async def test_a_tail_begins_at_the_end_of_the_log(database: Database, database_url: str) -> None:
    await write(database, *map(str, range(10)))
    tail = EventTail(database_url)
    await tail.start()
    try:
        async with tail.follow(ALL) as events:
            assert await nothing_comes(events, 0.7)
    finally:
        await tail.stop()


FILTERS = [
    (EventFilter(Aggregate.TASK), {"t1", "t2", "t3"}),
    (EventFilter(Aggregate.TASK, "t2"), {"t2"}),
    (EventFilter(Aggregate.TASK, details=({"execution_id": "e1"},)), {"t1", "t3"}),
    (EventFilter(Aggregate.TASK, details=({"execution_id": "e1", "agent_id": "a-1"},)), {"t3"}),
    (EventFilter(Aggregate.TASK, details=({"agent_id": None},)), {"t2"}),
    (EventFilter(Aggregate.TASK, details=({"agent_id": None}, {"agent_id": "a-1"})), {"t2", "t3"}),
    (EventFilter(Aggregate.TASK, "t1", ({"execution_id": "e1"},)), {"t1"}),
    (EventFilter(Aggregate.TASK, event_types=frozenset({"created", "absent"})), {"t1", "t2", "t3"}),
    (EventFilter(Aggregate.AGENT), {"other", "said"}),
    (EventFilter(Aggregate.AGENT, event_types=frozenset({"said"})), {"said"}),
    (EventFilter(Aggregate.AGENT, "said", ({"to": None}, {"to": "me"}), frozenset({"said"})), {"said"}),
    (EventFilter(), {"t1", "t2", "t3", "other", "said", "end"}),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS)
async def test_the_past_and_the_present_are_filtered_alike(
    database: Database, tail: EventTail, wanted: EventFilter, expected: set[str]
) -> None:
    async def produce() -> None:
        await write(database, "t1", detail={"execution_id": "e1"})
        await write(database, "t2", detail={"execution_id": "e2", "agent_id": None})
        await write(database, "t3", detail={"execution_id": "e1", "agent_id": "a-1", "more": [1]})
        await write(database, "other", aggregate=Aggregate.AGENT, detail={"execution_id": "e1"})
        await write(database, "said", aggregate=Aggregate.AGENT, detail={"to": "me"}, event_type="said")
        await write(database, "end", aggregate=Aggregate.DECISION)

    async with tail.follow(ALL) as events:
        await write(database, "start")
        start = (await take(events, 1))[0].cursor
    async with tail.follow(wanted) as live:
        await produce()
        assert set(await ids(live, len(expected))) == expected
        assert live.catch_ups == 0
    async with tail.follow(wanted, after=start) as past:
        assert set(await ids(past, len(expected))) == expected
        assert await nothing_comes(past, 0.6)
        event_type = max(wanted.event_types or {"created"})
        aggregate = wanted.aggregate or Aggregate.TASK
        await write(database, *expected, aggregate=aggregate, detail=wanted.details[0], event_type=event_type)
        assert set(await ids(past, len(expected))) == expected
        assert past.catch_ups == 1


async def test_resuming_misses_and_repeats_nothing_while_others_write(
    database: Database, database_url: str, tail: EventTail
) -> None:
    source = random.Random(11)  # noqa: S311
    total = 400

    async def writer(name: int) -> None:
        own = Database(database_url, pool_size=1, read_pool_size=1)
        for number in range(total // 4):
            await write(own, f"{name}-{number}")
            if source.random() < 0.2:
                await asyncio.sleep(source.random() * 0.02)
        await own.close()

    async with tail.follow(ALL) as events:
        await write(database, "start")
        cursor = (await take(events, 1))[0].cursor
    writing = asyncio.gather(*map(writer, range(4)))
    seen: list[str] = []
    cursors: list[str] = []
    async with asyncio.timeout(EVERYTHING_TAKES):
        while len(seen) < total:
            async with tail.follow(ALL, after=cursor) as events:  # as a client that is cut off again and again
                for event in await take(events, min(source.randint(1, 25), total - len(seen))):
                    seen.append(event.entity_id)
                    cursors.append(event.cursor)
            cursor = cursors[-1]
    await writing
    assert len(seen) == len(set(seen)) == total
    assert cursors == sorted(set(cursors))
    async with tail.follow(ALL, after=cursor) as events:
        assert await nothing_comes(events, 0.6)
    assert tail.followers == 0


async def test_a_slow_consumer_loses_nothing_and_holds_little(
    database: Database, tail: EventTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "QUEUE_LIMIT", 20)
    monkeypatch.setattr(tail_module, "BATCH", 30)
    names = [str(number) for number in range(200)]
    async with tail.follow(ALL) as slow, tail.follow(ALL) as quick:
        quick_ids = asyncio.create_task(ids(quick, 200))
        await write(database, *names)
        assert await quick_ids == names
        assert len(slow._queue) <= 20
        assert slow.catch_ups == 0
        assert await ids(slow, 200) == names
        assert slow.catch_ups >= 7
        await write(database, "live again")
        assert await ids(slow, 1) == ["live again"]


async def test_overflow_in_the_middle_of_catching_up(
    database: Database, tail: EventTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "QUEUE_LIMIT", 5)
    monkeypatch.setattr(tail_module, "BATCH", 7)
    async with tail.follow(ALL) as events:
        await write(database, "start")
        start = (await take(events, 1))[0].cursor
    await write(database, *(f"past-{number}" for number in range(10)))
    await asyncio.sleep(0.2)
    async with tail.follow(ALL, after=start) as events:
        seen = await ids(events, 9)  # within the second batch, which was the last one
        for number in range(12):
            await write(database, f"present-{number}")
        await asyncio.sleep(0.2)
        seen += await ids(events, 13)
        assert await nothing_comes(events, 0.6)
    assert seen == [f"past-{number}" for number in range(10)] + [f"present-{number}" for number in range(12)]


async def test_a_cancelled_read_loses_nothing(database: Database, tail: EventTail) -> None:
    async with tail.follow(ALL) as events:
        await write(database, "start")
        start = (await take(events, 1))[0].cursor
    await write(database, "past")
    async with tail.follow(ALL, after=start) as events:
        reading = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        await write(database, "present")
        assert await ids(events, 2) == ["past", "present"]


async def test_a_malformed_cursor_is_refused(tail: EventTail) -> None:
    with pytest.raises(InvalidInput):
        async with tail.follow(ALL, after="yesterday"):
            pass
    assert tail.followers == 0


async def _cursor(database: Database, tail: EventTail) -> str:
    async with tail.follow(ALL) as events:
        await write(database, "somewhere")
        return (await take(events, 1))[0].cursor


async def test_a_cursor_of_another_database_needs_a_resync(database: Database, tail: EventTail) -> None:
    identity, position = decode_cursor(await _cursor(database, tail))
    for other in (
        identity._replace(database_oid=identity.database_oid + 1),
        identity._replace(system_identifier=identity.system_identifier + 1),
    ):
        with pytest.raises(ResyncRequired, match="of another database") as caught:
            async with tail.follow(ALL, after=encode_cursor(other, position)):
                pass
        assert caught.value.code is ErrorCode.RESYNC_REQUIRED
        assert "read the state anew, then follow without `after`" in caught.value.message


async def test_a_cursor_ahead_of_the_log_needs_a_resync(database: Database, tail: EventTail) -> None:
    identity, position = decode_cursor(await _cursor(database, tail))
    ahead = encode_cursor(identity, position._replace(xid=position.xid + 1_000_000))
    with pytest.raises(ResyncRequired, match="restored"):
        async with tail.follow(ALL, after=ahead):
            pass


async def test_a_cursor_older_than_the_log_needs_a_resync(database: Database, tail: EventTail) -> None:
    identity, position = decode_cursor(await _cursor(database, tail))
    old = encode_cursor(identity, position._replace(created_at=position.created_at - timedelta(days=1)))
    with pytest.raises(ResyncRequired, match="older than the event log, which is kept whole since"):
        async with tail.follow(ALL, after=old):
            pass


async def test_dropping_a_partition_makes_its_cursors_too_old(
    database: Database, database_url: str, tail: EventTail
) -> None:
    cursor = await _cursor(database, tail)
    connection = await asyncpg.connect(database_url)
    try:
        oldest = await connection.fetchval(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event_log_report'::regclass"
            " ORDER BY 1 LIMIT 1"
        )
        async with tail.follow(ALL, after=cursor) as events:
            await write(database, "still there")
            assert await ids(events, 1) == ["still there"]
        await connection.execute(f"DROP TABLE {oldest}")
    finally:
        await connection.close()
    with pytest.raises(ResyncRequired, match="older"):
        async with tail.follow(ALL, after=cursor):
            pass


async def test_nobody_follows_a_tail_that_was_not_started_or_was_stopped(database_url: str) -> None:
    tail = EventTail(database_url)
    with pytest.raises(Unavailable):
        async with tail.follow(ALL):
            pass
    await tail.start()
    alive = tail.is_alive
    assert alive
    async with tail.follow(ALL) as events:
        await tail.stop()
        with pytest.raises(Unavailable, match="resume by cursor"):
            await anext(events)
    assert not tail.is_alive
    with pytest.raises(Unavailable):
        async with tail.follow(ALL):
            pass
    await tail.stop()


async def test_a_start_without_a_database_is_refused(database_url: str) -> None:
    tail = EventTail(database_url.replace("host=", "host=/nowhere"))
    with pytest.raises(Unavailable):
        await tail.start()


async def test_stopping_leaves_no_task_and_no_connection(database: Database, database_url: str) -> None:
    before = asyncio.all_tasks()
    tail = EventTail(database_url)
    await tail.start()
    async with tail.follow(ALL) as events:
        await write(database, "one")
        await take(events, 1)
    await tail.stop()
    assert asyncio.all_tasks() == before
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orchestration-hub tail'"
        " AND datname = current_database()"
    )

    async def none_left() -> bool:
        return await database.fetch_value(sessions) == 0  # type: ignore[no-any-return]

    await eventually(none_left)
