"""`python -m tests.benchmarks.endurance [--runs 10000]`: one worker through many executions, its memory and its tables.

Printed after every thousand: what the worker's process holds in memory, and the rows of all tables that finished work
could leave something in. History (executions, steps, events) grows by what was done; nothing else may.
"""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from app.engine.runner import Worker
from app.live.hints import HintSender
from app.upkeep.checkpoints import forget_checkpoints
from db.session import Database
from tests.benchmarks import workflows, workflows_hub
from tests.benchmarks.stage import open_stage

PORTION = 1000
COUNTED = {
    "checkpoints": "SELECT count(*) FROM langgraph.checkpoints",
    "checkpoint_writes": "SELECT count(*) FROM langgraph.checkpoint_writes",
    "checkpoint_blobs": "SELECT count(*) FROM langgraph.checkpoint_blobs",
    "runnable": "SELECT count(*) FROM workflow_executions WHERE wake_seq > handled_seq",
    "leases": "SELECT count(*) FROM workflow_executions WHERE lease_owner IS NOT NULL",
    "open tasks": "SELECT count(*) FROM tasks WHERE completed_at IS NULL",
    "errors": "SELECT count(*) FROM workflow_errors",
    "executions": "SELECT count(*) FROM workflow_executions WHERE execution_status = 'completed'",
    "steps": "SELECT count(*) FROM workflow_steps WHERE step_status = 'completed'",
    "events": "SELECT count(*) FROM event_log",
}


def resident() -> float:
    """MiB of this process's memory that are resident."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def counted(database: Database) -> dict[str, int]:
    """The rows of each of `COUNTED`."""
    return {name: int(await database.fetch_value(sql)) for name, sql in COUNTED.items()}


def told(done: int, rows: Mapping[str, int]) -> str:
    """A line about the state after so many executions."""
    found = ", ".join(f"{name} {count}" for name, count in rows.items())
    return f"{done:>6} executions: {resident():.1f} MiB; {found}"


async def endure(url: str, runs: int, console: Console) -> None:
    """Run them, a thousand after the other."""
    database = Database(url)
    await database.open()
    hints = HintSender(database)
    await hints.start()
    worker = Worker(database, hints, name="long", concurrency=workflows_hub.AT_ONCE, functions=workflows_hub.FUNCTIONS)
    await worker.start()
    for done in range(0, runs, PORTION):
        await workflows_hub.run(database, min(PORTION, runs - done))
        # as upkeep does each hour, here without the hour
        await forget_checkpoints(database, after_hours=0)
        console.print(told(min(done + PORTION, runs), await counted(database)), soft_wrap=True)
    await worker.stop()
    await hints.stop()
    await database.close()


def main() -> None:
    """Run on a server of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.endurance", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    with open_stage() as stage:
        asyncio.run(workflows.prepare(stage.url))
        asyncio.run(endure(stage.url, parser.parse_args().runs, Console(highlight=False)))


if __name__ == "__main__":
    main()
