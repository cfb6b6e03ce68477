"""The stage of a benchmark: a temporary folder, a PostgreSQL in it with production settings, and server processes.

All of it is gone at the end, however the end comes: the stage clears itself away when it is interrupted, and a watching
shell does it when this process is killed.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from db.embedded import EmbeddedServer
from tests.benchmarks.load import ROOT

START_PATIENCE = 60.0
STOP_PATIENCE = 15.0
ADDRESS = re.compile(r"http://([\w.]+):(\d+)")

# It reads the numbers of our processes. `done` says that nothing is left to do; the end of the input without it, which
# comes even when we are killed, that everything is.
CLEAR_AWAY_AFTER_A_KILL = """
while read -r word; do
    if [ "$word" = done ]; then exit; fi
    processes="$processes $word"
done
kill -TERM $processes 2> /dev/null
postmaster=$(head -n 1 "$1/pg/postmaster.pid" 2> /dev/null)
if [ -n "$postmaster" ]; then kill -QUIT "$postmaster"; fi
sleep 1
kill -KILL $processes 2> /dev/null
rm -rf "$1"
"""


class StageError(Exception):
    """A server of the benchmark did not start."""


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    host: str
    port: int
    pid: int


@dataclass
class Stage:
    """The folder, the database server in it, and what runs beside it."""

    folder: Path
    postgres: EmbeddedServer
    watcher: IO[str]
    _number: int = field(init=False, default=0)

    @property
    def url(self) -> str:
        """The address of the database."""
        return self.postgres.url()

    @contextlib.contextmanager
    def serving(self, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
        """`python -m arguments…` for the length of the block. Raises `StageError`."""
        with self.running(sys.executable, "-m", *arguments, environment=environment) as served:
            yield served

    @contextlib.contextmanager
    def running(self, *command: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
        """The command for the length of the block; it says on standard output at what address it listens.

        Raises `StageError` with the last of its error output when it does not start.
        """
        self._number += 1
        log = self.folder / f"server-{self._number}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=_clean_environment() | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us alone; we stop our servers in order
                start_new_session=True,
            )
        try:
            self.watcher.write(f"{process.pid}\n")
            self.watcher.flush()
            host, port = _await_address(process, log)
            yield Served(host, port, process.pid)
        finally:
            _stop(process)


@contextlib.contextmanager
def open_stage() -> Iterator[Stage]:
    """A stage with an empty database `hub`. SIGTERM and SIGINT end it by `KeyboardInterrupt`."""
    # not below a folder with a long name: the path of a socket is limited
    folder = Path(tempfile.mkdtemp(prefix="hub-bench-", dir="/tmp"))
    command = ("sh", "-c", CLEAR_AWAY_AFTER_A_KILL, "sh", str(folder))
    with (
        _terminable(),
        subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as watching,
    ):
        if watching.stdin is None:
            raise AssertionError("unreachable: a pipe was asked for")
        try:
            postgres = EmbeddedServer.start(folder)
            try:
                postgres.ensure_database()
                yield Stage(folder, postgres, watching.stdin)
            finally:
                postgres.stop()
                watching.stdin.write("done\n")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM does as SIGINT, which raises `KeyboardInterrupt` even where it was ignored, as in a background job."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    wanted = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: interrupt}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clean_environment() -> dict[str, str]:
    """The environment without the user's settings of the hub and of PostgreSQL's clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "PG"))}


def _await_address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, int]:
    deadline = time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        found = ADDRESS.search(log.read_text())
        if found is not None:
            return found[1], int(found[2])
        time.sleep(0.05)
    raise StageError(f"{' '.join(map(str, process.args))} did not start:\n{log.read_text()[-3000:]}")  # type: ignore[arg-type]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
