"""What may go wrong under the tail: databases that are replaced, connections that break amid a batch, bad watchers."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from app.domain.errors import ResyncRequired, Unavailable
from app.domain.events import Aggregate
from app.live.freshness import Freshness
from app.live.hints import HintSender
from app.live.records import EventFilter, EventRecord
from app.live.tail import EventTail
from db.embedded import EmbeddedServer
from db.queries import events as log
from db.session import Database
from tests.live.events import eventually, ids, nothing_comes, take, write

ALL = EventFilter()


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def replace(postgres: EmbeddedServer, url: str, template: str) -> None:
    """Another database in the place of this one."""
    postgres.drop_database(name_of(url))
    postgres.create_database(name_of(url), template)


@pytest.fixture
async def alone(database_url: str) -> AsyncIterator[EventTail]:
    """A tail that nobody hints."""
    tail = EventTail(database_url)
    await tail.start()
    yield tail
    await tail.stop()


async def test_a_new_database_is_taken_up_whole_or_not_at_all(
    postgres: EmbeddedServer, template_database: str, database_url: str, alone: EventTail, monkeypatch: Any
) -> None:
    """The connection breaks between learning that the database is another and learning where its log ends."""
    database = Database(database_url, pool_size=1, read_pool_size=1)
    await write(database, *map(str, range(30)))
    await database.close()
    last_position, broken = log.last_position, list[bool]()

    async def breaks_once(connection: log.Connection) -> log.Position:
        if not broken:
            broken.append(True)
            raise ConnectionResetError("on purpose")
        return await last_position(connection)

    async with alone.follow(ALL) as events:
        await take(events, 30)
        monkeypatch.setattr(log, "last_position", breaks_once)
        replace(postgres, database_url, template_database)
        with pytest.raises(ResyncRequired):
            await take(events, 1)
    assert broken
    await eventually(lambda: alone.is_alive)
    assert alone.position.key == (0, 0)
    database = Database(database_url, pool_size=1, read_pool_size=1)
    async with alone.follow(ALL) as events:
        await write(database, "anew")
        assert await ids(events, 1) == ["anew"]
    await database.close()


async def test_who_joins_while_a_new_database_is_taken_up_is_told_too(
    postgres: EmbeddedServer, template_database: str, database_url: str, alone: EventTail, monkeypatch: Any
) -> None:
    last_position, reached, go_on = log.last_position, asyncio.Event(), asyncio.Event()

    async def waits(connection: log.Connection) -> log.Position:
        reached.set()
        await go_on.wait()
        return await last_position(connection)

    database = Database(database_url, pool_size=1, read_pool_size=1)
    await write(database, *map(str, range(30)))
    await database.close()
    await eventually(lambda: alone.position.id >= 30)
    monkeypatch.setattr(log, "last_position", waits)
    replace(postgres, database_url, template_database)
    async with asyncio.timeout(20):
        await reached.wait()
    async with alone.follow(ALL) as events:
        go_on.set()
        with pytest.raises(ResyncRequired):
            await take(events, 1)


async def test_who_catches_up_reads_nothing_of_another_database(
    postgres: EmbeddedServer, template_database: str, database_url: str, alone: EventTail, monkeypatch: Any
) -> None:
    """Its connection is a new one, and the tail has not found out yet."""
    database = Database(database_url, pool_size=1, read_pool_size=1)
    async with alone.follow(ALL) as events:
        await write(database, "first")
        cursor = (await take(events, 1))[0].cursor
    await database.close()
    connect, held = alone._connect, asyncio.Event()

    async def later() -> Any:
        await held.wait()
        return await connect()

    async with alone.follow(ALL, after=cursor) as events:
        monkeypatch.setattr(alone, "_connect", later)
        replace(postgres, database_url, template_database)
        database = Database(database_url, pool_size=1, read_pool_size=1)
        await write(database, *[f"foreign-{number}" for number in range(40)])
        await database.close()
        assert await nothing_comes(events, 1.0)
        held.set()
        with pytest.raises(ResyncRequired):
            await take(events, 1)


async def test_a_database_that_was_not_taken_over_is_not_followed(postgres: EmbeddedServer, database_url: str) -> None:
    postgres.execute("UPDATE installation SET system_identifier = 1", name_of(database_url))
    tail = EventTail(database_url)
    with pytest.raises(Unavailable, match="hub migrate"):
        await tail.start()
    await tail.stop()


async def test_a_start_that_fails_leaves_nothing(database_url: str, hints: HintSender) -> None:
    waiting = len(hints._waiting)
    tail = EventTail(database_url.replace(name_of(database_url), "there_is_none"), hints)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await tail.start()
    assert len(hints._waiting) == waiting
    assert tail._readers is None


async def test_a_connection_that_breaks_within_a_batch_repeats_and_loses_nothing(
    database: Database, alone: EventTail
) -> None:
    names = [str(number) for number in range(300)]
    async with alone.follow(ALL) as events:

        def breaks(event: EventRecord) -> None:
            if event.entity_id in ("70", "190") and alone._connection is not None:
                alone._connection.terminate()

        alone.watch(breaks)
        await write(database, *names)
        assert await ids(events, 300) == names
        assert await nothing_comes(events, 0.7)


async def test_a_watcher_that_raises_holds_up_nobody(database: Database, tail: EventTail) -> None:
    seen: list[str] = []

    def raises(_event: EventRecord) -> None:
        raise LookupError("on purpose")

    tail.watch(raises)
    tail.watch(lambda event: seen.append(event.entity_id))
    async with tail.follow(ALL) as events:
        await write(database, "one", "two")
        assert await ids(events, 2) == ["one", "two"]
    assert seen == ["one", "two"]


async def test_what_the_log_was_read_at_is_the_time_before_it_was_read(
    database: Database, tail: EventTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that took long shows what was, not what is: whoever keeps answers would serve what was overtaken."""
    await write(database, "one")
    behind, slow = log.behind, asyncio.Event()

    async def takes_long(connection: log.Connection, position: log.Position) -> Any:
        found = await behind(connection, position)
        await asyncio.sleep(1.2)
        slow.set()
        return found

    monkeypatch.setattr(log, "behind", takes_long)
    await write(database, "two")
    async with asyncio.timeout(20):
        await slow.wait()
    await asyncio.sleep(0)
    assert tail.unseen_seconds >= 1.0


async def test_nothing_that_was_kept_holds_once_the_tail_lost_the_log(
    postgres: EmbeddedServer, database: Database, tail: EventTail
) -> None:
    """What was read before a crash, or in a database that was replaced, may not be there any more."""
    freshness = Freshness(database, tail)
    await eventually(lambda: freshness.moves() is not None)
    before = freshness.moves()
    assert before is not None
    lost = tail._connection
    assert lost is not None
    postgres.execute(f"SELECT pg_terminate_backend({lost.get_server_pid()})")
    await eventually(lambda: tail._connection not in (None, lost) and freshness.moves() is not None)
    after = freshness.moves()
    assert after is not None
    assert all(later > earlier for earlier, later in zip(before, after, strict=True))


async def test_the_lag_of_a_tail_that_never_started_is_unknown(database_url: str) -> None:
    assert math.isinf(EventTail(database_url).unseen_seconds)
    assert EventTail(database_url).lag_seconds == 0.0


async def test_hints_go_on_after_an_error_that_nobody_foresaw(
    database: Database, hints: HintSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.live.hints.RECONNECT_AFTER", 0.02)
    connected, failed = hints._connected, asyncio.Event()

    async def fails_once() -> Any:
        if not failed.is_set():
            failed.set()
            raise asyncpg.InternalClientError("on purpose")
        return await connected()

    monkeypatch.setattr(hints, "_connected", fails_once)
    await write(database, "one")
    async with asyncio.timeout(20):
        await failed.wait()
    await asyncio.sleep(0.1)
    await write(database, "two")
    await eventually(lambda: hints.backend_pid is not None)


async def test_an_agents_event_with_numbers_of_any_size_is_told(database: Database, tail: EventTail) -> None:
    async with tail.follow(EventFilter(Aggregate.AGENT)) as events:
        await write(database, "james-dev", aggregate=Aggregate.AGENT)
        await database.transact(_with_a_large_number)
        assert await ids(events, 2) == ["james-dev", "large"]


async def _with_a_large_number(session: Any) -> None:
    await session.exec_driver_sql(
        "INSERT INTO event_log (retention, aggregate, entity_id, event_type, actor, detail)"
        " VALUES ('audit', 'agent', 'large', 'created', 'test', jsonb_build_object('n', 1e400::numeric))"
    )
