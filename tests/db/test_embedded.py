"""The embedded server: it belongs to its data folder, and outlives whoever is killed."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from db.embedded import THROWAWAY_SETTINGS, EmbeddedServer, EmbeddedServerError

START_AND_HANG = """
import sys, time
from pathlib import Path
from db.embedded import THROWAWAY_SETTINGS, EmbeddedServer
server = EmbeddedServer.start(Path(sys.argv[1]), settings=THROWAWAY_SETTINGS)
print(server.pid, flush=True)
time.sleep(600)
"""


def start(folder: Path) -> EmbeddedServer:
    return EmbeddedServer.start(folder, settings=THROWAWAY_SETTINGS)


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def data_dir(fast_folder: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hub-test-", dir=fast_folder))
    yield folder
    pids = [int(file.read_text().split()[0]) for file in folder.rglob("postmaster.pid")]
    shutil.rmtree(folder)
    left = [pid for pid in pids if runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGQUIT)
    assert left == []


async def test_its_address_serves_every_driver(postgres: EmbeddedServer) -> None:
    url = postgres.url("postgres")

    driver = await asyncpg.connect(url)
    assert await driver.fetchval("SELECT 1") == 1
    await driver.close()
    with psycopg.connect(url) as other_driver:
        assert other_driver.execute("SELECT 1").fetchone() == (1,)
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_its_address_does_not_heed_the_users_variables(
    postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")

    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.close()
    assert postgres.execute("SELECT 1") == "1"


def test_nobody_else_gets_to_the_socket(postgres: EmbeddedServer) -> None:
    assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
    assert postgres.execute("SHOW listen_addresses") == ""


def test_text_sorts_alike_on_every_machine(postgres: EmbeddedServer) -> None:
    found = postgres.execute("SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'postgres'")
    assert found == "b|C.UTF-8"


def test_the_tools_lie_beside_the_server(postgres: EmbeddedServer) -> None:
    assert {"psql", "pgbench", "postgres"} <= {path.name for path in postgres.bin_path.iterdir()}


def test_a_production_server_keeps_what_it_committed(data_dir: Path) -> None:
    server = EmbeddedServer.start(data_dir)
    assert [server.execute(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")] == [
        "on"
    ] * 3
    server.stop()


def test_databases_are_created_copied_and_dropped(postgres: EmbeddedServer) -> None:
    postgres.create_database("original")
    postgres.execute("CREATE TABLE told (word text)", "original")
    postgres.ensure_database("original")
    postgres.create_database("copy", "original")

    assert postgres.execute("SELECT count(*) FROM told", "copy") == "0"
    with pytest.raises(EmbeddedServerError, match="already exists"):
        postgres.create_database("copy")
    with pytest.raises(ValueError, match="no plain identifier"):
        postgres.create_database('x"; DROP DATABASE original; --')
    for name in ("copy", "original", "original"):
        postgres.drop_database(name)
    assert postgres.execute("SELECT count(*) FROM pg_database WHERE datname IN ('copy', 'original')") == "0"


def test_the_last_user_stops_the_server(data_dir: Path) -> None:
    first, second = start(data_dir), start(data_dir)
    pid = first.pid
    assert second.pid == pid

    first.stop()
    assert second.execute("SELECT 1") == "1"
    second.stop()
    second.stop()
    assert not runs(pid)


def test_data_are_there_after_a_stop_and_a_restart(data_dir: Path) -> None:
    server = start(data_dir)
    server.ensure_database("hub")
    server.execute("CREATE TABLE kept AS SELECT 7 AS number", "hub")
    server.stop()

    server = start(data_dir)
    server.restart(immediate=True)
    assert server.execute("SELECT number FROM kept", "hub") == "7"
    server.stop()


def test_a_killed_postmaster_is_replaced(data_dir: Path) -> None:
    server = start(data_dir)
    server.execute("CREATE TABLE kept AS SELECT 7 AS number")
    killed = server.pid
    os.kill(killed, signal.SIGKILL)

    again = start(data_dir)
    assert again.pid != killed
    assert again.execute("SELECT number FROM kept") == "7"
    server.stop()
    again.stop()


def test_a_postmaster_that_hangs_is_replaced(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.embedded.PROBE_TIMEOUT", 2)
    server = start(data_dir)
    hanging = server.pid
    os.kill(hanging, signal.SIGSTOP)

    again = start(data_dir)
    assert again.pid != hanging
    server.stop()
    again.stop()


def test_a_pid_that_came_again_is_not_taken_for_the_server(data_dir: Path) -> None:
    start(data_dir).stop()
    # as after the restart of a container: our own process has the number that the server had
    lines = [
        str(os.getpid()),
        str(data_dir / "pg"),
        str(int(time.time())),
        "5432",
        str(data_dir / "pg"),
        "",
        "",
        "ready",
    ]
    (data_dir / "pg" / "postmaster.pid").write_text("\n".join(lines) + "\n")

    server = start(data_dir)
    assert server.pid != os.getpid()
    server.stop()


def test_the_server_of_a_killed_process_is_used_again(data_dir: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_HANG, str(data_dir)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    server = start(data_dir)
    assert server.pid == pid
    server.stop()
    assert not runs(pid)


def test_two_processes_that_start_at_once_share_one_server(data_dir: Path) -> None:
    command = [sys.executable, "-c", START_AND_HANG, str(data_dir)]
    parents = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids = set()
    for parent in parents:
        assert parent.stdout is not None
        pids.add(int(parent.stdout.readline()))
    for parent in parents:
        parent.kill()
        parent.communicate()

    assert len(pids) == 1
    server = start(data_dir)
    assert {server.pid} == pids
    server.stop()


def test_a_long_path_gets_a_private_socket_folder(data_dir: Path) -> None:
    server = start(data_dir / ("a folder, with a long name" * 5))
    folder = server.socket_dir
    assert folder != server.pgdata
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    again = start(server.data_dir)
    assert again.pid == server.pid
    again.stop()
    server.stop()
    assert not folder.exists()


async def test_a_path_with_spaces_and_signs_works(data_dir: Path) -> None:
    server = start(data_dir / "it's 100% & more")
    connection = await asyncpg.connect(server.url("postgres"))
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    server.stop()


def test_an_interrupted_first_start_is_begun_anew(data_dir: Path) -> None:
    (data_dir / "pg" / "base").mkdir(parents=True)
    (data_dir / "pg" / "base" / "1").write_text("half")

    server = start(data_dir)
    assert server.execute("SELECT 1") == "1"
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change the account")
class TestAsRoot:
    def test_its_home_is_refused_and_stays_closed(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        home = pwd.struct_passwd(("root", "x", 0, 0, "", str(data_dir), "/bin/sh"))
        monkeypatch.setattr("db.embedded.pwd.getpwuid", lambda _: home)

        with pytest.raises(EmbeddedServerError, match="HUB_DATA_DIR"):
            start(data_dir / "data")
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700

    def test_a_closed_folder_is_opened_to_pass_through_only(self, data_dir: Path) -> None:
        server = start(data_dir / "data")
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o701
        server.stop()

    def test_the_data_folder_is_opened_to_the_account_only(self, data_dir: Path) -> None:
        server = start(data_dir)
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o710
        assert stat.S_IMODE(server.pgdata.stat().st_mode) == 0o700
        assert psutil.Process(server.pid).username() != "root"
        assert psutil.Process(server.pid).gids().effective != 0
        server.stop()

    def test_closed_binaries_are_copied(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        refused = EmbeddedServer._may

        def closed(server: EmbeddedServer, *command: str) -> bool:
            return "site-packages" not in command[0] and refused(server, *command)

        monkeypatch.setattr(EmbeddedServer, "_may", closed)
        server = start(data_dir)
        assert server.bin_path.is_relative_to(data_dir)
        server.stop()
