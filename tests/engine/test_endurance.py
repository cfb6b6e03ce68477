"""What finished work leaves behind: its history, and nothing else, neither rows nor objects of the worker."""

import asyncio
import gc
from typing import Any

import pytest
from sqlalchemy import text, update

from app.engine.checkpoints import FencedSaver, RidingSaver
from app.upkeep.checkpoints import BATCH, forget_checkpoints, run_checkpoint_upkeep
from db.session import Database
from db.tables.workflows import workflow_executions
from tests.benchmarks import workflows_hub
from tests.benchmarks.endurance import counted, told
from tests.engine.conftest import StartWorker
from tests.engine.team import start, stored, until
from tests.engine.test_checkpoints import checkpoint_of, config_of

RUNS = 200
CONNECTIONS = 7
"""Of this test's database, in both pools."""


async def test_200_executions_leave_their_history_and_nothing_else(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await workflows_hub.store(database)
    await start_worker(functions=workflows_hub.FUNCTIONS)
    await workflows_hub.run(database, RUNS)
    rows = await counted(database)
    # of each execution: started, running, five steps begun and ended, completed
    assert rows == {
        **dict.fromkeys(("checkpoint_writes", "checkpoint_blobs", "runnable", "leases", "open tasks", "errors"), 0),
        "checkpoints": RUNS,
        "executions": RUNS,
        "steps": 5 * RUNS,
        "events": 13 * RUNS,
    }
    assert f"{RUNS} executions: " in told(RUNS, rows)
    assert await forget_checkpoints(database, after_hours=1) == 0
    assert await forget_checkpoints(database, after_hours=0) == RUNS
    assert await counted(database) == {**rows, "checkpoints": 0}


async def test_a_worker_keeps_nothing_of_a_run_that_is_over(
    engine_database: Database, start_worker: StartWorker
) -> None:
    await workflows_hub.store(engine_database)
    worker = await start_worker(functions=workflows_hub.FUNCTIONS)
    await workflows_hub.run(engine_database, 60)
    await until(lambda: at_rest(worker))
    gc.collect()
    kept = [found for found in gc.get_objects() if isinstance(found, RidingSaver)]
    # a connection remembers the context in which it was opened, and with it the run that happened to open it
    assert len(kept) <= 2 * CONNECTIONS


async def at_rest(worker: Any) -> bool:
    return bool(worker.in_hand == 0)


async def save(database: Database, name: str) -> None:
    """An execution with two checkpoints and what they refer to."""
    execution_id = await start(database, name)
    saver, config = FencedSaver(database, execution_id, 0), config_of(execution_id)
    for number in (1, 2):
        checkpoint = checkpoint_of(number, value={"number": number})
        config = await saver.aput(config, checkpoint, {"step": number}, checkpoint["channel_versions"])
        await saver.aput_writes(config, [("value", number)], "task")


@pytest.mark.parametrize(
    ("status", "hours", "left"),
    [("cancelled", 25, 0), ("failed", 25, 0), ("completed", 23, 4), ("running", None, 4)],
)
async def test_checkpoints_of_executions_that_ended_a_day_ago_go(
    engine_database: Database, status: str, hours: int | None, left: int
) -> None:
    database = engine_database
    for _ in range(2):
        await save(database, "code-audit")
    ended = text(f"now() - interval '{hours} hours'") if hours else None
    values = {"execution_status": status, "started_at": text("now() - interval '2 days'"), "completed_at": ended}
    await database.transact(lambda session: session.execute(update(workflow_executions).values(values)))
    upkeep = asyncio.create_task(run_checkpoint_upkeep(database, 0.02))
    await asyncio.sleep(0.2)
    upkeep.cancel()
    await asyncio.wait([upkeep])
    assert await stored(database) == [left] * 3


async def test_more_than_go_in_one_transaction_all_go(
    engine_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BATCH > 2
    monkeypatch.setattr("app.upkeep.checkpoints.BATCH", 2)
    for _ in range(5):
        await save(engine_database, "code-audit")
    ended = {"execution_status": "cancelled", "completed_at": text("now() - interval '2 days'")}
    await engine_database.transact(lambda session: session.execute(update(workflow_executions).values(ended)))
    assert await forget_checkpoints(engine_database, after_hours=1) == 5
    assert await stored(engine_database) == [0, 0, 0]
