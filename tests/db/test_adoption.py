"""A database that was restored into another server: what came along stands before what this server writes."""

import os
import subprocess
from pathlib import Path

from sqlalchemy import text

from app.domain.events import Aggregate
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.adoption import OLDEST_XID
from db.embedded import PORT, EmbeddedServer
from db.migrate import is_migrated, migrate
from db.session import Database
from tests.live.events import nothing_comes
from tests.services import makers


def run(server: EmbeddedServer, program: str, *arguments: str) -> None:
    where = ("-h", str(server.socket_dir), "-p", str(PORT), "-U", "postgres")
    subprocess.run(
        (str(server.bin_path / program), *where, *arguments), check=True, env={**os.environ, "PGOPTIONS": ""}
    )


async def test_a_restored_database_is_taken_over(
    postgres: EmbeddedServer, database: Database, database_url: str, tmp_path: Path
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    await makers.an_agent(database)
    dump = tmp_path / "hub.dump"
    run(postgres, "pg_dump", "-Fc", "-f", str(dump), name)
    # the same rows in the same server need no taking over
    postgres.create_database("restored")
    run(postgres, "pg_restore", "--no-owner", "-d", "restored", str(dump))
    assert await is_migrated(postgres.url("restored"))

    async with database.engine.begin() as connection:
        # as if they came from a server that had given out many more ids
        await connection.execute(text("UPDATE installation SET system_identifier = 1"))
        await connection.execute(text("UPDATE event_log SET xid = '900000000000'"))
        await connection.execute(text("UPDATE agents SET event_xid = '900000000000'"))
    assert not await is_migrated(database_url)

    await migrate(database_url)

    assert await is_migrated(database_url)
    async with database.engine.connect() as connection:
        xids = (
            await connection.execute(text("SELECT xid FROM event_log UNION SELECT event_xid FROM agents"))
        ).scalars()
        assert set(xids) == {OLDEST_XID}
    tail = EventTail(database_url)
    await tail.start()
    try:
        async with tail.follow(EventFilter(Aggregate.AGENT)) as events:
            assert await nothing_comes(events, 0.3)
            await makers.an_agent(database, "alex-qa")
            assert (await anext(events)).entity_id == "alex-qa"
    finally:
        await tail.stop()
