"""A database that was restored into another server: what came along stands before what this server writes."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Unavailable
from app.domain.events import Aggregate
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.adoption import OLDEST_XID, adopt
from db.embedded import PORT, THROWAWAY_SETTINGS, EmbeddedServer
from db.migrate import is_migrated, migrate
from db.queries.changes import amend
from db.queries.entities import AGENT
from db.session import Database
from tests.live.events import eventually, nothing_comes, take
from tests.services import makers

AGENTS = EventFilter(Aggregate.AGENT)
FAR = 900_000_000_000
XIDS = "SELECT DISTINCT xid FROM event_log UNION SELECT event_xid FROM agents"
IN_ORDER = "SELECT array_agg(version ORDER BY xid, id) FROM event_log WHERE entity_id = 'james-dev'"


def run(server: EmbeddedServer, program: str, *arguments: str) -> None:
    where = ("-h", str(server.socket_dir), "-p", str(PORT), "-U", "postgres")
    subprocess.run(
        (str(server.bin_path / program), *where, *arguments), check=True, env={**os.environ, "PGOPTIONS": ""}
    )


def copy(source: EmbeddedServer, url: str, target: EmbeddedServer, name: str, folder: Path) -> str:
    """The address of the database's copy, by a dump that is restored."""
    run(source, "pg_dump", "-Fc", "-f", str(folder / name), url.partition("?")[0].rpartition("/")[2])
    target.create_database(name)
    run(target, "pg_restore", "--no-owner", "--exit-on-error", "-d", name, str(folder / name))
    return target.url(name)


@pytest.fixture(scope="module")
def elsewhere(fast_folder: Path) -> Iterator[EmbeddedServer]:
    """A new server, which has given out few ids yet."""
    folder = Path(tempfile.mkdtemp(prefix="hub-else-", dir=fast_folder))
    try:
        server = EmbeddedServer.start(folder, settings=THROWAWAY_SETTINGS)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def next_xid(server: EmbeddedServer) -> int:
    return int(server.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())"))


async def rename(session: AsyncConnection) -> None:
    await amend(session, AGENT, "james-dev", "updated", "test", values={"concurrency": 2})


async def changed_beyond(database: Database, server: EmbeddedServer, xid: int) -> None:
    """An agent with two versions, the second by a transaction whose id is greater than that by far."""
    await makers.an_agent(database)
    give_out = f"DO $$ BEGIN FOR i IN 1..{xid + 20_000 - next_xid(server)} LOOP" + (
        " PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    )
    server.execute(give_out)
    await database.transact(rename)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, pool_size=2, read_pool_size=1)
    await database.open()
    yield database
    await database.close()


@asynccontextmanager
async def followed(url: str) -> AsyncIterator[EventTail]:
    tail = EventTail(url)
    await tail.start()
    yield tail
    await tail.stop()


@pytest.mark.parametrize("is_remembered", [True, False], ids=["remembered", "from before that was remembered"])
async def test_a_database_from_a_server_that_was_ahead_is_taken_over(
    postgres: EmbeddedServer,
    elsewhere: EmbeddedServer,
    database: Database,
    database_url: str,
    tmp_path: Path,
    is_remembered: bool,
) -> None:
    await changed_beyond(database, postgres, next_xid(elsewhere))
    if not is_remembered:
        async with database.engine.begin() as connection:
            await connection.execute(text("DELETE FROM installation"))
    url = copy(postgres, database_url, elsewhere, f"restored_{is_remembered}".lower(), tmp_path)
    assert not await is_migrated(url)
    with pytest.raises(Unavailable, match="hub migrate"):
        await EventTail(url).start()

    await migrate(url)

    assert await is_migrated(url)
    async with opened(url) as restored, followed(url) as tail:
        async with restored.engine.connect() as connection:
            assert set((await connection.execute(text(XIDS))).scalars()) == {OLDEST_XID}
        async with tail.follow(AGENTS) as events:
            await eventually(lambda: tail.lag_seconds == 0.0)
            assert await nothing_comes(events, 0.3)
            await restored.transact(rename)
            (told,) = await take(events, 1)
        assert (told.entity_id, told.version) == ("james-dev", 3)
        assert OLDEST_XID < told.position.xid < next_xid(elsewhere)
        assert await restored.fetch_value(IN_ORDER) == [1, 2, 3]
        await migrate(url)
        assert await restored.fetch_value("SELECT max(event_xid) FROM agents") == told.position.xid


async def test_a_copy_within_the_server_needs_no_taking_over(
    postgres: EmbeddedServer, database: Database, database_url: str, tmp_path: Path
) -> None:
    await makers.an_agent(database)
    assert await is_migrated(copy(postgres, database_url, postgres, "copied", tmp_path))


async def test_a_database_of_this_server_that_did_not_remember_it_keeps_its_ids(database: Database) -> None:
    await makers.an_agent(database)
    before = await database.fetch_value(f"SELECT array_agg(xid) FROM ({XIDS})")  # noqa: S608
    async with database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM installation"))
        assert await adopt(connection)
    assert await database.fetch_value(f"SELECT array_agg(xid) FROM ({XIDS})") == before  # noqa: S608


async def test_who_writes_meanwhile_is_waited_for_and_waits(database: Database, database_url: str) -> None:
    """Its event has an id of old, which would come after the old ones were put in front."""
    await makers.an_agent(database)
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE installation SET system_identifier = 1"))
        await connection.execute(text(f"UPDATE agents SET event_xid = '{FAR}'"))  # noqa: S608
    async with database.engine.connect() as writing:
        await rename(writing)
        migrating = asyncio.create_task(migrate(database_url))
        await eventually(lambda: _is_locked(database))
        later = asyncio.create_task(database.transact(rename))
        await asyncio.sleep(0.1)
        assert not migrating.done()
        assert not later.done()
        await writing.commit()
        await asyncio.gather(migrating, later)
    assert await database.fetch_value("SELECT max(xid) FROM event_log") < FAR
    assert await database.fetch_value(IN_ORDER) == [1, 2, 3]


async def _is_locked(database: Database) -> bool:
    asked = "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND NOT granted)"
    return bool(await database.fetch_value(asked))
