"""Transactions: tried again after a deadlock, hooks only after a commit, typed errors for what input causes."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidInput, Unavailable
from app.domain.events import Aggregate
from app.domain.ids import new_id
from db.embedded import EmbeddedServer
from db.session import Database, raw_connection
from db.tables.tasks import tasks


async def a_task(database: Database, **values: Any) -> Any:
    row = {"task_id": new_id(), "title": "Build it", **values}
    await database.transact(lambda session: session.execute(insert(tasks).values(row)))
    return row["task_id"]


async def count_tasks(database: Database) -> int:
    return int(await database.fetch_value("SELECT count(*) FROM tasks"))


async def test_a_deadlock_is_tried_again_until_both_are_done(database: Database) -> None:
    ids = [await a_task(database), await a_task(database)]
    meeting, attempts = asyncio.Barrier(2), 0

    async def lock_both(order: list[Any]) -> None:
        first_time = True

        async def work(session: AsyncConnection) -> None:
            nonlocal attempts, first_time
            attempts += 1
            for number, task_id in enumerate(order):
                if number == 1 and first_time:
                    first_time = False
                    await meeting.wait()
                await session.execute(
                    update(tasks).where(tasks.c.task_id == task_id).values(attempts=tasks.c.attempts + 1)
                )

        await database.transact(work)

    await asyncio.gather(lock_both(ids), lock_both(ids[::-1]))
    assert attempts == 3
    assert await database.fetch_value("SELECT array_agg(attempts) FROM tasks") == [2, 2]


async def test_after_some_attempts_it_is_given_up(database: Database) -> None:
    attempts = 0

    async def work(session: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await session.execute(text("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"))

    with pytest.raises(Unavailable, match="Others keep changing"):
        await database.transact(work)
    assert attempts == 4


async def test_hooks_run_after_a_commit_and_only_then(database: Database) -> None:
    seen: list[int] = []
    committed = await asyncpg.connect(database.url)
    counts: list[asyncio.Task[int]] = []

    def hook(_changes: object) -> None:
        seen.append(len(seen))
        counts.append(asyncio.ensure_future(committed.fetchval("SELECT count(*) FROM tasks")))

    database.after_commit(hook)
    await a_task(database)
    assert seen == [0]
    assert await counts[0] == 1

    async def fail(session: AsyncConnection) -> None:
        await session.execute(insert(tasks).values(task_id=new_id(), title="Never"))
        raise LookupError("the service changed its mind")

    with pytest.raises(LookupError):
        await database.transact(fail)
    with pytest.raises(InvalidInput):
        await a_task(database, title="")
    assert seen == [0]
    assert await count_tasks(database) == 1
    await committed.close()


ADD = "INSERT INTO tasks (task_id, title) VALUES ($1, $2) RETURNING title"


async def test_a_change_of_one_statement_is_told_after_its_commit_and_only_then(database: Database) -> None:
    seen: list[object] = []
    database.after_commit(seen.append)
    changes = frozenset({Aggregate.TASK})
    row = await database.change(ADD, [new_id(), "Build it"], changes)
    assert (row and tuple(row), seen) == (("Build it",), [changes])
    with pytest.raises(InvalidInput):
        await database.change(ADD, [new_id(), ""], changes)
    assert await database.change("UPDATE tasks SET title = 'Never' WHERE false RETURNING title") is None
    assert (seen, await count_tasks(database)) == ([changes, None], 1)


async def test_a_change_that_loses_a_deadlock_is_run_again(database: Database) -> None:
    first, second = sorted([await a_task(database), await a_task(database)])
    meeting = asyncio.Barrier(2)
    locks = "SELECT FROM tasks WHERE task_id = $1 FOR UPDATE"

    async def other(session: AsyncConnection) -> None:
        driver = await raw_connection(session)
        # only the statement, which waits the longest, looks for deadlocks: it is the one that loses
        await driver.execute("SET LOCAL deadlock_timeout = '10s'")
        await driver.execute(locks, second)
        await meeting.wait()
        await asyncio.sleep(0.1)
        await driver.execute(locks, first)

    async def statement() -> Any:
        await meeting.wait()
        return await database.change(
            "WITH one AS (UPDATE tasks SET attempts = attempts + 1 WHERE task_id = $1 RETURNING task_id) "
            "UPDATE tasks SET attempts = attempts + 1 FROM one WHERE tasks.task_id = $2 RETURNING attempts",
            [first, second],
        )

    _, row = await asyncio.gather(database.transact(other), statement())
    assert row["attempts"] == 1
    assert await database.fetch_value("SELECT array_agg(attempts) FROM tasks") == [1, 1]


@pytest.mark.parametrize(
    "values",
    [
        {"title": "a\x00b"},
        {"title": "a\ud800b"},
        {"input": {"word": "a\x00b"}},
        {"complexity": 2**31},
        {"complexity": -(2**70)},
        {"complexity": 11},
        {"title": None},
        {"assigned_agent_id": "nobody-here", "status": "running"},
        {"decision_id": new_id()},
    ],
    ids=["NUL", "surrogate", "NUL in JSON", "int32", "int64", "check", "null", "agent", "decision"],
)
async def test_bad_input_is_a_typed_error(database: Database, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="Nothing was written"):
        await a_task(database, **values)
    assert await count_tasks(database) == 0


async def test_a_row_that_exists_is_a_typed_error(database: Database) -> None:
    task_id = await a_task(database)
    with pytest.raises(InvalidInput):
        await a_task(database, task_id=task_id)


@pytest.mark.parametrize("argument", ["a\x00b", "a\ud800b"])
async def test_reads_have_typed_errors_too(database: Database, argument: str) -> None:
    with pytest.raises(InvalidInput):
        await database.fetch_value("SELECT count(*) FROM tasks WHERE title = $1", [argument])
    assert await count_tasks(database) == 0


async def test_a_defect_of_ours_stays_what_it_is(database: Database) -> None:
    with pytest.raises(DBAPIError, match="no_such_table"):
        await database.transact(lambda session: session.execute(text("SELECT * FROM no_such_table")))
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch_value("SELECT * FROM no_such_table")


async def test_a_snapshot_sees_one_state_and_writes_nothing(database: Database) -> None:
    await a_task(database)
    async with database.snapshot() as session:
        assert len((await session.execute(select(tasks))).all()) == 1
        await a_task(database)
        assert len((await session.execute(select(tasks))).all()) == 1
    assert await count_tasks(database) == 2
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.snapshot() as session:
            await session.execute(insert(tasks).values(task_id=new_id(), title="Never"))


async def test_a_statement_that_takes_too_long_is_given_up(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.session.COMMAND_TIMEOUT", 1.0)
    database = Database(database_url, pool_size=2, read_pool_size=1)
    await database.open()
    with pytest.raises(Unavailable):
        await database.transact(lambda session: session.execute(text("SELECT pg_sleep(30)")))
    with pytest.raises(Unavailable):
        await database.fetch_value("SELECT pg_sleep(30)")
    assert await count_tasks(database) == 0
    await database.close()


async def test_a_pool_that_is_used_up_is_a_typed_error(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.session.CHECKOUT_TIMEOUT", 1.0)
    database = Database(database_url, pool_size=1, read_pool_size=1)
    async with database.engine.connect():
        with pytest.raises(Unavailable):
            await a_task(database)
    await database.close()


async def test_no_server_is_a_typed_error(tmp_path: Path) -> None:
    database = Database(f"postgresql://postgres@/hub?host={tmp_path}")
    with pytest.raises(Unavailable):
        await database.open()
    with pytest.raises(Unavailable):
        await a_task(database)
    await database.close()


async def test_no_such_database_is_a_typed_error(postgres: EmbeddedServer) -> None:
    database = Database(postgres.url("never_created"))
    with pytest.raises(Unavailable, match="refuses the connection"):
        await database.open()
    await database.close()


class TestRestart:
    """The server goes away under an open pool."""

    @pytest.fixture
    async def used(self, database: Database) -> Database:
        """All connections of both pools have been used."""
        await asyncio.gather(*(database.transact(lambda s: s.execute(text("SELECT pg_sleep(0.05)"))) for _ in range(5)))
        await asyncio.gather(*(database.fetch_value("SELECT pg_sleep(0.05)") for _ in range(2)))
        return database

    async def test_the_pools_recover_without_an_error(self, used: Database, postgres: EmbeddedServer) -> None:
        await asyncio.to_thread(postgres.restart)

        await asyncio.gather(*(a_task(used) for _ in range(10)))
        assert await asyncio.gather(*(count_tasks(used) for _ in range(4))) == [10] * 4

    async def test_changes_of_one_statement_go_on_after_it(self, used: Database, postgres: EmbeddedServer) -> None:
        await asyncio.to_thread(postgres.restart)

        await asyncio.gather(*(used.change(ADD, [new_id(), "Build it"]) for _ in range(10)))
        assert await count_tasks(used) == 10

    async def test_a_transaction_in_the_middle_is_a_typed_error(self, used: Database, postgres: EmbeddedServer) -> None:
        async def work(session: AsyncConnection) -> None:
            await session.execute(insert(tasks).values(task_id=new_id(), title="Cut off"))
            await asyncio.to_thread(postgres.restart)
            await session.execute(text("SELECT 1"))

        with pytest.raises(Unavailable):
            await used.transact(work)
        assert await count_tasks(used) == 0

    async def test_a_ping_says_when_the_server_hangs(self, database_url: str) -> None:
        database = Database(database_url, read_pool_size=1)
        await database.open()
        backend = await database.fetch_value("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            started = time.monotonic()
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await database.ping()
            assert time.monotonic() - started < 6
        finally:
            os.kill(backend, signal.SIGCONT)
        await database.ping()
        await database.close()


async def test_a_value_that_only_the_database_refuses_is_noted_without_the_value(database: Database) -> None:
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(InvalidInput):
            await a_task(database, complexity=11)
        with pytest.raises(InvalidInput):
            await a_task(database, title=None)
        with pytest.raises(InvalidInput):
            await a_task(database, execution_id=new_id())
    assert [(line["sqlstate"], line["constraint"]) for line in lines] == [
        ("23514", "ck_tasks_complexity"),
        ("23502", "title"),
    ]
    assert all(line["log_level"] == "warning" for line in lines)


async def test_a_rehearsed_transaction_leaves_nothing_and_calls_no_hook(database: Database) -> None:
    hooks: list[None] = []
    database.after_commit(lambda _changes: hooks.append(None))

    async def work(session: AsyncConnection) -> int:
        await session.execute(insert(tasks).values(task_id=new_id(), title="Build it"))
        return int((await session.execute(select(func.count()).select_from(tasks))).scalar_one())

    assert await database.rehearse(work) == 1
    assert (await count_tasks(database), hooks) == (0, [])
    with pytest.raises(InvalidInput):
        await database.rehearse(lambda session: session.execute(insert(tasks).values(task_id=new_id(), title="")))
    assert await database.transact(work) == 1
    assert (await count_tasks(database), hooks) == (1, [None])
