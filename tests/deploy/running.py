"""The services of docker-compose.yml as processes of this machine, on a PostgreSQL that asks for a password."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

from db.embedded import PORT, EmbeddedServer
from tests.acceptance.processes import Process
from tests.deploy.files import command_line, service
from tests.deploy.image import Image

PASSWORD = "p@ss/w:rd %20?#'ü"
MASTER_KEY = "5a" * 32
API_READY = r"answers at (http://[^\s/]+)"
WORKER_READY = r"The worker (\S+) takes"
MIGRATE_SECONDS = 120

_numbers = count(1)


class Container(Process):
    """One container of a service, as a process; its data folder stands for its file system."""

    def __init__(self, image: Image, folder: Path, words: list[str], variables: Mapping[str, str], ready: str) -> None:
        self.data = folder / f"container-{next(_numbers)}"
        self.data.mkdir()
        self.log = self.data.with_suffix(".log")
        self._ready = re.compile(ready)
        with self.log.open("wb") as output:
            self.popen = subprocess.Popen(
                [image.bin / words[0], *words[1:]],
                env=image.environment({"HUB_DATA_DIR": str(self.data), "COLUMNS": "200", **variables}),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


@dataclass(frozen=True)
class Stack:
    """An empty database and what the services are given to reach it."""

    image: Image
    folder: Path
    database_url: str

    def container(
        self, name: str, variables: Mapping[str, str | None] | None = None, ready: str = r"(?!)"
    ) -> Container:
        """Start a container of a service. `variables` make it one process among others on this machine; None unsets."""
        described = service(name, {"POSTGRES_PASSWORD": PASSWORD, "HUB_MASTER_KEY": MASTER_KEY})
        own = described["environment"] | {"HUB_DATABASE_URL": self.database_url} | dict(variables or {})
        given = {name: value for name, value in own.items() if value is not None}
        return Container(self.image, self.folder, list(command_line(described)), given, ready)

    def api(self, host: str = "127.0.0.1", port: int = 0) -> Container:
        """A replica of the API."""
        return self.container("api", {"HUB_HOST": host, "HUB_PORT": str(port)}, API_READY)

    def worker(self) -> Container:
        """A replica of the worker."""
        return self.container("worker", ready=WORKER_READY)

    def migrate(self) -> Container:
        """Run the migration to its end; its container, with the token in its data folder."""
        with self.container("migrate") as container:
            assert container.popen.wait(MIGRATE_SECONDS) == 0, container.log.read_text()
        return container


@contextmanager
def a_stack(postgres: EmbeddedServer, image: Image, folder: Path) -> Iterator[Stack]:
    """An empty database that a role of its own owns, whom the server asks for the password."""
    name = f"stack_{next(_numbers)}"
    quoted = PASSWORD.replace("'", "''")
    hba = postgres.pgdata / "pg_hba.conf"
    hba.write_text(f"local {name} hub scram-sha-256\n{hba.read_text()}")
    postgres.execute("SELECT pg_reload_conf()")
    postgres.execute("DROP ROLE IF EXISTS hub")
    postgres.execute(f"CREATE ROLE hub LOGIN PASSWORD '{quoted}'")
    postgres.create_database(name)
    postgres.execute(f"ALTER DATABASE {name} OWNER TO hub")
    try:
        yield Stack(image, folder, f"postgresql://hub@/{name}?host={quote(str(postgres.socket_dir))}&port={PORT}")
    finally:
        postgres.drop_database(name)
        postgres.execute("DROP ROLE hub")
