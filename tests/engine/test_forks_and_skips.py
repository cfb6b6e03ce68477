"""Forks from any step, skipped phases, and parallel phases that are retried: what is done once is not done again."""

import signal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import Row

from app.domain.agents import AgentRole
from app.domain.errors import Blocked, Forbidden, IllegalTransition, InvalidInput, StaleVersion
from app.domain.principals import Principal, Role
from app.domain.quality_gates import ApprovalStatus
from app.domain.workflows import ExecutionStatus
from app.services.workflow_forks import ForkWorkflow, fork_workflow
from app.services.workflow_skips import SkipPhase, skip_phase
from app.services.workflows import (
    FailWorkflow,
    PauseWorkflow,
    ResumeWorkflow,
    RetryWorkflow,
    fail_workflow,
    pause_workflow,
    resume_workflow,
    retry_workflow,
)
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.processes import Workers, state_of
from tests.engine.team import (
    ADMIN,
    Answer,
    Fail,
    Member,
    Team,
    events_of,
    execution_of,
    gates_of,
    human_verdict,
    path_of,
    play,
    start,
    steps_of,
    store_template,
    task_phase,
    tasks_of,
    until,
)

DEV = Member("james-dev", AgentRole.DEVELOPER)
PM = Member("john-pm", AgentRole.PM)
LEAD = Principal("john-pm", Role.PM)
GATE = {"name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate", "verdict_by": "human"}


async def a_team(database: Database, *members: Member, **answers: Answer) -> Team:
    team = Team(database, members or (DEV,), {name.replace("_", "-"): answer for name, answer in answers.items()})
    await team.register()
    return team


async def fork(database: Database, execution_id: UUID, step: int, context: dict[str, Any] | None = None) -> UUID:
    command = ForkWorkflow(execution_id, step, context, "another try")
    row = await database.transact(lambda session: fork_workflow(session, ADMIN, command))
    forked: UUID = row.execution_id
    return forked


async def skip(database: Database, execution_id: UUID, who: Principal = ADMIN) -> Row[Any]:
    while True:
        version = (await execution_of(database, execution_id)).version
        command = SkipPhase(execution_id, version, "not needed")
        try:
            row: Row[Any] = await database.transact(lambda session: skip_phase(session, who, command))  # noqa: B023
        except StaleVersion:
            continue
        return row


async def waits_in(database: Database, execution_id: UUID, phase: str) -> None:
    async def waits() -> bool:
        row = await execution_of(database, execution_id)
        return bool(row.current_phase == phase and row.lease_owner is None and row.wake_seq == row.handled_seq)

    await until(waits)


async def test_a_fork_begins_with_its_step_and_is_given_what_came_before(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Tasks, a decision, a gate, in a fork and in a fork of that; the originals are not touched."""
    decide = {"name": "decide", "kind": "decision", "question": "What now?"}
    last = task_phase("three", uses=["one", "decide", "gate", "two"])
    await store_template(engine_database, "plain", task_phase("one"), decide, GATE, task_phase("two"), last)
    team = await a_team(engine_database, DEV, PM)
    await start_worker()
    first = await start(engine_database, "plain", {"page": 1})
    await play(team, first, until_phase="gate")
    await human_verdict(engine_database, first, "gate", ApprovalStatus.APPROVED)
    assert (await play(team, first)).execution_status == "completed"
    before = [await execution_of(engine_database, first), await steps_of(engine_database, first)]

    second = await fork(engine_database, first, 4, {"page": 2})
    assert (await play(team, second)).execution_status == "completed"
    third = await fork(engine_database, second, 5)
    assert (await play(team, third)).execution_status == "completed"

    assert [await execution_of(engine_database, first), await steps_of(engine_database, first)] == before
    path = [(number, name, 1, "completed") for number, name in enumerate(["one", "decide", "gate", "two", "three"], 1)]
    assert await path_of(engine_database, second) == await path_of(engine_database, third) == path
    assert [step.source_execution_id for step in await steps_of(engine_database, second)] == [first] * 3 + [None] * 2
    sources = [step.source_execution_id for step in await steps_of(engine_database, third)]
    assert sources == [first] * 3 + [second] + [None]
    assert [task.task_name for task in await tasks_of(engine_database, second)] == ["two", "three"]
    assert [task.task_name for task in await tasks_of(engine_database, third)] == ["three"]
    assert await gates_of(engine_database, second, "gate") == []
    given = [(await tasks_of(engine_database, each))[-1].input for each in (first, second, third)]
    assert given[0]["results"] == given[1]["results"] == given[2]["results"]
    assert set(given[2]["results"]) == {"one", "decide", "gate", "two"}
    assert given[2]["results"]["gate"]["approval_status"] == "approved"
    assert [each["context"] for each in given] == [{"page": 1}, {"page": 2}, {"page": 2}]
    decisions = {(await tasks_of(engine_database, each))[-1].decision_id for each in (first, second, third)}
    assert len(decisions) == 1
    assert None not in decisions
    assert (await execution_of(engine_database, third)).forked_from_id == second
    assert await events_of(engine_database, third) == [
        "started",
        "running",
        "step_started",
        "step_completed",
        "completed",
    ]


async def test_a_fork_from_the_first_step_and_from_the_middle_of_a_retry(
    engine_database: Database, start_worker: StartWorker
) -> None:
    await store_template(engine_database, "plain", task_phase("one"), task_phase("two", max_failures=1))
    answers = [Fail(), Fail(), {"fine": True}]
    team = await a_team(engine_database, two=lambda _task: answers.pop(0) if answers else {})
    await start_worker()
    failed = await start(engine_database, "plain")
    assert (await play(team, failed)).execution_status == "failed"
    version = (await execution_of(engine_database, failed)).version
    await engine_database.transact(lambda s: retry_workflow(s, ADMIN, RetryWorkflow(failed, version)))
    assert (await play(team, failed)).execution_status == "failed"
    # the path is one, two (failed), two (failed): of that the second attempt is made again, or all of it
    again, anew = await fork(engine_database, failed, 3), await fork(engine_database, failed, 1)
    for each in (again, anew):
        assert (await play(team, each)).execution_status == "completed"
    assert await path_of(engine_database, again) == [
        (1, "one", 1, "completed"),
        (2, "two", 1, "failed"),
        (3, "two", 2, "completed"),
    ]
    assert await path_of(engine_database, anew) == [(1, "one", 1, "completed"), (2, "two", 1, "completed")]


@pytest.mark.parametrize("moment", ["before", "inside"])
async def test_a_fork_survives_the_death_of_its_workers(
    engine_database: Database, workers: Workers, moment: str
) -> None:
    """Each worker is killed a visit later than the one before; the copied steps are never done again."""
    database = engine_database
    await store_template(database, "plain", task_phase("one"), task_phase("two"), task_phase("three"))
    team = await a_team(database)
    living = workers.start("first")
    execution_id = await start(database, "plain")
    await play(team, execution_id)
    await workers.kill(living)
    forked = await fork(database, execution_id, 2)

    async def dead_or_ended() -> bool:
        await team.work()
        return state_of(pid) is None or (await execution_of(database, forked)).execution_status == "completed"

    for visit in range(1, 4):
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(dead_or_ended)
    workers.start("last")
    assert (await play(team, forked)).execution_status == "completed"
    assert [task.task_name for task in await tasks_of(database, forked)] == ["two", "three"]
    assert await path_of(database, forked) == [
        (number, name, 1, "completed") for number, name in enumerate(["one", "two", "three"], 1)
    ]


async def test_steps_that_cannot_be_forked(engine_database: Database) -> None:
    await store_template(engine_database, "plain", task_phase("one"))
    execution_id = await start(engine_database, "plain")
    for step in (0, -1, 1, 2**31, 2**63):
        with pytest.raises(InvalidInput, match="it has none yet") as refused:
            await fork(engine_database, execution_id, step)
        assert refused.value.field == "input.step"


async def test_a_phase_under_way_is_skipped_and_later_ones_are_told(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Running, then paused, then the last one; its task is cancelled, its result is null, and why is told."""
    phases = [
        task_phase("one"),
        task_phase("two", uses=["one"]),
        task_phase("three", uses=["one", "two"]),
        task_phase("four"),
    ]
    await store_template(engine_database, "plain", *phases)
    team = await a_team(engine_database)
    await start_worker()
    execution_id = await start(engine_database, "plain")
    await waits_in(engine_database, execution_id, "one")
    await skip(engine_database, execution_id)
    await waits_in(engine_database, execution_id, "two")
    version = (await execution_of(engine_database, execution_id)).version
    await engine_database.transact(lambda s: pause_workflow(s, ADMIN, PauseWorkflow(execution_id, version)))
    assert (await skip(engine_database, execution_id, LEAD)).execution_status == "paused"
    version = (await execution_of(engine_database, execution_id)).version
    await engine_database.transact(lambda s: resume_workflow(s, ADMIN, ResumeWorkflow(execution_id, version)))
    await waits_in(engine_database, execution_id, "three")
    await team.work()
    await waits_in(engine_database, execution_id, "four")
    await skip(engine_database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(engine_database, execution_id) == [
        (1, "one", 1, "skipped"),
        (2, "two", 1, "skipped"),
        (3, "three", 1, "completed"),
        (4, "four", 1, "skipped"),
    ]
    tasks = await tasks_of(engine_database, execution_id)
    assert [(task.task_name, task.status) for task in tasks] == [
        ("one", "cancelled"),
        ("two", "cancelled"),
        ("three", "completed"),
        ("four", "cancelled"),
    ]
    assert tasks[2].input["results"] == {"one": None, "two": None}
    assert tasks[2].input["skipped"] == {"one": "not needed", "two": "not needed"}
    assert tasks[1].input["skipped"] == {"one": "not needed"}
    assert "skipped" not in tasks[3].input
    forked = await fork(engine_database, execution_id, 3)
    assert (await play(team, forked)).execution_status == "completed"
    assert (await tasks_of(engine_database, forked))[0].input == tasks[2].input


async def test_the_failed_phase_is_skipped_and_the_execution_runs_on(
    engine_database: Database, start_worker: StartWorker
) -> None:
    await store_template(engine_database, "plain", task_phase("one", max_failures=1), task_phase("two", uses=["one"]))
    team = await a_team(engine_database, one=lambda _task: Fail())
    await start_worker()
    execution_id = await start(engine_database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    row = await skip(engine_database, execution_id)
    assert (row.execution_status, row.completed_at) == ("running", None)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(engine_database, execution_id) == [(1, "one", 1, "skipped"), (2, "two", 1, "completed")]
    step = (await steps_of(engine_database, execution_id))[0]
    assert step.outcome["skipped"] == {"by": "ann", "reason": "not needed"}
    assert step.outcome["reason"].startswith("The task 'Do one' failed once")
    with pytest.raises(IllegalTransition):
        await skip(engine_database, execution_id)


async def test_a_gate_is_skipped_by_admin_only(engine_database: Database, start_worker: StartWorker) -> None:
    await store_template(engine_database, "plain", GATE, task_phase("one", uses=["gate"]))
    team = await a_team(engine_database)
    await start_worker()
    execution_id = await start(engine_database, "plain")
    await waits_in(engine_database, execution_id, "gate")
    before = await execution_of(engine_database, execution_id)
    with pytest.raises(Forbidden, match="only ADMIN"):
        await skip(engine_database, execution_id, LEAD)
    assert await execution_of(engine_database, execution_id) == before
    await skip(engine_database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert (await tasks_of(engine_database, execution_id))[0].input["results"] == {"gate": None}


async def test_nothing_is_skipped_between_phases(engine_database: Database) -> None:
    await store_template(engine_database, "plain", task_phase("one"))
    execution_id = await start(engine_database, "plain")
    with pytest.raises(IllegalTransition):
        await skip(engine_database, execution_id)
    # what a worker does before the first step
    await engine_database.transact(
        lambda s: transition(s, EXECUTION, execution_id, ExecutionStatus.RUNNING, "running", "test")
    )
    with pytest.raises(Blocked):
        await skip(engine_database, execution_id)


FAN = {
    "name": "fan",
    "kind": "parallel",
    "tasks": [{"name": name, "title": f"Do {name}", "max_failures": 1} for name in ("red", "blue", "green")],
}


async def test_a_retried_parallel_phase_repeats_only_what_was_not_completed(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Twice over: each completed task is one row, done once, that counts in the pass which it belongs to now."""
    answers: dict[str, list[Any]] = {"green": [Fail(), Fail()]}

    def answer(task: Row[Any]) -> Any:
        left = answers.get(task.task_name)
        return left.pop(0) if left else {"colour": task.task_name}

    await store_template(engine_database, "plain", FAN, task_phase("last", uses=["fan"]))
    team = Team(engine_database, (DEV,), default=answer)
    await team.register()
    await start_worker()
    execution_id = await start(engine_database, "plain")
    for _ in range(3):
        row = await play(team, execution_id)
        if row.execution_status == "completed":
            break
        await engine_database.transact(
            lambda session: retry_workflow(session, ADMIN, RetryWorkflow(execution_id, row.version))  # noqa: B023
        )
    assert row.execution_status == "completed"
    tasks = await tasks_of(engine_database, execution_id)
    counted = [(task.task_name, task.phase_attempt, task.status, task.attempts) for task in tasks]
    assert counted == [
        ("red", 3, "completed", 1),
        ("blue", 3, "completed", 1),
        ("green", 1, "cancelled", 1),
        ("green", 2, "cancelled", 1),
        ("green", 3, "completed", 1),
        ("last", 1, "completed", 1),
    ]
    assert tasks[-1].input["results"] == {"fan": {name: {"colour": name} for name in ("red", "green", "blue")}}
    told = ["created", "claimed", "started", "completed", "taken_over", "taken_over"]
    assert await events_of(engine_database, tasks[0].task_id) == told


async def test_a_parallel_phase_whose_tasks_were_all_done_when_it_was_failed(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Nothing is left to do then, and nothing is asked for."""
    await store_template(engine_database, "plain", FAN)
    team = await a_team(engine_database)
    worker = await start_worker()
    execution_id = await start(engine_database, "plain")
    await waits_in(engine_database, execution_id, "fan")
    await worker.stop()
    assert await team.work() == 3
    version = (await execution_of(engine_database, execution_id)).version
    await engine_database.transact(lambda s: fail_workflow(s, ADMIN, FailWorkflow(execution_id, version, "no budget")))
    await engine_database.transact(lambda s: retry_workflow(s, ADMIN, RetryWorkflow(execution_id, version + 1)))
    await start_worker("another")
    assert (await play(team, execution_id)).execution_status == "completed"
    assert len(await tasks_of(engine_database, execution_id)) == 3
    assert await path_of(engine_database, execution_id) == [(1, "fan", 1, "failed"), (2, "fan", 2, "completed")]
