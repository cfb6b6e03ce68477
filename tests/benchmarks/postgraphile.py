"""PostGraphile 5 as a contender: set up in build/peers, where a Node new enough is put too if the machine has none.

Its packages are pinned in peers/postgraphile, without the address of any registry: npm's own configuration says where
they come from. What stands is used again as long as the pins are the same.
"""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from db.embedded import PORT
from tests.benchmarks.load import ROOT
from tests.benchmarks.stage import Served, Stage

SOURCE = Path(__file__).parent / "peers" / "postgraphile"
PINS = ("package.json", "package-lock.json")
HOME = ROOT / "build" / "peers" / "postgraphile"
NODE_HOME = ROOT / "build" / "peers" / "node"
OLDEST_NODE = 22
PATIENCE = 300.0
"""Seconds for npm."""


class CannotInstall(Exception):
    """There is no Node, no npm or no registry here; the message says what."""


@dataclass(frozen=True)
class Installed:
    """Where it stands, and the Node to run it with."""

    home: Path
    node: str


@contextlib.contextmanager
def serving(stage: Stage, installed: Installed) -> Iterator[Served]:
    """PostGraphile on the stage's database, in a process of its own."""
    shutil.copy(SOURCE / "server.js", installed.home)
    where = {"PGHOST": str(stage.postgres.socket_dir), "PGPORT": str(PORT), "PGUSER": "postgres", "PGDATABASE": "hub"}
    how = {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    with stage.running(installed.node, str(installed.home / "server.js"), environment=where | how) as served:
        yield served


def install(home: Path = HOME, node_home: Path = NODE_HOME) -> Installed:
    """Make sure that it is installed; half a minute the first time. Raises `CannotInstall`."""
    found = installed(home, node_home)
    if found is not None:
        return found
    node = find_node(node_home) or _install_node(node_home)
    home.mkdir(parents=True, exist_ok=True)
    for name in PINS:
        shutil.copy(SOURCE / name, home)
    _npm("ci", home)
    _mark(home).write_text(_pins())
    return Installed(home, node)


def installed(home: Path = HOME, node_home: Path = NODE_HOME) -> Installed | None:
    """What stands already; None when something is missing or the pins have changed."""
    node, mark = find_node(node_home), _mark(home)
    if node is None or not mark.exists() or mark.read_text() != _pins():
        return None
    return Installed(home, node)


def find_node(node_home: Path = NODE_HOME) -> str | None:
    """The machine's Node, or the one that was put beside it, if one is new enough."""
    candidates = (shutil.which("node"), str(node_home / "node_modules" / ".bin" / "node"))
    return next((node for node in candidates if node is not None and major_version(node) >= OLDEST_NODE), None)


def major_version(node: str) -> int:
    """Which Node it is; 0 when it does not run."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run((node, "--version"), capture_output=True, text=True, timeout=PATIENCE).stdout
        found = re.match(r"v(\d+)\.", told)
        return int(found[1]) if found else 0
    return 0


def _install_node(node_home: Path) -> str:
    node_home.mkdir(parents=True, exist_ok=True)
    (node_home / "package.json").write_text('{"private": true}\n')
    _npm("install", node_home, f"node@{OLDEST_NODE}")
    node = find_node(node_home)
    if node is None:
        raise CannotInstall(f"npm's package node@{OLDEST_NODE} does not run on this machine")
    return node


def _npm(command: str, folder: Path, *arguments: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall("there is no npm")
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    try:
        ended = subprocess.run(
            (npm, command, *arguments, *quiet), cwd=folder, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"npm {command} did not end within {PATIENCE:.0f} s") from None
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        raise CannotInstall(f"npm {command} failed: {' '.join(lines[:2])}")


def _mark(home: Path) -> Path:
    """The file that says with which pins the installation was finished."""
    return home / "installed"


def _pins() -> str:
    return "".join((SOURCE / name).read_text() for name in PINS)
