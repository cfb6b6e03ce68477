"""`hub migrate`: once or many times, alone or four at once."""

import asyncio
import subprocess
import sys

import asyncpg
import pytest

from db.migrate import UnsupportedServerError, head_revision, is_migrated, migrate

MIGRATE = "import asyncio, sys; from db.migrate import migrate; asyncio.run(migrate(sys.argv[1]))"


async def fetch(url: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_a_database_is_migrated_once_it_is(empty_database_url: str) -> None:
    assert await is_migrated(empty_database_url) is False
    await migrate(empty_database_url)
    assert await is_migrated(empty_database_url) is True


async def test_a_second_time_changes_nothing(empty_database_url: str) -> None:
    tables = "SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY oid"
    await migrate(empty_database_url)
    before = await fetch(empty_database_url, tables)
    await migrate(empty_database_url)
    assert await fetch(empty_database_url, tables) == before


async def test_four_at_once_do_it_once(empty_database_url: str) -> None:
    running = await asyncio.gather(
        *(
            asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, empty_database_url, stderr=subprocess.PIPE)
            for _ in range(4)
        )
    )
    outcomes = [await process.communicate() for process in running]

    assert [(process.returncode, errors) for process, (_, errors) in zip(running, outcomes, strict=True)] == [
        (0, b"")
    ] * 4
    assert await fetch(empty_database_url, "SELECT version_num FROM alembic_version") == [(head_revision(),)]


async def test_what_comes_after_runs_alone_and_outside_of_a_transaction(empty_database_url: str) -> None:
    inside = most = runs = 0

    async def after() -> None:
        nonlocal inside, most, runs
        inside, runs = inside + 1, runs + 1
        most = max(most, inside)
        # it waits for all older transactions of the database: for ever, if one of ours were open
        await fetch(empty_database_url, f"CREATE INDEX CONCURRENTLY after_{runs} ON agents (agent_name)")
        inside -= 1

    await asyncio.gather(*(migrate(empty_database_url, after) for _ in range(4)))
    assert (most, runs) == (1, 4)


async def test_a_failure_in_what_comes_after_lets_the_lock_go(empty_database_url: str) -> None:
    async def after() -> None:
        raise LookupError("no checkpoints")

    with pytest.raises(LookupError):
        await migrate(empty_database_url, after)
    await asyncio.wait_for(migrate(empty_database_url), 60)


async def test_a_newer_database_is_not_ready(database_url: str) -> None:
    await fetch(database_url, "UPDATE alembic_version SET version_num = '9999'")
    assert await is_migrated(database_url) is False


async def test_an_old_server_is_refused(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.migrate.OLDEST_SERVER", 99)
    with pytest.raises(UnsupportedServerError, match="PostgreSQL 99"):
        await migrate(empty_database_url)
    assert await is_migrated(empty_database_url) is False
