"""What tests share: one PostgreSQL for each worker, and a migrated database for each test.

Each parallel worker has a server of its own, since the order of the event log rests on `pg_snapshot_xmin`, which a
transaction of any database of a server holds back.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from psycopg.sql import SQL, Composed, Identifier

from app.engine.checkpoints import setup as set_up_checkpoints
from db.embedded import THROWAWAY_SETTINGS, EmbeddedServer
from db.migrate import migrate
from db.session import Database

# `ci` is the same on every run and tells a failure at once; `shrink` looks for the shortest way to the same failure;
# `deep` is another chance each time, and ten times as much of it. Chosen by `pytest --hypothesis-profile=deep`.
settings.register_profile(
    "shrink", derandomize=True, database=None, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("ci", settings.get_profile("shrink"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("deep", settings.get_profile("shrink"), derandomize=False, max_examples=1_000)
settings.load_profile("ci")

TEMPLATE = "hub_template"
MEMORY = Path("/dev/shm")  # noqa: S108  (a private folder is made in it)
MEMORY_NEEDED = 1 << 30
"""Bytes: a server takes 150 MB, and there is one for each worker."""
AWAIT_THE_END_THEN_CLEAR_AWAY = """
cat > /dev/null
postmaster=$(head -n 1 "$1/pg/postmaster.pid" 2> /dev/null)
if [ -n "$postmaster" ]; then kill -QUIT "$postmaster"; sleep 0.5; fi
rm -rf "$1"
"""

_numbers = count(1)

# the many processes that are started here need not compile the hub anew each time
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: many tests wait, for a lease to pass or for a process to end."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def fast_folder() -> Path:
    """Where a test makes a short-lived server's folder: in memory where there is enough of it, else on the disk.

    A database is 500 files: measured, creating one takes 35 ms in memory and 350 ms on a disk. It is not pytest's
    `tmp_path`, which may be too long for a socket.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED
    return MEMORY if roomy else Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def postgres(fast_folder: Path) -> Iterator[EmbeddedServer]:
    """An empty server of this worker; its data are gone at the end, however the end comes."""
    folder = Path(tempfile.mkdtemp(prefix="hub-test-", dir=fast_folder))
    # it waits for our end of the pipe to close, which the kernel does even when we are killed
    with subprocess.Popen(
        ["sh", "-c", AWAIT_THE_END_THEN_CLEAR_AWAY, "sh", str(folder)], stdin=subprocess.PIPE, start_new_session=True
    ):
        try:
            server = EmbeddedServer.start(folder, settings=THROWAWAY_SETTINGS)
            yield server
            server.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(postgres: EmbeddedServer) -> str:
    """The name of a migrated database that nobody connects to, so that it can be copied."""
    postgres.create_database(TEMPLATE)
    url = postgres.url(TEMPLATE)
    asyncio.run(migrate(url, lambda: set_up_checkpoints(url)))
    return TEMPLATE


class Administration:
    """A connection to make databases by: a process of `psql` for each would take longer than the database itself."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = self._connected()

    def execute(self, statement: Composed) -> None:
        """Run a statement; anew where a test has restarted the server since the last one."""
        try:
            self._connection.execute(statement)
        except psycopg.OperationalError:
            self._connection = self._connected()
            self._connection.execute(statement)

    def close(self) -> None:
        """End."""
        self._connection.close()

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, autocommit=True)


@pytest.fixture(scope="session")
def administration(postgres: EmbeddedServer) -> Iterator[Administration]:
    """Of this worker's server."""
    made = Administration(postgres.url("postgres"))
    yield made
    made.close()


@pytest.fixture
def database_url(postgres: EmbeddedServer, template_database: str, administration: Administration) -> Iterator[str]:
    """The address of a migrated database of this test alone."""
    name = f"test_{next(_numbers)}"
    made, copied = Identifier(name), Identifier(template_database)
    administration.execute(SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(made, copied))
    yield postgres.url(name)
    administration.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(made))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """This test's database, opened as the hub opens it."""
    database = Database(database_url, pool_size=5, read_pool_size=2)
    await database.open()
    yield database
    await database.close()
