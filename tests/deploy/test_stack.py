"""The services of docker-compose.yml, run as processes with what the image contains: they make one hub."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import PORT, EmbeddedServer
from tests.acceptance.processes import data_folder
from tests.deploy.files import ROOT
from tests.deploy.image import Image
from tests.deploy.running import Container, Stack, a_stack

pytestmark = [pytest.mark.rare, pytest.mark.slow, pytest.mark.timeout(300)]

START = 'mutation { workflowStart(input: {workflowName: "feature-delivery"}) { workflow { executionId } } }'
STATUS = "query ($id: ID!) { workflow(executionId: $id) { executionStatus } }"
TAKEN_UP_SECONDS = 30


@pytest.fixture
def stack(postgres: EmbeddedServer, image: Image) -> Iterator[Stack]:
    with data_folder() as folder, a_stack(postgres, image, folder) as stack:
        yield stack


def ask(url: str, token: str, query: str, **variables: str) -> dict[str, Any]:
    """The data of an operation."""
    answer = httpx.post(
        f"{url}/graphql",
        json={"query": query, "variables": variables},
        headers={"authorization": f"Bearer {token}"},
        timeout=20,
    ).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def said(container: Container) -> str:
    return container.log.read_text()


def the_token(migration: Container) -> str:
    """What the operator reads from the volume."""
    path: Path = migration.data / "admin.token"
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().strip()


def test_two_apis_and_a_worker_are_one_hub(stack: Stack) -> None:
    migration = stack.migrate()
    token = the_token(migration)
    assert token not in said(migration)
    assert not (stack.migrate().data / "admin.token").exists()

    with stack.api() as one, stack.api() as other, stack.worker() as worker:
        urls = [one.wait_until_ready(), other.wait_until_ready()]
        worker.wait_until_ready()
        assert [httpx.get(f"{url}/readyz").status_code for url in urls] == [200, 200]

        started = ask(urls[0], token, START)["workflowStart"]["workflow"]["executionId"]
        deadline = time.monotonic() + TAKEN_UP_SECONDS
        while (status := ask(urls[1], token, STATUS, id=started)["workflow"]["executionStatus"]) == "PENDING":
            assert time.monotonic() < deadline, said(worker)
            time.sleep(0.1)
        assert status == "RUNNING"

        containers = (one, other, worker)
        assert [container.stop() for container in containers] == [0, 0, 0]
    assert [list(container.data.iterdir()) for container in containers] == [[], [], []], "a replica keeps nothing"


def documented(program: str) -> list[str]:
    """The arguments with which docs/deployment.md runs a program of PostgreSQL's."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    (line,) = re.findall(rf"docker compose exec -T postgres {program} (.*)", page)
    return [word for word in re.split(r" [<>] ", line)[0].split() if word != "--username=hub"]


def test_a_backup_is_restored_as_documented(stack: Stack, postgres: EmbeddedServer, tmp_path: Path) -> None:
    token = the_token(stack.migrate())
    with stack.api() as before:
        started = ask(before.wait_until_ready(), token, START)["workflowStart"]["workflow"]["executionId"]
    database = stack.database_url.split("/")[3].split("?")[0]
    dump = tmp_path / "hub.dump"
    for program in ("pg_dump", "dropdb", "createdb", "pg_restore"):
        words = [word.replace("hub", database) for word in documented(program)]
        if program == "createdb":
            words.append("--owner=hub")  # who runs it in the container
        done = subprocess.run(
            [postgres.bin_path / program, *words],
            env={"PGHOST": str(postgres.socket_dir), "PGPORT": str(PORT), "PGUSER": "postgres"},
            input=dump.read_bytes() if program == "pg_restore" else b"",
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, (program, done.stderr)
        if program == "pg_dump":
            dump.write_bytes(done.stdout)
    assert not (stack.migrate().data / "admin.token").exists()
    with stack.api() as after:
        url = after.wait_until_ready()
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert ask(url, token, STATUS, id=started) == {"workflow": {"executionStatus": "PENDING"}}


def test_nothing_runs_on_a_database_that_is_not_migrated(stack: Stack) -> None:
    for container in (stack.api(), stack.worker()):
        with container:
            assert container.popen.wait(60) == 1
        assert "Run `hub migrate` first." in said(container)


def test_a_replica_without_the_master_key_says_so_and_makes_none(stack: Stack) -> None:
    stack.migrate()
    for name, key in [("api", None), ("api", ""), ("worker", None), ("worker", "5a5a")]:
        # a file system that is read only, even for root, as the containers' is
        given: dict[str, str | None] = {
            "HUB_DATA_DIR": "/proc/orchestration-hub",
            "HUB_PORT": "0",
            "HUB_MASTER_KEY": key,
        }
        with stack.container(name, given) as container:
            assert container.popen.wait(60) == 1
        (line,) = said(container).splitlines()
        assert line.startswith("There is no master key: ")
        assert "HUB_MASTER_KEY" in line
