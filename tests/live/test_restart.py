"""The tail through restarts of PostgreSQL: its place is kept, its followers notice nothing."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.domain.errors import ResyncRequired, Unavailable
from app.live.hints import HintSender
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.embedded import EmbeddedServer
from db.session import Database
from tests.live.events import EVERYTHING_TAKES, eventually, ids, take, write

ALL = EventFilter()


@pytest.fixture
def durable_url(postgres: EmbeddedServer, database_url: str) -> str:
    """A database that keeps what it acknowledged through a crash; the other tests' do without."""
    name = database_url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    return database_url


@pytest.fixture
async def durable(durable_url: str) -> AsyncIterator[Database]:
    database = Database(durable_url, pool_size=5, read_pool_size=2)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def durable_tail(durable_url: str) -> AsyncIterator[EventTail]:
    tail = EventTail(durable_url)
    await tail.start()
    yield tail
    await tail.stop()


async def _restart(postgres: EmbeddedServer) -> None:
    await asyncio.to_thread(postgres.restart, immediate=True)


async def _write_until_it_works(database: Database, entity_id: str) -> None:
    async with asyncio.timeout(EVERYTHING_TAKES):
        while True:
            try:
                return await write(database, entity_id)
            except (OSError, asyncpg.PostgresError, Unavailable):
                await asyncio.sleep(0.05)


async def test_a_follower_goes_on_after_a_restart(
    postgres: EmbeddedServer, durable: Database, durable_tail: EventTail
) -> None:
    async with durable_tail.follow(ALL) as events:
        await write(durable, "before")
        first = await take(events, 1)
        await _restart(postgres)
        await _write_until_it_works(durable, "after")
        assert await ids(events, 1) == ["after"]
        assert durable_tail.is_alive
    async with durable_tail.follow(ALL, after=first[0].cursor) as events:
        assert await ids(events, 1) == ["after"]


async def test_transaction_ids_that_a_crash_gives_out_again_are_not_skipped(
    postgres: EmbeddedServer, durable_url: str, durable: Database, durable_tail: EventTail
) -> None:
    # the ids of transactions whose record was not on disk come again after a crash; a reader that had moved to the
    # horizon beyond them would never see what is then written under them
    connection = await asyncpg.connect(durable_url)
    async with durable_tail.follow(ALL) as events:
        await write(durable, "before")
        first = (await take(events, 1))[0]
        await asyncio.sleep(0.6)
        used = [await connection.fetchval("SELECT pg_current_xact_id()") for _ in range(200)]
        await asyncio.sleep(0.03)
        await _restart(postgres)
        await _write_until_it_works(durable, "after")
        after = (await take(events, 1))[0]
    await connection.close()
    assert after.entity_id == "after"
    assert after.position.xid <= used[-1], "the crash gave out no id again, so this showed nothing"
    assert after.cursor > first.cursor


async def test_a_follower_that_catches_up_waits_for_the_database(
    postgres: EmbeddedServer, durable: Database, durable_tail: EventTail
) -> None:
    async with durable_tail.follow(ALL) as events:
        await write(durable, "start")
        start = (await take(events, 1))[0].cursor
    await write(durable, *map(str, range(5)))
    async with durable_tail.follow(ALL, after=start) as events:
        postgres._pg_ctl("-w", "-D", str(postgres.pgdata), "-m", "immediate", "stop")
        reading = asyncio.create_task(ids(events, 5))
        await asyncio.sleep(1)
        assert not reading.done()
        assert not durable_tail.is_alive
        assert durable_tail.lag_seconds > 0.2
        await _restart(postgres)
        assert await reading == ["0", "1", "2", "3", "4"]


async def test_restarts_under_load_lose_nothing_that_was_acknowledged(
    postgres: EmbeddedServer, durable_url: str, durable: Database, durable_tail: EventTail
) -> None:
    acknowledged: list[str] = []
    stopping = asyncio.Event()

    async def writer(name: int) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            try:
                await write(durable, f"{name}-{number}")
            except (OSError, asyncpg.PostgresError, Unavailable):
                await asyncio.sleep(0.02)
            else:
                acknowledged.append(f"{name}-{number}")

    seen: list[str] = []
    keys: list[tuple[int, int]] = []

    async def reader() -> None:
        async with durable_tail.follow(ALL) as events:
            async for event in events:
                seen.append(event.entity_id)
                keys.append(event.position.key)

    reading = asyncio.create_task(reader())
    writing = asyncio.gather(*map(writer, range(4)))
    for _ in range(3):
        await asyncio.sleep(0.5)
        await _restart(postgres)
    await asyncio.sleep(1)
    stopping.set()
    await writing
    await eventually(lambda: set(acknowledged) <= set(seen))
    reading.cancel()
    await asyncio.wait([reading])
    assert len(acknowledged) > 100
    assert len(seen) == len(set(seen))
    assert keys == sorted(set(keys))


async def test_another_database_in_its_place_needs_a_resync(
    postgres: EmbeddedServer, template_database: str, database_url: str
) -> None:
    name = database_url.partition("@/")[2].partition("?")[0]
    tail = EventTail(database_url)
    await tail.start()
    try:
        async with tail.follow(ALL) as events:
            postgres.drop_database(name)
            postgres.create_database(name, template_database)
            with pytest.raises(ResyncRequired, match="replaced by another"):
                await take(events, 1)
        database = Database(database_url, pool_size=1, read_pool_size=1)
        async with tail.follow(ALL) as events:
            await write(database, "anew")
            assert await ids(events, 1) == ["anew"]
        await database.close()
    finally:
        await tail.stop()


async def test_hints_survive_a_restart(
    postgres: EmbeddedServer, durable: Database, durable_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.live.hints.RECONNECT_AFTER", 0.1)
    sender = HintSender(durable)
    await sender.start()
    try:
        await write(durable, "one")
        await asyncio.sleep(0.2)
        before = sender.backend_pid
        await _restart(postgres)
        await _write_until_it_works(durable, "two")
        async with asyncio.timeout(EVERYTHING_TAKES):
            while sender.backend_pid in (None, before):
                await _write_until_it_works(durable, "more")
                await asyncio.sleep(0.05)
    finally:
        await sender.stop()
    assert sender.backend_pid is None
