"""Where a campaign is played: a server with a migrated database to copy, and the process that forks workers."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.engine.checkpoints import setup
from db.embedded import THROWAWAY_SETTINGS, EmbeddedServer
from db.migrate import migrate

TEMPLATE = "hub_template"
MEMORY = Path("/dev/shm")  # noqa: S108  (a private folder is made in it)
MEMORY_NEEDED = 1 << 30


@contextmanager
def server() -> Iterator[EmbeddedServer]:
    """A server with the database `TEMPLATE`, migrated; it is gone at the end."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED
    folder = Path(tempfile.mkdtemp(prefix="hub-chaos-", dir=MEMORY if roomy else None))
    try:
        postgres = EmbeddedServer.start(folder, settings=THROWAWAY_SETTINGS)
        try:
            postgres.create_database(TEMPLATE)
            url = postgres.url(TEMPLATE)
            asyncio.run(migrate(url, lambda: setup(url)))
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def forking() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks the workers."""
    command = [sys.executable, "-m", "tests.engine.worker_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
