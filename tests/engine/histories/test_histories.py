"""Executions of the shipped templates that earlier code left interrupted run to their end on this one."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from alembic import command
from sqlalchemy import Connection, make_url, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.engine.catalogue import sync_templates
from app.engine.checkpoints import setup
from app.engine.runner import Worker
from app.live.hints import HintSender
from db.embedded import EmbeddedServer
from db.migrate import configuration, migrate
from db.session import Database
from db.tables.workflows import workflow_executions
from tests.engine.histories.story import FOLDER, STORIES, Story, approve, restoring
from tests.engine.team import errors_of, execution_of, path_of, rows_of, tasks_of, until

UNENDED = ("pending", "running")
RECORDED = sorted(FOLDER.glob("*.jsonl"))

_numbers = count(1)


def test_every_shipped_phase_has_its_histories() -> None:
    for story in STORIES:
        kept = {(history["phase"], history["moment"]) for history in read(story.file)["histories"]}
        moments = ("waiting", "answered", "begun", "ended")
        assert kept == {(phase, moment) for phase in story.phases for moment in moments}


@pytest.fixture
async def old_database(postgres: EmbeddedServer, recorded: dict[str, Any]) -> AsyncIterator[Database]:
    """A database of the revision at which the histories were recorded, with all of them, brought to the present one."""
    name = f"history_{next(_numbers)}"
    postgres.create_database(name)
    url = postgres.url(name)
    await upgrade_to(url, recorded["revision"])
    await setup(url)
    database = Database(url, pool_size=5, read_pool_size=1)
    for rows in (recorded["shared"], *(history["rows"] for history in recorded["histories"])):
        await database.transact(restoring(rows))
    await migrate(url, lambda: setup(url))
    await database.open()
    yield database
    await database.close()
    postgres.drop_database(name)


async def upgrade_to(url: str, revision: str) -> None:
    def upgrade(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()


@pytest.fixture
def recorded(path: Path) -> dict[str, Any]:
    return read(path)


def read(path: Path) -> dict[str, Any]:
    """What a file of histories holds: `template`, `revision`, the `shared` rows and the `histories`."""
    head, *histories = (orjson.loads(line) for line in path.read_bytes().splitlines())
    return {**head, "histories": histories}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
async def test_every_interrupted_execution_runs_to_its_end(old_database: Database, recorded: dict[str, Any]) -> None:
    database = old_database
    story = next(story for story in STORIES if story.template == recorded["template"])
    executions = [execution_of_history(history) for history in recorded["histories"]]
    await free_what_dead_workers_hold(database)
    await database.transact(sync_templates)
    worker = Worker(database, HintSender(database), name="present")
    await worker.start()
    try:
        await until(lambda: all_ended(story, database), 100)
    finally:
        await worker.stop()
    for execution_id, history in zip(executions, recorded["histories"], strict=True):
        where = (history["phase"], history["moment"])
        assert (await execution_of(database, execution_id)).execution_status == "completed", where
        path = [(number, phase, 1, "completed") for number, phase in enumerate(story.phases, start=1)]
        assert await path_of(database, execution_id) == path, where
        tasks = [(task.phase, task.task_name, task.status) for task in await tasks_of(database, execution_id)]
        made = [(phase, name, "completed") for phase, names in story.phases.items() for name in names]
        assert sorted(tasks) == sorted(made), where
        assert await errors_of(database, execution_id) == [], where


def execution_of_history(history: dict[str, Any]) -> UUID:
    (row,) = history["rows"]["workflow_executions"]
    return UUID(row["execution_id"])


async def free_what_dead_workers_hold(database: Database) -> None:
    """Their leases ended long ago, unless the histories were recorded a moment ago."""
    statement = text("UPDATE workflow_executions SET lease_until = now() WHERE lease_until IS NOT NULL")
    await database.transact(lambda session: session.execute(statement))


async def all_ended(story: Story, database: Database) -> bool:
    await story.team(database).work()
    columns = workflow_executions.c
    unended = select(columns.execution_id, columns.current_phase).where(columns.execution_status.in_(UNENDED))
    left = await rows_of(database, unended)
    for row in left:
        if row.current_phase == "final-approval":
            await approve(database, row.execution_id)
    return not left
