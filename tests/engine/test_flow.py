"""Phases that steer: branches, loops, waits, time-outs, retries and caught failures."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from app.domain.quality_gates import ApprovalStatus
from db.queries.executions import wake
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    BUILDERS,
    Fail,
    Team,
    constant,
    errors_of,
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

Phase = dict[str, Any]


def branch(name: str, *cases: tuple[str, str], **given: Any) -> Phase:
    return {"name": name, "kind": "branch", "cases": [{"when": when, "next": way} for when, way in cases], **given}


def loop(name: str, back_to: str, **given: Any) -> Phase:
    return {"name": name, "kind": "loop", "back_to": back_to, "max_rounds": 3, **given}


def wait(name: str, **given: Any) -> Phase:
    return {"name": name, "kind": "wait", **given}


def function_phase(name: str, **given: Any) -> Phase:
    return {"name": name, "kind": "function", "function": "note", **given}


async def built(database: Database, **answers: Any) -> Team:
    team = Team(database, BUILDERS, answers)
    await team.register()
    return team


async def over(database: Database, execution_id: UUID) -> Any:
    row = await execution_of(database, execution_id)
    return row if row.execution_status in ("completed", "failed", "cancelled") else None


async def ended(database: Database, execution_id: UUID) -> str:
    row = await until(lambda: over(database, execution_id))
    status: str = row.execution_status
    return status


async def names_of(database: Database, execution_id: UUID) -> list[str]:
    return [phase for _, phase, _, _ in await path_of(database, execution_id)]


@pytest.mark.parametrize(
    ("context", "path", "case"),
    [
        ({"kind": "bug", "size": 3}, ["triage", "fix"], 0),
        ({"kind": "feature", "size": 9}, ["triage", "design", "fix"], 1),
        ({"kind": "feature", "size": 2}, ["triage", "small", "fix"], None),
        ({"kind": "spam", "size": 0}, ["triage"], 2),
    ],
)
async def test_a_branch_goes_on_with_the_first_case_that_holds(
    engine_database: Database, start_worker: StartWorker, context: dict[str, Any], path: list[str], case: int | None
) -> None:
    database = engine_database
    cases = [('context.kind == "bug"', "fix"), ("context.size > 5", "design"), ('context.kind == "spam"', "end")]
    await store_template(
        database,
        "triage",
        branch("triage", *cases, otherwise="small"),
        task_phase("design", uses=[]) | {"next": "fix"},
        task_phase("small"),
        task_phase("fix"),
    )
    team = await built(database)
    await start_worker()
    execution_id = await start(database, "triage", context)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await names_of(database, execution_id) == path
    assert (await steps_of(database, execution_id))[0].outcome["case"] == case


async def test_a_branch_sees_results_and_a_wrong_one_fails_its_phase(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(
        database,
        "tested",
        task_phase("unit-test"),
        branch("judge", ('results["unit-test"].failed == 0', "end")),
        task_phase("mend"),
    )
    team = await built(database, **{"unit-test": constant({"failed": 0})})
    await start_worker()
    first = await start(database, "tested")
    assert (await play(team, first)).execution_status == "completed"
    assert await names_of(database, first) == ["unit-test", "judge"]
    team.answers = {"unit-test": constant({"failures": 0})}
    second = await start(database, "tested")
    assert (await play(team, second)).execution_status == "failed"
    assert [error.message for error in await errors_of(database, second)] == [
        'The expression \'results["unit-test"].failed == 0\' cannot be evaluated: Key not found in map : "failed"'
    ]


async def test_a_loop_repeats_until_its_condition_holds(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    phases = [task_phase("draft"), loop("enough", "draft", until="results.draft.score >= 8"), task_phase("publish")]
    await store_template(database, "drafts", *phases)
    scores = iter([3, 5, 9])
    team = await built(database, draft=lambda _task: {"score": next(scores)})
    await start_worker()
    execution_id = await start(database, "drafts")
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await names_of(database, execution_id) == [*["draft", "enough"] * 3, "publish"]
    rounds = [step.outcome for step in await steps_of(database, execution_id) if step.phase == "enough"]
    back = {"next_phase": "draft"}
    assert rounds == [{"round": 1, **back}, {"round": 2, **back}, {"round": 0, "rounds": 3, "next_phase": "publish"}]


async def test_a_loop_that_asks_for_too_many_rounds_fails(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    inner = loop("again", "draft", **{"while": "attempt > 0"})
    await store_template(database, "endless", task_phase("draft"), inner | {"max_rounds": 2})
    team = await built(database)
    await start_worker()
    execution_id = await start(database, "endless")
    assert (await play(team, execution_id)).execution_status == "failed"
    assert await names_of(database, execution_id) == ["draft", "again"] * 2
    (error,) = await errors_of(database, execution_id)
    assert error.message == "The loop 'again' asks for another round, after 2 of at most 2."


async def test_loops_within_loops_count_their_own_rounds(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    called = iter(range(1, 100))
    await store_template(
        database,
        "nested",
        function_phase("work"),
        loop("inner", "work", until="results.work.number % 3 == 0"),
        loop("outer", "work", until="results.work.number >= 9"),
    )

    async def note(_call: Any) -> dict[str, int]:
        return {"number": next(called)}

    await start_worker(functions={"note": note})
    execution_id = await start(database, "nested")
    assert await ended(database, execution_id) == "completed"
    assert await names_of(database, execution_id) == [*(["work", "inner"] * 3 + ["outer"]) * 3]


async def test_a_timer_wakes_the_execution_when_its_time_has_come(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "naps", wait("nap", seconds=0.3), wait("till", until="timestamp(context.at)"))
    await start_worker()
    execution_id = await start(database, "naps", {"at": "2020-01-01T00:00:00Z"})
    assert await ended(database, execution_id) == "completed"
    first, second = await steps_of(database, execution_id)
    assert (first.completed_at - first.started_at).total_seconds() >= 0.3
    assert (first.outcome, second.outcome) == ({"next_phase": "till"}, {"next_phase": ""})
    assert await errors_of(database, execution_id) == []


@pytest.mark.parametrize(("way", "path"), [({}, ["hold"]), ({"on_timeout": "late"}, ["hold", "late"])])
async def test_a_signal_that_does_not_come_in_time(
    engine_database: Database, start_worker: StartWorker, way: dict[str, str], path: list[str]
) -> None:
    database = engine_database
    await store_template(
        database,
        "held",
        wait("hold", signal="go", timeout_seconds=0.2, **way),
        function_phase("early", next="end"),
        function_phase("late"),
    )
    await start_worker(functions={"note": lambda _call: {}})
    execution_id = await start(database, "held")
    assert await ended(database, execution_id) == ("completed" if way else "failed")
    assert await names_of(database, execution_id) == path
    assert (await steps_of(database, execution_id))[0].outcome["timed_out"] is True
    told = [error.message for error in await errors_of(database, execution_id)]
    assert told == ([] if way else ["The phase 'hold' took over 0.2 s."])


async def test_a_phase_that_takes_too_long_is_tried_again_and_then_caught(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    slow = task_phase("slow", role="qa") | {
        "timeout_seconds": 0.2,
        "retry": {"max_attempts": 2, "backoff_seconds": 0.1},
        "on_failure": "instead",
    }
    await store_template(database, "slowly", slow, task_phase("unused"), task_phase("instead", uses=["slow"]))
    team = await built(database)
    team.members = BUILDERS[:1]  # nobody of the role qa works
    await start_worker()
    execution_id = await start(database, "slowly")
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [
        (1, "slow", 1, "failed"),
        (2, "slow", 2, "failed"),
        (3, "instead", 1, "completed"),
    ]
    reason = "The phase 'slow' took over 0.2 s."
    shared = {"timed_out": True, "reason": reason}
    first, second, _ = await steps_of(database, execution_id)
    assert first.outcome == {**shared, "failures": 1, "next_phase": "slow", "pause_seconds": 0.1}
    assert second.outcome == {**shared, "next_phase": "instead", "pause_seconds": 0}
    assert (second.started_at - first.completed_at).total_seconds() >= 0.1
    made = [(task.task_name, task.status) for task in await tasks_of(database, execution_id)]
    assert made == [("slow", "cancelled"), ("slow", "cancelled"), ("instead", "completed")]
    assert team.seen[0].input["failure"] == {"phase": "slow", "attempt": 2, "reason": reason}
    assert [(error.severity, error.message) for error in await errors_of(database, execution_id)] == [
        ("warning", reason)
    ] * 2


async def test_a_gate_that_takes_too_long_is_still_waited_for(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    gate = {"name": "sign-off", "kind": "gate", "gate_type": "final_approval", "title": "Sign off"}
    await store_template(database, "signed", {**gate, "verdict_by": "human", "timeout_seconds": 0.2})
    await start_worker()
    execution_id = await start(database, "signed")
    await until(lambda: gates_of(database, execution_id, "sign-off"))
    await asyncio.sleep(0.4)
    await database.transact(lambda session: wake(session, execution_id))
    handled = await until(lambda: at_rest(database, execution_id))
    assert handled.execution_status == "running"
    await human_verdict(database, execution_id, "sign-off", ApprovalStatus.APPROVED)
    assert await ended(database, execution_id) == "completed"


async def at_rest(database: Database, execution_id: UUID) -> Any:
    row = await execution_of(database, execution_id)
    return row if row.handled_seq == row.wake_seq and row.lease_owner is None else None


async def test_a_task_that_fails_for_good_is_tried_again_as_often_as_the_phase_says(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    phase = task_phase("build", max_failures=1) | {"retry": {"max_attempts": 3, "backoff_seconds": 0}}
    await store_template(database, "building", phase)
    answers = iter([Fail("one"), {"done": 1}, Fail("two"), Fail("three"), Fail("four")])
    team = await built(database, build=lambda _task: next(answers))
    await start_worker()
    first = await start(database, "building")
    assert (await play(team, first)).execution_status == "completed"
    second = await start(database, "building")
    assert (await play(team, second)).execution_status == "failed"
    assert [status for *_, status in await path_of(database, first)] == ["failed", "completed"]
    assert [status for *_, status in await path_of(database, second)] == ["failed"] * 3
    assert {task.status for task in await tasks_of(database, second)} == {"cancelled", "failed"}
    assert [error.severity for error in await errors_of(database, second)] == ["warning", "warning", "critical"]


async def test_a_function_is_tried_again_after_its_back_off(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    seen: list[int] = []

    async def note(call: Any) -> dict[str, int]:
        seen.append(call.attempt)
        if call.attempt < 3:
            raise ValueError("not yet")
        return {"attempt": call.attempt}

    retry = {"max_attempts": 3, "backoff_seconds": 0.1, "factor": 2}
    await store_template(database, "flaky", function_phase("one", retry=retry), function_phase("two"))
    await start_worker(functions={"note": note, "two": note})
    execution_id = await start(database, "flaky")
    assert await until(lambda: over(database, execution_id))
    first, second, third, *_ = await steps_of(database, execution_id)
    assert (second.started_at - first.completed_at).total_seconds() >= 0.1
    assert (third.started_at - second.completed_at).total_seconds() >= 0.2
    assert third.outcome == {"next_phase": "two", "result": {"attempt": 3}}
    assert seen[:3] == [1, 2, 3]
    assert (await events_of(database, execution_id)).count("step_failed") == 3


@pytest.mark.parametrize(
    ("join", "answers", "status", "tasks"),
    [
        ("any", {"a": {"ok": 1}}, "completed", {"a": "completed", "b": "cancelled", "c": "cancelled"}),
        ({"quorum": 2}, {"a": {"ok": 1}, "b": Fail()}, "waiting", {}),
        ({"quorum": 2}, {"a": Fail(), "b": Fail()}, "failed", {"a": "failed", "b": "failed", "c": "cancelled"}),
        ({"quorum": 2}, {"a": {"ok": 1}, "c": {"ok": 3}}, "completed", {"b": "cancelled"}),
        ("all", {"a": {"ok": 1}, "b": Fail()}, "failed", {"a": "completed", "b": "failed", "c": "cancelled"}),
    ],
)
async def test_parallel_tasks_are_joined_as_the_phase_says(
    engine_database: Database,
    start_worker: StartWorker,
    join: Any,
    answers: dict[str, Any],
    status: str,
    tasks: dict[str, str],
) -> None:
    database = engine_database
    specs = [{"name": name, "title": name, "capabilities": [name], "max_failures": 1} for name in "abc"]
    audits = {"name": "audits", "kind": "parallel", "tasks": specs, "join": join}
    await store_template(database, "joined", audits, branch("after", ("has(results.audits.a) && context.x", "end")))
    team = Team(database, (BUILDERS[0].__class__("ann-all", BUILDERS[0].role, tuple(answers)),))
    team.answers = {name: constant(answer) for name, answer in answers.items()}
    await team.register()
    await start_worker()
    execution_id = await start(database, "joined", {"x": True})
    if status == "waiting":
        await until(lambda: worked(team, len(answers)))
        assert (await execution_of(database, execution_id)).execution_status == "running"
        return
    assert (await play(team, execution_id)).execution_status == status
    found = {task.task_name: task.status for task in await tasks_of(database, execution_id)}
    assert {name: found[name] for name in tasks} == tasks


async def worked(team: Team, count: int) -> bool:
    await team.work()
    return len(team.seen) >= count
