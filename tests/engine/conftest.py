"""What the tests of the engine share: a database with checkpoints and templates, and workers that end with the test."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from app.engine.catalogue import sync_templates
from app.engine.checkpoints import setup
from app.engine.runner import Worker
from app.live.hints import HintSender
from db.session import Database


class StartWorker(Protocol):
    """Starts a worker in this process; it is stopped when the test ends."""

    async def __call__(self, name: str = "worker", **options: Any) -> Worker: ...


@pytest.fixture
async def engine_database(database: Database) -> Database:
    """This test's database, with the tables of the checkpoints and the shipped templates."""
    await setup(database.url)
    await database.transact(sync_templates)
    return database


@pytest.fixture
async def start_worker(engine_database: Database) -> AsyncIterator[StartWorker]:
    """A function that starts workers in this process; all are stopped at the end."""
    workers: list[Worker] = []
    hints = HintSender(engine_database)

    async def start(name: str = "worker", **options: Any) -> Worker:
        worker = Worker(engine_database, hints, name=name, **options)
        workers.append(worker)
        await worker.start()
        return worker

    yield start
    for worker in workers:
        await worker.stop()
