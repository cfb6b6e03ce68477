"""Whatever way a benchmark ends, no server and no folder is left."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.load import ROOT
from tests.benchmarks.stage import StageError, open_stage

PATIENCE = 20.0
HOLD_A_STAGE = """
import sys, time
from tests.benchmarks.stage import open_stage
with open_stage() as stage, stage.serving("tests.benchmarks.peers.dataloaders", stage.url) as served:
    sys.stdout.write(f"{stage.folder} {stage.postgres.pid} {served.pid}\\n")
    sys.stdout.flush()
    time.sleep(60)
"""


@contextlib.contextmanager
def a_stage_elsewhere() -> Iterator[tuple[subprocess.Popen[str], Path, list[psutil.Process]]]:
    """A process that holds a stage, the stage's folder, and the servers on it."""
    command = (sys.executable, "-c", HOLD_A_STAGE)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            folder, *pids = process.stdout.readline().split()
            yield process, Path(folder), [psutil.Process(int(pid)) for pid in pids]
        finally:
            process.kill()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after(number: signal.Signals) -> None:
    with a_stage_elsewhere() as (process, folder, servers):
        assert folder.is_dir()
        assert [server.is_running() for server in servers] == [True, True]
        process.send_signal(number)
        process.wait(PATIENCE)
        eventually(lambda: not folder.exists() and not any(map(_lives, servers)))


def test_a_server_that_does_not_start_says_why() -> None:
    with open_stage() as stage:
        with (
            pytest.raises(StageError, match="No module named"),
            stage.serving("tests.benchmarks.nothing"),
        ):
            pass
        assert stage.postgres.execute("SELECT 1", "hub") == "1"
    assert not stage.folder.exists()


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
