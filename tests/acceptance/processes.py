"""The hub's real processes, started and stopped as its user does it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

HUB = Path(sys.executable).with_name("hub")
READY_SECONDS = 60
STOP_SECONDS = 30


@contextmanager
def data_folder() -> Iterator[Path]:
    """A private folder with a path that is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="hub-acc-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """This process's environment without its HUB_ variables, and with those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return kept | {"HUB_DATA_DIR": str(folder), "HUB_PORT": "0", "COLUMNS": "200"} | variables


class Process:
    """One `hub …` process with its output in a file; `ready` is what it prints once it is."""

    def __init__(self, folder: Path, *arguments: str, ready: str, **variables: str) -> None:
        self.log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        self._ready = re.compile(ready)
        with self.log.open("wb") as output:
            self.popen = subprocess.Popen(
                [HUB, *arguments],
                env=environment(folder, **variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_ready(self) -> str:
        """What the pattern's first group matched."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.popen.poll() is None:
            found = self._ready.search(self.log.read_text(errors="replace"))
            if found:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"the process did not become ready:\n{self.log.read_text(errors='replace')}")

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is tidied."""
        self.popen.kill()
        self.popen.wait(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the process did not stop:\n{self.log.read_text(errors='replace')}") from None
        return self.popen.returncode


def api(folder: Path, command: str = "up", **variables: str) -> Process:
    """`hub up` or `hub serve`; ready with its address."""
    return Process(folder, command, ready=r"answers at (http://[^\s/]+)", **variables)


def worker(folder: Path, **variables: str) -> Process:
    """`hub worker`; ready with its name."""
    return Process(folder, "worker", ready=r"The worker (\S+) takes", **variables)


def hub(folder: Path, url: str, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """A client command, run to its end."""
    return subprocess.run(
        [HUB, *arguments],
        env=environment(folder, HUB_URL=url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def ask(folder: Path, url: str, query: str, **variables: object) -> dict[str, object]:
    """The data of an operation, asked as the administrator."""
    token = (folder / "admin.token").read_text().strip()
    answer = httpx.post(
        f"{url}/graphql",
        json={"query": query, "variables": variables},
        headers={"authorization": f"Bearer {token}"},
        timeout=20,
    ).json()
    assert "errors" not in answer, answer
    data: dict[str, object] = answer["data"]
    return data
