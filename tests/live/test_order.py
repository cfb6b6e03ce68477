"""Events come in the order of their commits' transactions, none is skipped, whatever the writers do."""

import asyncio
import random

import asyncpg
import pytest

from app.domain.events import Aggregate
from app.live import tail as tail_module
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.queries import events as log
from db.session import Database
from tests.live.events import ids, nothing_comes, take, write, write_in

ALL = EventFilter()


async def test_a_transaction_that_commits_late_is_waited_for(
    database: Database, database_url: str, tail: EventTail
) -> None:
    async with tail.follow(ALL) as events:
        async with database.engine.begin() as early:
            await write_in(early, "early")
            await write(database, "late-1", "late-2")
            assert await nothing_comes(events, 0.3)
            assert tail.lag_seconds >= 0.2
        assert await ids(events, 3) == ["early", "late-1", "late-2"]
    await asyncio.sleep(0.1)
    assert tail.lag_seconds == 0.0


async def test_the_order_of_commits_does_not_matter(database: Database, tail: EventTail) -> None:
    async with (
        tail.follow(ALL) as events,
        database.engine.connect() as first,
        database.engine.connect() as second,
        database.engine.connect() as third,
    ):
        await write_in(first, "first")
        await write_in(second, "second")
        await write_in(third, "third")
        await third.commit()
        await second.commit()
        await first.commit()
        taken = await take(events, 3)
        assert [event.entity_id for event in taken] == ["first", "second", "third"]
        assert [event.position.key for event in taken] == sorted(event.position.key for event in taken)
        assert await nothing_comes(events, 0.7)


async def test_what_is_rolled_back_never_comes_and_holds_nothing_up(database: Database, tail: EventTail) -> None:
    async with tail.follow(ALL) as events:
        async with database.engine.connect() as failing:
            await write_in(failing, "failing")
            await write(database, "after")
            await failing.rollback()
        assert await ids(events, 1) == ["after"]
        assert await nothing_comes(events, 0.7)


async def test_events_of_one_transaction_keep_their_order(database: Database, tail: EventTail) -> None:
    async def work(session: object) -> None:
        for number in range(50):
            await write_in(session, str(number))  # type: ignore[arg-type]

    async with tail.follow(ALL) as events:
        await database.transact(work)
        assert await ids(events, 50) == [str(number) for number in range(50)]


async def test_many_writers_lose_and_repeat_nothing(database_url: str, tail: EventTail) -> None:
    writers, transactions = 8, 40
    source = random.Random(7)  # noqa: S311

    async def writer(name: int) -> list[str]:
        written: list[str] = []
        database = Database(database_url, pool_size=1, read_pool_size=1)
        for number in range(transactions):
            async with database.engine.begin() as session:
                for part in range(source.randint(1, 3)):
                    await write_in(session, f"{name}-{number}-{part}")
                    written.append(f"{name}-{number}-{part}")
                await asyncio.sleep(source.choice((0, 0, 0.002, 0.02)))
        await database.close()
        return written

    async with tail.follow(ALL) as events:
        written = [entity for part in await asyncio.gather(*map(writer, range(writers))) for entity in part]
        taken = await take(events, len(written))
        assert await nothing_comes(events, 0.7)
    assert sorted(event.entity_id for event in taken) == sorted(written)
    keys = [event.position.key for event in taken]
    assert keys == sorted(set(keys))
    cursors = [event.cursor for event in taken]
    assert cursors == sorted(set(cursors))
    for name in range(writers):
        own = [event.entity_id for event in taken if event.entity_id.startswith(f"{name}-")]
        assert own == [entity for entity in written if entity.startswith(f"{name}-")]


async def test_a_hint_makes_it_quick(database: Database, tail: EventTail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "POLL", 30.0)
    async with tail.follow(ALL) as events:
        await asyncio.sleep(0.6)  # the poll that was under way is over
        for number in range(20):
            await write(database, str(number))
            async with asyncio.timeout(2):
                assert (await anext(events)).entity_id == str(number)


async def test_another_process_hints_by_notify(
    database: Database, database_url: str, hints: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "POLL", 30.0)
    elsewhere = EventTail(database_url)
    await elsewhere.start()
    try:
        async with elsewhere.follow(ALL) as events:
            await write(database, "somewhere")
            async with asyncio.timeout(5):
                assert (await anext(events)).entity_id == "somewhere"
    finally:
        await elsewhere.stop()


async def test_the_poll_finds_what_nobody_hinted_at(database_url: str) -> None:
    silent = Database(database_url, pool_size=1, read_pool_size=1)
    tail = EventTail(database_url)
    await tail.start()
    try:
        async with tail.follow(ALL) as events:
            await asyncio.sleep(0.2)
            await write(silent, "unheard")
            async with asyncio.timeout(2):
                assert (await anext(events)).entity_id == "unheard"
    finally:
        await tail.stop()
        await silent.close()


async def test_a_transaction_that_began_hours_before_it_wrote_is_seen(
    database: Database, database_url: str, tail: EventTail
) -> None:
    await write(database, "before")
    connection = await asyncpg.connect(database_url)
    try:
        async with tail.follow(ALL) as events:
            await asyncio.sleep(0.6)  # the tail has moved its bound to now
            began = await connection.fetchval(
                # as if it had begun at the start of the oldest partition, but no more than a day ago
                "SELECT greatest(date_trunc('day', now()), now() - interval '23 hours')"
            )
            await connection.execute(
                "INSERT INTO event_log (created_at, retention, aggregate, entity_id, event_type, actor)"
                " VALUES ($1, 'report', 'agent', 'long-running', 'reported', 'test')",
                began,
            )
            taken = await take(events, 1)
            if taken[0].entity_id == "before":  # the tail had not come to it when it was followed
                taken = await take(events, 1)
    finally:
        await connection.close()
    assert taken[0].entity_id == "long-running"
    assert taken[0].occurred_at == began


async def test_an_event_says_what_happened(database: Database, tail: EventTail) -> None:
    async with tail.follow(ALL) as events:
        await write(database, "john-pm", aggregate=Aggregate.AGENT, detail={"reason": "tëst", "deep": {"a": [1, None]}})
        event = (await take(events, 1))[0]
    now = await database.fetch_value("SELECT now()")
    assert (event.aggregate, event.entity_id, event.event_type, event.actor) == ("agent", "john-pm", "created", "test")
    assert (event.from_status, event.to_status, event.version) == (None, None, None)
    assert event.detail == {"reason": "tëst", "deep": {"a": [1, None]}}
    assert 0 <= (now - event.occurred_at).total_seconds() < 10


async def test_old_partitions_are_not_visited(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings=log.SESSION)
    try:
        for days in range(2, 60):
            await connection.execute(await _partition_of_day(connection, days))
        await connection.execute(f"PREPARE looking AS {log.READ_ALL}")
        plan = await connection.fetch("EXPLAIN EXECUTE looking('0', 0, now(), 10)")
    finally:
        await connection.close()
    lines = [line[0].strip() for line in plan]
    removed = [int(line.rpartition(" ")[2]) for line in lines if line.startswith("Subplans Removed")]
    assert removed
    assert removed[0] >= 57
    assert not any("old_30" in line for line in lines)


async def _partition_of_day(connection: "asyncpg.Connection[asyncpg.Record]", days: int) -> str:
    low, high = await connection.fetchrow(  # type: ignore[misc]  # one row always
        "SELECT (date_trunc('day', now()) - make_interval(days => $1))::text,"
        " (date_trunc('day', now()) - make_interval(days => $1 - 1))::text",
        days,
    )
    return f"CREATE TABLE old_{days} PARTITION OF event_log_report FOR VALUES FROM ('{low}') TO ('{high}')"
