"""Signals: kept until a phase takes them, each taken once, checked before anything is written."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.domain.errors import Blocked, HubError, IdempotencyKeyReused, InvalidInput
from app.services.workflow_signals import PAYLOAD_MAX, SignalWorkflow, signal_workflow
from db.session import Database
from db.tables.workflows import workflow_signals
from tests.engine.conftest import StartWorker
from tests.engine.team import ADMIN, errors_of, events_of, execution_of, rows_of, start, store_template, until
from tests.engine.test_flow import Phase, ended, function_phase, loop, names_of, wait

SCHEMA = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}


async def send(database: Database, execution_id: UUID, name: str, payload: Any = None, key: str | None = None) -> Any:
    command = SignalWorkflow(execution_id, name, payload, key)
    return await database.transact(lambda session: signal_workflow(session, ADMIN, command))


async def signals_of(database: Database) -> list[tuple[Any, ...]]:
    """Name, payload and the step that took it."""
    columns = (workflow_signals.c.signal_name, workflow_signals.c.payload, workflow_signals.c.taken_by_step)
    return [tuple(row) for row in await rows_of(database, select(*columns).order_by(workflow_signals.c.signal_id))]


async def waiting(database: Database, *phases: Phase, output: dict[str, str] | None = None) -> UUID:
    await store_template(database, "waiting", *phases, output=output or {})
    return await start(database, "waiting")


async def parked(database: Database, execution_id: UUID, phase: str) -> bool:
    row = await execution_of(database, execution_id)
    return row.current_phase == phase and row.lease_owner is None


async def test_what_a_signal_brings_is_the_result_of_the_phase(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    phases = [wait("hold", signal="deploy.ok", schema=SCHEMA), wait("again", signal="deploy.ok", schema=SCHEMA)]
    output = {"first": "results.hold.by", "second": "results.again"}
    execution_id = await waiting(database, *phases, output=output)
    await start_worker()
    await until(lambda: parked(database, execution_id, "hold"))
    await send(database, execution_id, "deploy.ok", {"ok": True, "by": "ann"})
    await until(lambda: parked(database, execution_id, "again"))
    await send(database, execution_id, "deploy.ok", {"ok": False})
    assert await ended(database, execution_id) == "completed"
    assert (await execution_of(database, execution_id)).output == {"first": "ann", "second": {"ok": False}}
    assert await signals_of(database) == [
        ("deploy.ok", {"ok": True, "by": "ann"}, 1),
        ("deploy.ok", {"ok": False}, 2),
    ]
    assert (await events_of(database, execution_id)).count("signalled") == 2


async def test_a_signal_that_comes_early_is_kept_until_it_is_awaited(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    execution_id = await waiting(database, wait("nap", seconds=0.1), wait("go", signal="go"), wait("hold", signal="go"))
    await send(database, execution_id, "go", 1)
    await send(database, execution_id, "go", None)
    await start_worker()
    assert await ended(database, execution_id) == "completed"
    assert await signals_of(database) == [("go", 1, 2), ("go", None, 3)]
    assert await errors_of(database, execution_id) == []


async def test_what_a_later_round_is_told_is_what_came_last(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    phases = [wait("hold", signal="go"), function_phase("note", uses=["hold"])]
    execution_id = await waiting(database, *phases, loop("again", "hold", until="attempt == 3"))
    for number in range(3):
        await send(database, execution_id, "go", number)
    told: list[Any] = []
    await start_worker(functions={"note": lambda call: told.append(call.results["hold"])})
    assert await ended(database, execution_id) == "completed"
    assert told == [0, 1, 2]


async def test_of_one_key_only_the_first_counts(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    execution_id = await waiting(database, wait("one", signal="go"), wait("two", signal="go"))
    await asyncio.gather(*[send(database, execution_id, "go", {"n": 1}, "k-1") for _ in range(5)])
    with pytest.raises(IdempotencyKeyReused):
        await send(database, execution_id, "go", {"n": 2}, "k-1")
    await start_worker()
    await until(lambda: parked(database, execution_id, "two"))
    assert await signals_of(database) == [("go", {"n": 1}, 1)]
    await send(database, execution_id, "go", {"n": 2}, "k-2")
    assert await ended(database, execution_id) == "completed"
    assert await names_of(database, execution_id) == ["one", "two"]
    # sent once more when nobody listens any longer, it is still the one that was taken
    await send(database, execution_id, "go", {"n": 2}, "k-2")
    assert (await events_of(database, execution_id)).count("signalled") == 2


@pytest.mark.parametrize(
    ("name", "payload", "field", "said"),
    [
        ("stop", None, "input.name", "The workflow 'waiting' awaits no signal 'stop'; it awaits: go. Nothing"),
        ("go", {}, "input.payload", "payload does not fit the schema of the signal 'go': \"ok\" is a required"),
        ("go", {"ok": 1}, "input.payload.ok", "payload.ok does not fit the schema of the signal 'go': 1 is not of"),
        ("go", {"ok": True, "log": "x" * PAYLOAD_MAX}, "input.payload", "payload has 65556 bytes of JSON, at most"),
    ],
)
async def test_a_signal_that_does_not_fit_is_refused(
    engine_database: Database, name: str, payload: Any, field: str, said: str
) -> None:
    database = engine_database
    execution_id = await waiting(database, wait("hold", signal="go", schema=SCHEMA))
    with pytest.raises(InvalidInput) as refused:
        await send(database, execution_id, name, payload)
    assert refused.value.field == field
    assert refused.value.message.startswith(said)
    assert await signals_of(database) == []


async def test_an_execution_that_has_ended_takes_no_signals(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    execution_id = await waiting(database, wait("hold", signal="go"))
    await send(database, execution_id, "go")
    await start_worker()
    assert await ended(database, execution_id) == "completed"
    with pytest.raises(HubError) as refused:
        await send(database, execution_id, "go")
    assert isinstance(refused.value, Blocked)
    assert len(await signals_of(database)) == 1
