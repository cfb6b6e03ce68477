"""Phases that a worker does itself: their results, their failures, and that none is recorded twice."""

import asyncio
import itertools
import os
import signal
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from sqlalchemy import select

from app.domain.errors import Unavailable
from app.domain.quality_gates import ApprovalStatus, GateType
from app.engine import run, runner
from app.engine.functions import RESULT_MAX, Call, installed_functions
from app.services.gate_creation import CreateGate, create_gate
from app.services.quality_gates import DecideGate, OpenGate, decide_gate, open_gate
from app.services.workflows import PauseWorkflow, ResumeWorkflow, RetryWorkflow, pause_workflow, resume_workflow
from app.services.workflows import retry_workflow as retry
from db.queries.boundaries import Boundary, EndedStep, NextStep, cross
from db.session import Database
from db.tables.events import event_log
from db.tables.workflows import workflow_executions
from tests.engine.conftest import StartWorker
from tests.engine.processes import Workers, has_state, state_of
from tests.engine.team import (
    ADMIN,
    AUDITORS,
    SEALER,
    Team,
    constant,
    errors_of,
    events_of,
    execution_of,
    path_of,
    rows_of,
    start,
    steps_of,
    store_template,
    stored,
    task_phase,
    until,
)

NAMES = ["one", "two", "three", "four", "five"]
CONTEXT = {"path": "/tree"}


def function_phase(name: str, function: str = "note", **given: Any) -> dict[str, Any]:
    return {"name": name, "kind": "function", "function": function, **given}


async def five_steps(database: Database) -> UUID:
    """Start an execution of five functions, each of which uses the result of the one before."""
    phases = [function_phase(name, uses=NAMES[max(0, n - 1) : n]) for n, name in enumerate(NAMES)]
    await store_template(database, "five-steps", *phases)
    return await start(database, "five-steps")


async def one_step(database: Database, **given: Any) -> UUID:
    await store_template(database, "one-step", function_phase("one", **given))
    return await start(database, "one-step")


async def ended(database: Database, execution_id: UUID) -> str:
    async def over() -> str | None:
        status: str = (await execution_of(database, execution_id)).execution_status
        return status if status in ("completed", "failed") else None

    found: str = await until(over)
    return found


class Calls:
    """A function that notes how it was called, and counts on from the results that it is given."""

    def __init__(self) -> None:
        self.seen: list[Call] = []

    async def note(self, call: Call) -> dict[str, Any]:
        self.seen.append(call)
        return {"number": sum(result["number"] for result in call.results.values()) + 1}

    @property
    def keys(self) -> list[str]:
        return [call.key for call in self.seen]


async def told(database: Database, execution_id: UUID) -> list[tuple[Any, ...]]:
    """The execution's events."""
    columns = (event_log.c.event_type, event_log.c.from_status, event_log.c.to_status, event_log.c.version)
    return [
        tuple(row)
        for row in await rows_of(
            database,
            select(*columns, event_log.c.detail)
            .where(event_log.c.entity_id == str(execution_id))
            .order_by(event_log.c.xid, event_log.c.id),
        )
    ]


def of_step(number: int, name: str) -> list[tuple[Any, ...]]:
    """The events of a step, as `told` has them."""
    place = {"phase": name, "attempt": 1, "step_number": number}
    outcome = {"next_phase": [*NAMES, ""][number]}
    return [
        ("step_started", "running", "running", number + 2, place),
        ("step_completed", None, None, None, {**place, "outcome": outcome}),
    ]


def story() -> list[tuple[Any, ...]]:
    """The events of five steps without a fault."""
    return [
        ("started", None, "pending", 1, {"workflow_name": "five-steps", "template_version": 1}),
        ("running", "pending", "running", 2, {}),
        *(event for n, name in enumerate(NAMES, 1) for event in of_step(n, name)),
        ("completed", "running", "completed", 8, {}),
    ]


async def test_five_functions_one_after_the_other(engine_database: Database, start_worker: StartWorker) -> None:
    database, calls = engine_database, Calls()
    await start_worker(functions={"note": calls.note})
    execution_id = await five_steps(database)
    assert await ended(database, execution_id) == "completed"
    assert calls.keys == [f"{execution_id}/{name}/1" for name in NAMES]
    assert [call.context for call in calls.seen] == [CONTEXT] * 5
    assert [dict(call.results) for call in calls.seen] == [
        {},
        *({name: {"number": n}} for n, name in enumerate(NAMES[:-1], 1)),
    ]
    steps = await steps_of(database, execution_id)
    assert [(step.step_number, step.phase, step.attempt, step.step_status) for step in steps] == [
        (n, name, 1, "completed") for n, name in enumerate(NAMES, 1)
    ]
    assert [step.outcome for step in steps] == [
        {"next_phase": following, "result": {"number": n}} for n, following in enumerate([*NAMES[1:], ""], 1)
    ]
    row = await execution_of(database, execution_id)
    assert (row.current_phase, row.lease_owner, row.lease_until, row.wake_seq) == ("five", None, None, row.handled_seq)
    assert row.started_at <= steps[0].started_at
    assert row.completed_at >= steps[-1].completed_at
    assert await told(database, execution_id) == story()


async def test_a_step_takes_one_statement_and_leaves_one_checkpoint_at_the_end(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database, calls = engine_database, Calls()
    execution_id = await five_steps(database)
    with patch.object(Database, "change", autospec=True, side_effect=Database.change) as changes:
        await start_worker(functions={"note": calls.note})
        assert await ended(database, execution_id) == "completed"
    assert changes.call_count == 6
    assert await stored(database) == [1, 0, 0]


async def test_functions_and_tasks_use_the_results_of_each_other(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database, calls = engine_database, Calls()
    await store_template(
        database,
        "mixed",
        function_phase("one", input={"limit": 7}),
        task_phase("two", uses=["one"]),
        function_phase("three", uses=["one", "two"]),
    )
    team = Team(database, AUDITORS, {"two": constant({"number": 10})})
    await team.register()
    await start_worker(functions={"note": calls.note})
    execution_id = await start(database, "mixed")
    await until(lambda: acted(team, execution_id))
    assert await path_of(database, execution_id) == [
        (number, name, 1, "completed") for number, name in enumerate(["one", "two", "three"], 1)
    ]
    assert team.seen[0].input["results"] == {"one": {"number": 1}}
    assert [(dict(call.input), dict(call.results)) for call in calls.seen] == [
        ({"limit": 7}, {}),
        ({}, {"one": {"number": 1}, "two": {"number": 10}}),
    ]


async def acted(team: Team, execution_id: UUID) -> bool:
    await team.work()
    return bool((await execution_of(team.database, execution_id)).execution_status == "completed")


def plain(call: Call) -> list[str]:
    """Called in a thread, since it may block."""
    return [call.phase, "token ghp_" + "a1B2" * 9]


async def test_a_plain_function_is_called_in_a_thread_and_secrets_are_not_kept(
    engine_database: Database, start_worker: StartWorker
) -> None:
    execution_id = await one_step(engine_database)
    await start_worker(functions={"note": plain})
    assert await ended(engine_database, execution_id) == "completed"
    (step,) = await steps_of(engine_database, execution_id)
    phase, secret = step.outcome["result"]
    assert phase == "one"
    assert secret.startswith("token [secret removed")


async def broken(_call: Call) -> None:
    raise OSError("the disk is full")


async def endless(_call: Call) -> None:
    await asyncio.Event().wait()


FAILURES: list[tuple[Mapping[str, Any], str]] = [
    ({}, "The function 'note' is not installed where this worker runs; install the package that brings it (entry point "
     "group orchestration_hub.functions), then retry."),
    ({"note": broken}, "The function 'note' raised OSError: the disk is full"),
    ({"note": endless}, "The function 'note' took over 0.2 s."),
    ({"note": constant("x" * RESULT_MAX)}, f"The function 'note' returned {RESULT_MAX + 2} bytes of JSON; at most "
     f"{RESULT_MAX} are kept in a step. Store it elsewhere and return where it is."),
    ({"note": constant({1, 2})}, "The function 'note' returned what is no JSON value: Type is not JSON "
     "serializable: set"),
]  # fmt: skip


@pytest.mark.parametrize(("functions", "reason"), FAILURES)
async def test_a_function_that_fails_fails_the_execution(
    engine_database: Database, start_worker: StartWorker, functions: Mapping[str, Any], reason: str
) -> None:
    database = engine_database
    execution_id = await one_step(database, timeout_seconds=0.2)
    await start_worker(functions=functions)
    assert await ended(database, execution_id) == "failed"
    assert await path_of(database, execution_id) == [(1, "one", 1, "failed")]
    (error,) = await errors_of(database, execution_id)
    assert (error.severity, error.message) == ("critical", reason)


async def test_a_retry_calls_the_function_under_another_key(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database, calls = engine_database, Calls()

    async def second_time_lucky(call: Call) -> dict[str, Any]:
        result = await calls.note(call)
        if call.attempt == 1:
            raise OSError("the disk is full")
        return result

    execution_id = await one_step(database)
    await start_worker(functions={"note": second_time_lucky})
    assert await ended(database, execution_id) == "failed"
    row = await execution_of(database, execution_id)
    await database.transact(lambda session: retry(session, ADMIN, RetryWorkflow(execution_id, row.version)))
    assert await ended(database, execution_id) == "completed"
    assert await path_of(database, execution_id) == [(1, "one", 1, "failed"), (2, "one", 2, "completed")]
    assert calls.keys == [f"{execution_id}/one/1", f"{execution_id}/one/2"]


class Held(Calls):
    """A function that goes on only when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.go_on = asyncio.Event(), asyncio.Event()

    async def note(self, call: Call) -> dict[str, Any]:
        self.called.set()
        await self.go_on.wait()
        return await super().note(call)


async def test_a_step_that_was_paused_is_done_again_under_its_key(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database, held = engine_database, Held()
    execution_id = await one_step(database)
    await start_worker(functions={"note": held.note})
    await held.called.wait()
    row = await execution_of(database, execution_id)
    command = PauseWorkflow(execution_id, row.version)
    paused = await database.transact(lambda session: pause_workflow(session, ADMIN, command))
    held.go_on.set()
    await until(lambda: has_been_called(held))
    assert await path_of(database, execution_id) == [(1, "one", 1, "running")]
    going_on = ResumeWorkflow(execution_id, paused.version)
    await database.transact(lambda session: resume_workflow(session, ADMIN, going_on))
    assert await ended(database, execution_id) == "completed"
    assert held.keys == [f"{execution_id}/one/1"] * 2
    assert await events_of(database, execution_id) == [
        *["started", "running", "step_started", "paused", "resumed", "step_completed", "completed"]
    ]


async def has_been_called(calls: Calls) -> bool:
    return bool(calls.seen)


async def test_a_gate_that_comes_into_being_during_the_last_step_holds_the_end(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database, held = engine_database, Held()
    execution_id = await one_step(database)
    await start_worker(functions={"note": held.note})
    await held.called.wait()
    wanted = CreateGate(execution_id, "Sign-off", GateType.FINAL_APPROVAL)
    gate = await database.transact(lambda session: create_gate(session, ADMIN, wanted))
    held.go_on.set()

    async def at_rest() -> bool:
        row = await execution_of(database, execution_id)
        return row.lease_owner is None and row.wake_seq == row.handled_seq

    await until(at_rest)
    assert await path_of(database, execution_id) == [(1, "one", 1, "completed")]
    assert (await execution_of(database, execution_id)).execution_status == "running"
    opened = await database.transact(lambda session: open_gate(session, ADMIN, OpenGate(gate.gate_id)))
    verdict = DecideGate(gate.gate_id, ApprovalStatus.APPROVED, opened.version, "I looked at it", 10)
    await database.transact(lambda session: decide_gate(session, ADMIN, verdict, SEALER))
    assert await ended(database, execution_id) == "completed"
    assert len(held.keys) == 1


async def test_a_worker_that_is_stopped_keeps_what_its_function_returned(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database, held, calls = engine_database, Held(), Calls()
    execution_id = await five_steps(database)
    first = await start_worker("a", functions={"note": held.note})
    await held.called.wait()
    stopping = asyncio.create_task(first.stop())
    await asyncio.sleep(0.05)
    held.go_on.set()
    await stopping
    assert await path_of(database, execution_id) == [(1, "one", 1, "completed")]
    await start_worker("b", functions={"note": calls.note})
    assert await ended(database, execution_id) == "completed"
    assert held.keys + calls.keys == [f"{execution_id}/{name}/1" for name in NAMES]


@pytest.mark.parametrize("visit", range(1, 7))
async def test_a_boundary_whose_answer_is_lost_is_not_written_twice(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, visit: int
) -> None:
    """The connection breaks between the commit and the answer: the worker cannot know, gives up and looks again."""
    database, calls, real, visits = engine_database, Calls(), Database.change, itertools.count(1)

    async def change(database: Database, sql: str, *given: Any) -> Any:
        row = await real(database, sql, *given)
        if next(visits) == visit:
            raise Unavailable("The database does not answer.")
        return row

    monkeypatch.setattr(Database, "change", change)
    monkeypatch.setattr(run, "AWAY_SECONDS", 0.01)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.02)
    execution_id = await five_steps(database)
    await start_worker(functions={"note": calls.note})
    assert await ended(database, execution_id) == "completed"
    assert await told(database, execution_id) == story()
    steps = await steps_of(database, execution_id)
    assert [step.outcome["result"] for step in steps] == [{"number": n} for n in range(1, 6)]
    assert calls.keys == [f"{execution_id}/{name}/1" for name in NAMES]
    assert await stored(database) == [1, 0, 0]


async def test_one_that_somebody_has_locked_waits_and_holds_up_no_other(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Boundaries pass over a locked row, since others may share their transaction; then one that waits takes over."""
    database, held = engine_database, Held()
    locked = await five_steps(database)
    others = [await start(database, "five-steps") for _ in range(5)]
    await start_worker(functions={"note": held.note})
    begun = [(1, "one", 1, "running")]
    await until(lambda: has_path(database, locked, begun))
    async with database.engine.begin() as session:
        chosen = select(workflow_executions.c.execution_id).where(workflow_executions.c.execution_id == locked)
        await session.execute(chosen.with_for_update())
        held.go_on.set()
        assert [await ended(database, execution_id) for execution_id in others] == ["completed"] * 5
        assert await path_of(database, locked) == begun
    assert await ended(database, locked) == "completed"
    for execution_id in (locked, *others):
        assert await told(database, execution_id) == story()
    assert sorted(held.keys) == sorted(
        f"{execution_id}/{name}/1" for execution_id in (locked, *others) for name in NAMES
    )


async def has_path(database: Database, execution_id: UUID, path: list[tuple[int, str, int, str]]) -> bool:
    return await path_of(database, execution_id) == path


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_at_one_visit_after_the_other(engine_database: Database, workers: Workers, moment: str) -> None:
    """Each step is recorded once, however often a worker dies; its function is called again only under its key."""
    database = engine_database
    execution_id = await five_steps(database)
    for visit in range(2, 8):
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(lambda: dead_or_done(database, pid, execution_id))  # noqa: B023
    workers.start("last")
    assert await ended(database, execution_id) == "completed"
    assert await path_of(database, execution_id) == [(n, name, 1, "completed") for n, name in enumerate(NAMES, 1)]
    assert [step.outcome["result"] for step in await steps_of(database, execution_id)] == [
        {"number": n} for n in range(1, 6)
    ]
    assert await events_of(database, execution_id) == [
        *["started", "running", *["step_started", "step_completed"] * 5, "completed"]
    ]
    called = [line.removeprefix("called ") for line in workers.log.read_text().splitlines() if "called " in line]
    assert list(dict.fromkeys(called)) == [f"{execution_id}/{name}/1" for name in NAMES]
    assert await errors_of(database, execution_id) == []


async def dead_or_done(database: Database, pid: int, execution_id: UUID) -> bool:
    return state_of(pid) is None or (await execution_of(database, execution_id)).execution_status == "completed"


@pytest.mark.parametrize(("visit", "moment"), [(2, "before"), (2, "after"), (4, "before"), (4, "after"), (7, "before")])
async def test_a_frozen_worker_that_wakes_up_too_late_adds_nothing(
    engine_database: Database, workers: Workers, visit: int, moment: str
) -> None:
    database = engine_database
    execution_id = await five_steps(database)
    first = workers.start("a", signal.SIGSTOP, visit, moment)
    await until(lambda: has_state(first, "stopped"))
    workers.start("b")
    assert await ended(database, execution_id) == "completed"
    before = await told(database, execution_id), await steps_of(database, execution_id)
    os.kill(first, signal.SIGCONT)
    await asyncio.sleep(0.5)
    assert (await told(database, execution_id), await steps_of(database, execution_id)) == before
    assert len(before[0]) == 13


@pytest.mark.parametrize(
    "wrong",
    [{"fence": 7}, {"begins": NextStep(3, "two")}, {"begins": NextStep(1, "one")}, {"starts": True}],
)
async def test_a_boundary_that_may_not_be_written_writes_nothing(
    engine_database: Database, start_worker: StartWorker, wrong: dict[str, Any]
) -> None:
    database, held = engine_database, Held()
    execution_id = await one_step(database)
    await start_worker(functions={"note": held.note})
    await held.called.wait()
    before = await told(database, execution_id), await steps_of(database, execution_id)
    row = await execution_of(database, execution_id)
    given = {"fence": row.fence, "begins": NextStep(2, "two"), "ended": EndedStep(1, {}, {}), **wrong}
    assert await cross(database, Boundary(execution_id, actor="test", **given)) is None
    assert (await told(database, execution_id), await steps_of(database, execution_id)) == before
    held.go_on.set()
    assert await ended(database, execution_id) == "completed"


def test_no_functions_are_installed_with_the_hub() -> None:
    assert installed_functions() == {}
