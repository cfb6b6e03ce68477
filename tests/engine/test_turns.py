"""Executions that wait for their turn, as workers run them."""

from itertools import pairwise
from uuid import UUID

from app.domain.templates import parse_template
from app.engine.functions import Call
from app.services.template_sources import spec_of
from db.queries.catalogue import store_spec
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.team import events_of, execution_of, start, until


async def step(call: Call) -> dict[str, str]:
    return {"done": call.key}


async def test_workers_run_one_after_the_other_in_the_order_of_the_starts(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Phases that the worker does itself, so that the engine ends them by its own statements."""
    phases = [{"name": name, "kind": "function", "function": "step"} for name in ("one", "two")]
    data = {"name": "plain", "description": "For a test.", "phases": phases, "concurrency": {"policy": "queue"}}
    template = parse_template(data, "plain")
    await engine_database.transact(lambda s: store_spec(s, "plain", 1, "For a test.", spec_of(template)))
    ids = [await start(engine_database, "plain") for _ in range(5)]
    for name in ("one", "other"):
        await start_worker(name, functions={"step": step})

    async def is_completed(execution_id: UUID) -> bool:
        return bool((await execution_of(engine_database, execution_id)).execution_status == "completed")

    await until(lambda: is_completed(ids[-1]))
    rows = [await execution_of(engine_database, each) for each in ids]
    assert [row.execution_status for row in rows] == ["completed"] * 5
    for before, after in pairwise(rows):
        assert before.completed_at <= after.started_at
    told = ["started", "admitted", "running", *["step_started", "step_completed"] * 2, "completed"]
    assert await events_of(engine_database, ids[-1]) == told
