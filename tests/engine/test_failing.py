"""What goes wrong: tasks that fail, results that cannot be used, gates without a way back, defects."""

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.engine.phases import task as task_kind
from app.services.quality_gates import OpenGate, open_gate
from app.services.tasks import CreateTask, create_task
from app.services.workflows import CancelWorkflow, cancel_workflow
from db.queries.executions import wake
from db.session import Database
from db.tables.agents import agents
from db.tables.tasks import tasks
from db.tables.workflows import workflow_templates
from tests.engine.conftest import StartWorker
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


async def a_team(database: Database, *members: Member, **answers: Answer) -> Team:
    team = Team(database, members or (DEV,), {name.replace("_", "-"): answer for name, answer in answers.items()})
    await team.register()
    return team


async def test_a_failed_task_is_tried_again_and_the_phase_goes_on(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    answers = iter([Fail("first"), Fail("second"), {"fine": True}])
    team = await a_team(database, work=lambda _: next(answers))
    await store_template(database, "plain", task_phase("work"))
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "completed"
    task = (await tasks_of(database, execution_id))[0]
    assert (task.attempts, task.failures, task.result) == (3, 2, {"fine": True})
    assert await events_of(database, task.task_id) == [
        "created",
        *["claimed", "started", "failed", "retried"] * 2,
        *["claimed", "started", "completed"],
    ]
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed")]


async def test_a_task_that_fails_too_often_fails_the_execution_and_cancels_the_others(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database, bad=lambda _: Fail("no compiler"))
    parallel = {
        "name": "both",
        "kind": "parallel",
        "tasks": [
            {"name": "bad", "title": "Bad", "max_failures": 2, "role": "developer"},
            {"name": "good", "title": "Good", "role": "qa"},
        ],
    }
    await store_template(database, "plain", parallel, task_phase("after"))
    await start_worker()
    execution_id = await start(database, "plain")
    extra = CreateTask("An extra", execution_id=execution_id, required_role=AgentRole.QA)
    await database.transact(lambda session: create_task(session, ADMIN, extra))
    ended = await play(team, execution_id)
    reason = "The task 'Bad' failed 2 times, the last time with: no compiler"
    assert (ended.execution_status, ended.lease_owner) == ("failed", None)
    errors = await errors_of(database, execution_id)
    assert [(error.message, error.phase, error.severity) for error in errors] == [(reason, "both", "critical")]
    states = {task.title: task.status for task in await tasks_of(database, execution_id)}
    assert states == {"Bad": "failed", "Good": "cancelled", "An extra": "cancelled"}
    assert (await steps_of(database, execution_id))[-1].outcome == {"reason": reason}
    assert await path_of(database, execution_id) == [(1, "both", 1, "failed")]
    assert [row.status for row in await rows_of(database, select(agents))] == ["idle"]


async def test_a_cancelled_task_fails_the_phase(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    await store_template(database, "plain", task_phase("work"))
    await start_worker()
    execution_id = await start(database, "plain")
    await until(lambda: tasks_of(database, execution_id))

    async def cancel_it(session: AsyncConnection) -> None:
        await session.execute(update(tasks).values(status="cancelled"))
        await wake(session, execution_id)

    await database.transact(cancel_it)
    ended = await play(Team(database, ()), execution_id)
    assert ended.execution_status == "failed"
    assert [e.message for e in await errors_of(database, execution_id)] == ["The task 'Do work' was cancelled."]


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        ({"text": "I made three tasks"}, 'it must be a JSON list, or {"tasks": […]}, of at least one task'),
        ([], 'it must be a JSON list, or {"tasks": […]}, of at least one task'),
        ([{"name": "api", "title": "API"}, {"name": "UI", "title": ""}], "1.name: String should match pattern"),
        ([{"name": "api", "title": "API"}, {"name": "api", "title": "API"}], "1.name: two tasks are named 'api'"),
        ([{"name": "api", "title": "API", "uses": ["build"]}], "0.uses: 'build' is no earlier phase (earlier"),
        ([{"name": "api", "title": "API", "rol": "qa"}], "0.rol: unknown key (did you mean role?)"),
    ],
)  # fmt: skip
async def test_a_result_that_lists_no_tasks_fails_the_phase_and_says_where(
    engine_database: Database, start_worker: StartWorker, result: Any, fault: str
) -> None:
    database = engine_database
    team = await a_team(database, split=lambda _: result)
    await store_template(
        database, "plain", task_phase("split"), {"name": "build", "kind": "parallel", "tasks_from": "split"}
    )
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    message = (await errors_of(database, execution_id))[0].message
    assert message.startswith(
        "The result of the phase 'split', from which 'build' takes its tasks, is no list of tasks: "
    )
    assert fault in message
    assert len(await tasks_of(database, execution_id)) == 1
    assert await path_of(database, execution_id) == [(1, "split", 1, "completed"), (2, "build", 1, "failed")]


async def test_without_a_way_back_a_gate_waits_until_somebody_reopens_it(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    verdicts = iter([{"verdict": "requires_revision", "outcome": "add a test"}, {}])
    team = await a_team(database, DEV, PM, verdict=lambda _: next(verdicts), verdict_2=lambda _: next(verdicts))
    gate = {"name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate"}
    await store_template(database, "plain", task_phase("work"), gate)
    await start_worker()
    execution_id = await start(database, "plain")

    async def sent_back() -> Any:
        await team.work()
        gates = await gates_of(database, execution_id, "gate")
        return gates[0] if gates and gates[0].approval_status == "requires_revision" else None

    row = await until(sent_back)
    await until(lambda: parked(database, execution_id))
    assert (await execution_of(database, execution_id)).execution_status == "running"
    await database.transact(lambda session: open_gate(session, ADMIN, OpenGate(row.gate_id, row.version)))
    assert (await play(team, execution_id)).execution_status == "completed"
    assert [task.task_name for task in await tasks_of(database, execution_id)] == ["work", "verdict", "verdict-2"]
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed"), (2, "gate", 1, "completed")]


async def parked(database: Database, execution_id: Any) -> bool:
    row = await execution_of(database, execution_id)
    return row.wake_seq == row.handled_seq and row.lease_owner is None


async def test_a_review_that_asks_for_revision_is_told_to_the_pm(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    advice = {"verdict": "request_revision", "feedback": "too long"}
    team = await a_team(database, DEV, PM, review_developer=lambda _: advice, verdict=lambda _: {})
    gate = {
        "name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate",
        "reviewers": ["developer"], "uses": ["work"],
    }  # fmt: skip
    await store_template(database, "plain", task_phase("work"), gate)
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "completed"
    verdict = (await tasks_of(database, execution_id))[-1]
    assert verdict.input["gate"]["reviews"] == [
        {"reviewer": "james-dev", "verdict": "request_revision", "score": 8.0, "feedback": "too long"}
    ]
    assert verdict.input["results"] == {"work": {"done": "work"}}


async def test_a_cancelled_execution_stops_and_stays_cancelled(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "plain", task_phase("work"))
    await start_worker()
    execution_id = await start(database, "plain")
    await until(lambda: tasks_of(database, execution_id))
    await until(lambda: parked(database, execution_id))
    row = await execution_of(database, execution_id)
    command = CancelWorkflow(execution_id, row.version, "not needed")
    await database.transact(lambda session: cancel_workflow(session, ADMIN, command))
    assert await (await a_team(database)).work() == 0
    ended = await execution_of(database, execution_id)
    assert (ended.execution_status, ended.lease_owner, ended.fence) == ("cancelled", None, row.fence + 1)
    assert [task.status for task in await tasks_of(database, execution_id)] == ["cancelled"]
    assert (await events_of(database, execution_id))[-1] == "cancelled"


async def test_an_unexpected_error_is_logged_tried_again_and_then_survived(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = engine_database
    failures = iter([True, True, False])
    real_enter = task_kind.enter

    async def flawed(*arguments: Any) -> Any:
        if next(failures, False):
            raise ZeroDivisionError("a defect of ours with a secret in it")
        return await real_enter(*arguments)

    monkeypatch.setattr(task_kind, "enter", flawed)
    team = await a_team(database)
    await store_template(database, "plain", task_phase("work"))
    await start_worker(first_backoff=0.01)
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "completed"
    errors = await errors_of(database, execution_id)
    assert [(error.severity, error.detail["defect_at_step"]) for error in errors] == [("error", 0), ("error", 0)]
    for error in errors:
        correlation_id = error.detail["correlation_id"]
        assert error.message == (
            "Unexpected ZeroDivisionError in the engine. The hub's log has more under the correlation id "
            f"{correlation_id}."
        )
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed")]
    assert (await events_of(database, execution_id)).count("error_logged") == 2


async def test_a_lasting_defect_fails_the_execution_after_five_tries(
    engine_database: Database, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = engine_database

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(task_kind, "judge", broken)
    team = await a_team(database)
    await store_template(database, "plain", task_phase("work"))
    await start_worker(first_backoff=0.01)
    execution_id = await start(database, "plain")
    ended = await play(team, execution_id)
    assert (ended.execution_status, ended.lease_owner) == ("failed", None)
    severities = [error.severity for error in await errors_of(database, execution_id)]
    assert severities == ["error"] * 4 + ["critical"]
    assert await path_of(database, execution_id) == [(1, "work", 1, "failed")]


async def test_a_template_that_cannot_be_read_fails_the_execution(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "plain", task_phase("work"))
    broken = update(workflow_templates).where(workflow_templates.c.template_name == "plain").values(spec={"name": 1})
    await database.transact(lambda session: session.execute(broken))
    await start_worker(first_backoff=0.01)
    execution_id = await start(database, "plain")
    ended = await play(Team(database, ()), execution_id)
    assert ended.execution_status == "failed"
    errors = await errors_of(database, execution_id)
    assert errors[-1].message.startswith("plain of version 1 is not a workflow template: name: Input should be a valid")
    assert await path_of(database, execution_id) == []
    assert await events_of(database, execution_id) == [
        "started",
        *["error_logged"] * 4,
        "running",
        "error_logged",
        "failed",
    ]


async def test_tasks_of_a_phase_come_after_those_that_they_depend_on(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    order: list[str] = []

    def work(task: Any) -> dict[str, Any]:
        order.append(task.task_name)
        return {}

    team = await a_team(database, first=work, second=work, third=work)
    listed = [
        {"name": "third", "title": "Third", "depends_on": ["second", "first"], "priority": 1},
        {"name": "second", "title": "Second", "depends_on": ["first"], "timeout_seconds": 60},
        {"name": "first", "title": "First", "priority": 9},
    ]
    await store_template(database, "plain", {"name": "all", "kind": "parallel", "tasks": listed})
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "completed"
    assert order == ["first", "second", "third"]
    made = {task.task_name: task for task in await tasks_of(database, execution_id)}
    assert made["third"].depends_on == [made["second"].task_id, made["first"].task_id]
    assert [(made[name].priority, made[name].timeout_seconds) for name in order] == [(9, None), (5, 60), (1, None)]
