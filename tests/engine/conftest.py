"""What the tests of the engine share: a database with checkpoints and templates, and workers that end with the test."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from app.engine.catalogue import sync_templates
from app.engine.checkpoints import setup
from app.engine.runner import Worker
from app.live.hints import HintSender
from db.session import Database
from tests.engine.processes import Workers


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


@pytest.fixture(scope="module")
def parent() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks the workers."""
    command = [sys.executable, "-m", "tests.engine.worker_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.fixture
def workers(parent: "subprocess.Popen[str]", engine_database: Database, tmp_path: Path) -> Iterator[Workers]:
    """Starts worker processes; those that are left are killed at the end."""
    workers = Workers(parent, engine_database.url, tmp_path / "workers.log")
    yield workers
    workers.kill_all()
