"""Commands as their user runs them, and what they leave on which stream."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.acceptance.processes import HUB, environment
from tests.agent.hubs import RunningHub

SECONDS = 60


def run_hub(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A command, run to its end in an environment of its own."""
    return subprocess.run(
        [HUB, *arguments],
        env=environment(folder, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def call(running: RunningHub, *arguments: str, code: int = 0, **variables: str) -> str:
    """Standard output of a command that ends with this exit code; standard error when that is 2 or 3."""
    done = run_hub(running.folder, *arguments, HUB_URL=running.url, **variables)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code in (2, 3) else done.stdout


def call_json(running: RunningHub, *arguments: str, code: int = 0, **variables: str) -> Any:
    """The JSON that a command prints."""
    return json.loads(call(running, *arguments, "--json", code=code, **variables))


def refusal(running: RunningHub, *arguments: str, **variables: str) -> str:
    """What a command that fails says on standard error, in one line; nothing is on standard output."""
    done = run_hub(running.folder, *arguments, HUB_URL=running.url, **variables)
    assert (done.returncode, done.stdout) == (1, ""), done
    return " ".join(done.stderr.split())


def nodes(connection: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a listing."""
    found: list[dict[str, Any]] = connection["nodes"]
    return found
