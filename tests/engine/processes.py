"""Worker processes of a test, forked by one process that has loaded everything, and what is asked of them."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from db.session import Database
from tests.engine.team import rows_of, until

NO_SIGNAL = 0
LEASE = 0.6
"""Seconds: short, so that the next worker takes over soon."""


class Workers:
    """Worker processes of this test, forked by one process that has loaded everything."""

    def __init__(self, parent: "subprocess.Popen[str]", url: str, log: Path) -> None:
        self._parent = parent
        self._url = url
        self.log = log
        self.pids: list[int] = []

    def start(
        self,
        name: str,
        number: int = NO_SIGNAL,
        visit: int = 0,
        moment: str = "",
        lease: float = LEASE,
        **options: float,
    ) -> int:
        """Start a worker, which sends itself the signal at its n-th visit to the database; its process id."""
        order = {"url": self._url, "name": name, "lease": lease, "log": str(self.log), **options}
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps({**order, "signal": number, "visit": visit, "moment": moment}) + "\n")
        self._parent.stdin.flush()
        pid = int(self._parent.stdout.readline())
        self.pids.append(pid)
        return pid

    def kill_all(self) -> None:
        """Kill the workers that are left."""
        for pid in self.pids:
            if state_of(pid) is not None:
                os.kill(pid, signal.SIGKILL)

    async def kill(self, pid: int) -> None:
        """Kill a worker, and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        await until(lambda: has_state(pid, None))


def state_of(pid: int) -> str | None:
    """The state of a worker's process, None when it is gone."""
    try:
        process = psutil.Process(pid)
        return process.status() if "tests.engine.worker_process" in process.cmdline() else None
    except psutil.NoSuchProcess:
        return None


async def has_state(pid: int, state: str | None) -> bool:
    return state_of(pid) == state


async def everything(database: Database) -> dict[str, Any]:
    """How many rows each table has, with a sum over all that they hold."""
    tables = await rows_of(
        database,
        text(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname IN ('public', 'langgraph') ORDER BY 1"
        ),
    )
    counted: dict[str, Any] = {}
    for table in tables:
        sql = f"SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table.name} t"  # noqa: S608
        counted[table.name] = tuple((await rows_of(database, text(sql)))[0])
    return counted


async def go_on(pid: int) -> None:
    """Let a frozen worker do what it still wants to do, then stop it in order."""
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(1)
    os.kill(pid, signal.SIGTERM)
    await until(lambda: has_state(pid, None))
