"""Pause, resume, fail and retry: nothing is done while paused, nothing twice afterwards, whoever works or dies."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psutil
import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import Row

from app.domain.agents import AgentRole
from app.domain.errors import IllegalTransition, StaleVersion
from app.domain.quality_gates import ApprovalStatus
from app.engine.phases import task as task_kind
from app.services.task_ends import RetryTask, retry_task
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
from db.session import Database
from db.tables.agents import agents
from tests.engine.conftest import StartWorker
from tests.engine.processes import Workers, everything, go_on, has_state, state_of
from tests.engine.team import (
    ADMIN,
    Answer,
    Fail,
    Member,
    Team,
    errors_of,
    events_of,
    execution_of,
    gates_of,
    human_verdict,
    path_of,
    play,
    rows_of,
    start,
    steps_of,
    store_template,
    task_phase,
    tasks_of,
    until,
)

DEV = Member("james-dev", AgentRole.DEVELOPER)
PM = Member("john-pm", AgentRole.PM)
GATE = {"name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate"}
THREE = [("one", 1), ("two", 1), ("three", 1)]


async def a_team(database: Database, *members: Member, **answers: Answer) -> Team:
    team = Team(database, members or (DEV,), {name.replace("_", "-"): answer for name, answer in answers.items()})
    await team.register()
    return team


async def pause(database: Database, execution_id: UUID) -> Row[Any]:
    return await steer(database, execution_id, pause_workflow, lambda version: PauseWorkflow(execution_id, version))


async def resume(database: Database, execution_id: UUID) -> Row[Any]:
    return await steer(database, execution_id, resume_workflow, lambda version: ResumeWorkflow(execution_id, version))


async def retry(database: Database, execution_id: UUID) -> Row[Any]:
    return await steer(
        database, execution_id, retry_workflow, lambda version: RetryWorkflow(execution_id, version, "mended")
    )


async def fail(database: Database, execution_id: UUID) -> Row[Any]:
    return await steer(
        database, execution_id, fail_workflow, lambda version: FailWorkflow(execution_id, version, "no budget")
    )


async def steer(
    database: Database, execution_id: UUID, service: Callable[..., Awaitable[Any]], command: Callable[[int], Any]
) -> Row[Any]:
    """Give a command, again with the new version when the engine was quicker."""
    while True:
        version = (await execution_of(database, execution_id)).version
        try:
            row: Row[Any] = await database.transact(lambda session: service(session, ADMIN, command(version)))  # noqa: B023
        except StaleVersion:
            continue
        return row


async def parked(database: Database, execution_id: UUID) -> bool:
    row = await execution_of(database, execution_id)
    return row.wake_seq == row.handled_seq and row.lease_owner is None


async def asked_for(database: Database, execution_id: UUID, phase: str) -> None:
    """Wait until the phase has a pending task and its worker has nothing to do."""

    async def waits() -> bool:
        tasks = await tasks_of(database, execution_id)
        pending = any(task.phase == phase and task.status == "pending" for task in tasks)
        return pending and await parked(database, execution_id)

    await until(waits)


async def three_phases(database: Database) -> UUID:
    """A started execution of the phases one, two and three."""
    await store_template(database, "plain", *(task_phase(name) for name, _ in THREE))
    return await start(database, "plain")


async def assert_done_once(database: Database, execution_id: UUID, meanwhile: tuple[str, ...] = ()) -> None:
    """All three phases were passed once, by tasks that were made and done once; events named in `meanwhile` aside."""
    assert (await execution_of(database, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (number, name, attempt, "completed") for number, (name, attempt) in enumerate(THREE, start=1)
    ]
    tasks = await tasks_of(database, execution_id)
    assert [task.task_name for task in tasks] == ["one", "two", "three"]
    for task in tasks:
        assert await events_of(database, task.task_id) == ["created", "claimed", "started", "completed"]
    events = [event for event in await events_of(database, execution_id) if event not in meanwhile]
    assert events == ["started", "running", *["step_started", "step_completed"] * 3, "completed"]
    assert await errors_of(database, execution_id) == []


async def test_what_is_done_while_paused_counts_after_the_resume(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    await start_worker()
    await asked_for(database, execution_id, "one")
    before = await pause(database, execution_id)
    assert await team.work() == 1
    woken = await execution_of(database, execution_id)
    assert (woken.execution_status, woken.wake_seq, woken.handled_seq) == ("paused", before.wake_seq + 1, 1)
    other = await start(database, "plain")
    assert (await play(team, other)).execution_status == "completed"
    assert (await execution_of(database, execution_id)) == woken
    assert await path_of(database, execution_id) == [(1, "one", 1, "running")]
    await resume(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    await assert_done_once(database, execution_id, ("paused", "resumed"))
    events = await events_of(database, execution_id)
    assert events[2:6] == ["step_started", "paused", "resumed", "step_completed"]


async def test_a_gate_decided_while_paused_counts_after_the_resume(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database)
    await store_template(database, "plain", task_phase("work"), {**GATE, "verdict_by": "human"})
    await start_worker()
    execution_id = await start(database, "plain")
    await play(team, execution_id, until_phase="gate")
    await until(lambda: parked(database, execution_id))
    await pause(database, execution_id)
    await human_verdict(database, execution_id, "gate", ApprovalStatus.APPROVED)
    assert (await execution_of(database, execution_id)).execution_status == "paused"
    await resume(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed"), (2, "gate", 1, "completed")]


async def test_a_task_that_fails_for_good_while_paused_can_be_put_back_before_the_resume(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    answers = iter([Fail("no disk")])
    team = await a_team(database, work=lambda _: next(answers, {"fine": True}))
    await store_template(database, "plain", task_phase("work", max_failures=1))
    await start_worker()
    execution_id = await start(database, "plain")
    await asked_for(database, execution_id, "work")
    await pause(database, execution_id)
    assert await team.work() == 1
    (task,) = await tasks_of(database, execution_id)
    command = RetryTask(task.task_id, task.version, "more disk")
    await database.transact(lambda session: retry_task(session, ADMIN, command))
    await resume(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed")]
    assert await errors_of(database, execution_id) == []


# the visits of a worker: 1 template, 2 the execution starts with its first phase, 3 that is judged, 4 the second begins
FREEZES = [
    *[(2, "after"), (3, "before"), (3, "fence"), (3, "after")],
    *[(4, "before"), (4, "fence"), (4, "after")],
]


@pytest.mark.parametrize(("visit", "moment"), FREEZES)
async def test_a_worker_frozen_through_pause_and_resume_doubles_nothing(
    engine_database: Database, workers: Workers, visit: int, moment: str
) -> None:
    """A sleeps through both with a lease that has not expired; B finishes; then A goes on with what it wanted to do."""
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    first = workers.start("a", signal.SIGSTOP, visit, moment, lease=60.0)
    await until(lambda: frozen(first, team))
    await pause(database, execution_id)
    await team.work()
    await resume(database, execution_id)
    second = workers.start("b")
    await play(team, execution_id)
    os.kill(second, signal.SIGTERM)
    await until(lambda: has_state(second, None))
    before = await everything(database)
    await go_on(first)
    assert await everything(database) == before
    await assert_done_once(database, execution_id, ("paused", "resumed"))


@pytest.mark.parametrize(("visit", "moment"), [(3, "fence"), (3, "after"), (4, "fence")])
async def test_a_worker_stops_by_itself_when_its_execution_was_paused(
    engine_database: Database, workers: Workers, visit: int, moment: str
) -> None:
    """Frozen at work, it wakes up after the pause and writes nothing; after the resume it goes on."""
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    worker = workers.start("a", signal.SIGSTOP, visit, moment, lease=60.0)
    await until(lambda: frozen(worker, team))
    paused = await pause(database, execution_id)
    before = await everything(database)
    os.kill(worker, signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert await everything(database) == before
    assert (paused.lease_owner, paused.lease_until) == (None, None)
    await resume(database, execution_id)
    await play(team, execution_id)
    await assert_done_once(database, execution_id, ("paused", "resumed"))


async def frozen(pid: int, team: Team) -> bool:
    """Whether the worker has stopped itself; the team answers until it does."""
    await team.work()
    return state_of(pid) == psutil.STATUS_STOPPED


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
async def test_killed_at_one_visit_after_the_other_with_a_pause_after_each_death(
    engine_database: Database, workers: Workers, moment: str
) -> None:
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    for visit in range(1, 15):
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(lambda: dead_or_ended(pid, team, execution_id))  # noqa: B023
        if state_of(pid) is not None:
            break
        await pause_and_resume(database, execution_id)
    else:
        workers.start("last")
    await play(team, execution_id)
    await assert_done_once(database, execution_id, ("paused", "resumed"))


async def dead_or_ended(pid: int, team: Team, execution_id: UUID) -> bool:
    await team.work()
    row = await execution_of(team.database, execution_id)
    return state_of(pid) is None or row.execution_status in ("completed", "failed")


async def pause_and_resume(database: Database, execution_id: UUID) -> None:
    """Both, unless the execution has not begun or has ended."""
    try:
        await pause(database, execution_id)
    except IllegalTransition:
        return
    await resume(database, execution_id)


async def test_two_workers_through_a_storm_of_pauses(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    chance = random.Random(3)  # noqa: S311
    team = await a_team(database)
    executions = [await three_phases(database)] + [await start(database, "plain") for _ in range(5)]
    await start_worker("first", concurrency=4)
    await start_worker("second", concurrency=4)
    for _ in range(40):
        await pause_and_resume(database, chance.choice(executions))
        await team.work()
    for execution_id in executions:
        await play(team, execution_id)
        await assert_done_once(database, execution_id, ("paused", "resumed"))


async def a_failure(database: Database, start_worker: StartWorker, *phases: dict[str, Any]) -> tuple[UUID, Team]:
    """A failed execution, whose first task `bad` fails for good, and the team, which then does it right."""
    answers = iter([Fail("no compiler")])
    team = await a_team(database, bad=lambda _: next(answers, {"fine": True}))
    await store_template(database, "plain", task_phase("before"), *phases, task_phase("after"))
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    return execution_id, team


async def test_a_retry_goes_on_with_the_failed_phase_and_repeats_no_completed_one(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    execution_id, team = await a_failure(database, start_worker, task_phase("bad", max_failures=1))
    failed = await execution_of(database, execution_id)
    retried = await retry(database, execution_id)
    assert (retried.execution_status, retried.completed_at) == ("running", None)
    assert (retried.fence, retried.started_at) == (failed.fence + 1, failed.started_at)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (1, "before", 1, "completed"),
        (2, "bad", 1, "failed"),
        (3, "bad", 2, "completed"),
        (4, "after", 1, "completed"),
    ]
    tasks = [(task.task_name, task.phase_attempt, task.status) for task in await tasks_of(database, execution_id)]
    assert tasks == [
        ("before", 1, "completed"),
        ("bad", 1, "cancelled"),
        ("bad", 2, "completed"),
        ("after", 1, "completed"),
    ]
    assert "revision" not in (await tasks_of(database, execution_id))[2].input
    assert await events_of(database, execution_id) == [
        *["started", "running", "step_started", "step_completed"],
        *["step_started", "step_failed", "error_logged", "failed", "retried"],
        *["step_started", "step_completed"] * 2,
        "completed",
    ]
    assert len(await errors_of(database, execution_id)) == 1


async def test_a_retry_gives_the_whole_phase_new_tasks(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    parallel = {
        "name": "both",
        "kind": "parallel",
        "tasks": [{"name": "bad", "title": "Bad", "max_failures": 1}, {"name": "good", "title": "Good", "role": "qa"}],
    }
    execution_id, team = await a_failure(database, start_worker, parallel)
    qa = Member("quentin-qa", AgentRole.QA)
    await retry(database, execution_id)
    helper = Team(database, (qa,))
    await helper.register()
    await until(lambda: both_work(helper, team, execution_id))
    tasks = [(t.task_name, t.phase_attempt, t.status) for t in await tasks_of(database, execution_id)]
    assert sorted(task for task in tasks if task[0] in ("bad", "good")) == [
        ("bad", 1, "cancelled"),
        ("bad", 2, "completed"),
        ("good", 1, "cancelled"),
        ("good", 2, "completed"),
    ]
    assert [row.status for row in await rows_of(database, select(agents))] == ["idle", "idle"]


async def both_work(one: Team, other: Team, execution_id: UUID) -> bool:
    await one.work()
    await other.work()
    return bool((await execution_of(one.database, execution_id)).execution_status == "completed")


async def test_a_retry_that_fails_again_can_be_retried_again(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    answers = iter([Fail("first"), Fail("second"), Fail("third"), {"fine": True}])
    team = await a_team(database, work=lambda _: next(answers))
    await store_template(database, "plain", task_phase("work", max_failures=1))
    await start_worker()
    execution_id = await start(database, "plain")
    for _ in range(3):
        assert (await play(team, execution_id)).execution_status == "failed"
        await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        *[(number, "work", number, "failed") for number in (1, 2, 3)],
        (4, "work", 4, "completed"),
    ]
    assert len(await errors_of(database, execution_id)) == 3


@pytest.mark.parametrize("checkpoint", ["as it is", "gone", "only its writes gone"])
@pytest.mark.parametrize("failed_by", ["the engine", "a person"])
async def test_rows_decide_where_a_retry_goes_on_whatever_the_checkpoints_say(
    engine_database: Database, start_worker: StartWorker, failed_by: str, checkpoint: str
) -> None:
    """The engine's failure brings the graph to its end, a person's leaves it standing at the node."""
    database = engine_database
    answers = iter([Fail("it broke")] if failed_by == "the engine" else [])
    team = await a_team(database, work=lambda _: next(answers, {"fine": True}))
    await store_template(database, "plain", task_phase("first"), task_phase("work", max_failures=1), task_phase("last"))
    worker = await start_worker()
    execution_id = await start(database, "plain")
    if failed_by == "a person":
        await asked_for(database, execution_id, "first")
        assert await team.work() == 1
        await asked_for(database, execution_id, "work")
        await fail(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "failed"
    await until(lambda: idle(worker))
    tables = {"as it is": [], "gone": ["checkpoints", "checkpoint_blobs", "checkpoint_writes"]}
    for table in tables.get(checkpoint, ["checkpoint_writes"]):
        delete = text(f"DELETE FROM langgraph.{table}")  # noqa: S608
        await database.transact(lambda session: session.execute(delete))  # noqa: B023
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (1, "first", 1, "completed"),
        (2, "work", 1, "failed"),
        (3, "work", 2, "completed"),
        (4, "last", 1, "completed"),
    ]
    assert len(await tasks_of(database, execution_id)) == 4
    assert len(await errors_of(database, execution_id)) == 1


async def idle(worker: Any) -> bool:
    return bool(worker.in_hand == 0)


async def test_an_execution_whose_checkpoints_are_lost_goes_on_from_its_rows(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    await start_worker()
    await asked_for(database, execution_id, "one")
    assert await team.work() == 1
    await asked_for(database, execution_id, "two")
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        delete = text(f"DELETE FROM langgraph.{table}")  # noqa: S608
        await database.transact(lambda session: session.execute(delete))  # noqa: B023
    await play(team, execution_id)
    await assert_done_once(database, execution_id)


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
async def test_killed_at_one_visit_after_the_other_of_a_retry(
    engine_database: Database, workers: Workers, moment: str
) -> None:
    """The last tasks are given out only when a worker has lived: each of the others dies one visit later."""
    database = engine_database
    answers = iter([Fail("it broke")])
    team = await a_team(database, two=lambda _: next(answers, {"fine": True}))
    phases = [task_phase("one"), task_phase("two", max_failures=1), task_phase("three")]
    await store_template(database, "plain", *phases)
    execution_id = await start(database, "plain")
    mortal = workers.start("first")
    assert (await play(team, execution_id)).execution_status == "failed"
    await workers.kill(mortal)
    await retry(database, execution_id)
    for visit in range(1, 15):
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(lambda: dead_or_ended(pid, team, execution_id))  # noqa: B023
        if state_of(pid) is not None:
            break
    else:
        workers.start("last")
    assert (await play(team, execution_id)).execution_status == "completed"
    await assert_retried_once(database, execution_id)


async def assert_retried_once(database: Database, execution_id: UUID) -> None:
    """The phase two was passed twice, by a retry; everything else once."""
    assert await path_of(database, execution_id) == [
        (1, "one", 1, "completed"),
        (2, "two", 1, "failed"),
        (3, "two", 2, "completed"),
        (4, "three", 1, "completed"),
    ]
    tasks = await tasks_of(database, execution_id)
    assert [(task.task_name, task.phase_attempt) for task in tasks] == [
        ("one", 1),
        ("two", 1),
        ("two", 2),
        ("three", 1),
    ]
    for task in (tasks[0], tasks[2], tasks[3]):
        assert await events_of(database, task.task_id) == ["created", "claimed", "started", "completed"]
    assert len(await errors_of(database, execution_id)) == 1
    assert await events_of(database, execution_id) == [
        *["started", "running", "step_started", "step_completed"],
        *["step_started", "step_failed", "error_logged", "failed", "retried"],
        *["step_started", "step_completed"] * 2,
        "completed",
    ]


@pytest.mark.parametrize(("visit", "moment"), [(3, "after"), (4, "fence"), (4, "after"), (5, "before")])
async def test_a_worker_frozen_through_failure_and_retry_doubles_nothing(
    engine_database: Database, workers: Workers, visit: int, moment: str
) -> None:
    """A person fails the execution and retries it while A sleeps; B finishes; then A goes on."""
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    first = workers.start("a", signal.SIGSTOP, visit, moment, lease=60.0)
    await until(lambda: frozen(first, team))
    await fail(database, execution_id)
    await retry(database, execution_id)
    second = workers.start("b")
    assert (await play(team, execution_id)).execution_status == "completed"
    os.kill(second, signal.SIGTERM)
    await until(lambda: has_state(second, None))
    before = await everything(database)
    await go_on(first)
    assert await everything(database) == before
    done = [(name, status) for _, name, _, status in await path_of(database, execution_id) if status == "completed"]
    assert done == [("one", "completed"), ("two", "completed"), ("three", "completed")]
    assert [e.severity for e in await errors_of(database, execution_id)] == ["error"]


async def test_a_person_fails_a_paused_execution_and_takes_it_up_again(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database)
    execution_id = await three_phases(database)
    await start_worker()
    await asked_for(database, execution_id, "one")
    await pause(database, execution_id)
    failed = await fail(database, execution_id)
    assert (failed.execution_status, failed.lease_owner) == ("failed", None)
    assert [task.status for task in await tasks_of(database, execution_id)] == ["cancelled"]
    (error,) = await errors_of(database, execution_id)
    assert (error.severity, error.phase, error.message) == (
        "error",
        "one",
        "ann ended the workflow as failed: no budget",
    )
    assert (await steps_of(database, execution_id))[0].outcome == {"reason": "no budget"}
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert (await path_of(database, execution_id))[:2] == [(1, "one", 1, "failed"), (2, "one", 2, "completed")]


async def test_after_a_rejection_a_retry_goes_back_to_the_work_with_the_gates_words(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    verdicts = iter([{"verdict": "rejected", "outcome": "not like this", "suggestions": "use a queue"}, {}])
    team = await a_team(database, DEV, PM, verdict=lambda _: next(verdicts))
    gate = {**GATE, "on_revision": "work"}
    await store_template(database, "plain", task_phase("plan"), task_phase("work"), gate, task_phase("after"))
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (1, "plan", 1, "completed"),
        (2, "work", 1, "completed"),
        (3, "gate", 1, "failed"),
        (4, "work", 2, "completed"),
        (5, "gate", 2, "completed"),
        (6, "after", 1, "completed"),
    ]
    gates = await gates_of(database, execution_id, "gate")
    assert [(gate.approval_status, gate.phase_attempt) for gate in gates] == [("rejected", 1), ("approved", 2)]
    works = [task for task in await tasks_of(database, execution_id) if task.task_name == "work"]
    assert "revision" not in works[0].input
    told = works[1].input["revision"]
    assert (told["verdict"], told["pm_decision"]) == ("rejected", "not like this")
    assert told["improvement_suggestions"] == "use a queue"


async def test_without_a_way_back_a_retry_opens_another_gate(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    verdicts = iter([{"verdict": "rejected", "outcome": "no"}, {}])
    team = await a_team(database, DEV, PM, verdict=lambda _: next(verdicts))
    await store_template(database, "plain", task_phase("work"), GATE)
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (1, "work", 1, "completed"),
        (2, "gate", 1, "failed"),
        (3, "gate", 2, "completed"),
    ]
    gates = await gates_of(database, execution_id, "gate")
    assert [(gate.approval_status, gate.phase_attempt) for gate in gates] == [("rejected", 1), ("approved", 2)]


async def test_after_too_many_revisions_a_retry_allows_one_more(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    again = {"verdict": "requires_revision", "outcome": "again"}
    verdicts = iter([again, again, {}])
    one_by_one: Answer = lambda _: next(verdicts)  # noqa: E731
    team = await a_team(database, DEV, PM, verdict=one_by_one, verdict_2=one_by_one, verdict_3=one_by_one)
    gate = {**GATE, "on_revision": "work", "max_revisions": 1}
    await store_template(database, "plain", task_phase("work"), gate)
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert [(phase, attempt) for _, phase, attempt, _ in await path_of(database, execution_id)] == [
        *[("work", 1), ("gate", 1), ("work", 2), ("gate", 2), ("work", 3), ("gate", 3)]
    ]
    (gate_row,) = await gates_of(database, execution_id, "gate")
    assert (gate_row.approval_status, gate_row.revision) == ("approved", 2)


async def test_a_review_that_failed_does_not_block_the_gate_after_the_retry(
    engine_database: Database, start_worker: StartWorker
) -> None:
    """Its task is cancelled with the retry: an outstanding review would stand in the way of the approval."""
    database = engine_database
    reviews = iter([Fail("ill"), Fail("ill"), Fail("ill"), {}])
    team = await a_team(database, DEV, PM, review_developer=lambda _: next(reviews), verdict=lambda _: {})
    gate = {**GATE, "reviewers": ["developer"]}
    await store_template(database, "plain", task_phase("work"), gate)
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    (left,) = await gates_of(database, execution_id, "gate")
    assert left.approval_status == "in_review"
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    (approved,) = await gates_of(database, execution_id, "gate")
    assert (approved.approval_status, approved.revision) == ("approved", 0)
    assert await events_of(database, approved.gate_id) == [
        *["created", "opened", "review_requested", "closed", "reopened", "opened", "review_requested", "reviewed"],
        "approved",
    ]


async def test_after_a_defect_the_count_begins_anew_with_the_retry(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = engine_database
    flaws = iter([True] * 6)
    real_judge = task_kind.judge

    async def flawed(*arguments: Any) -> Any:
        if next(flaws, False):
            raise ZeroDivisionError
        return await real_judge(*arguments)

    monkeypatch.setattr(task_kind, "judge", flawed)
    team = await a_team(database)
    await store_template(database, "plain", task_phase("work"))
    await start_worker(first_backoff=0.01)
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    severities = [error.severity for error in await errors_of(database, execution_id)]
    assert severities == ["error"] * 4 + ["critical", "error"]
    assert await path_of(database, execution_id) == [(1, "work", 1, "failed"), (2, "work", 2, "completed")]


async def test_an_execution_that_failed_between_two_phases_goes_on_with_the_next(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect before the second phase could begin fails no step; the count of defects begins anew all the same."""
    database = engine_database
    flaws = iter([False, *[True] * 6])
    real_enter = task_kind.enter

    async def flawed(*arguments: Any) -> Any:
        if next(flaws, False):
            raise ZeroDivisionError
        return await real_enter(*arguments)

    monkeypatch.setattr(task_kind, "enter", flawed)
    team = await a_team(database)
    await store_template(database, "plain", task_phase("one"), task_phase("two"))
    await start_worker(first_backoff=0.01)
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    assert await path_of(database, execution_id) == [(1, "one", 1, "completed")]
    await retry(database, execution_id)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [(1, "one", 1, "completed"), (2, "two", 1, "completed")]
