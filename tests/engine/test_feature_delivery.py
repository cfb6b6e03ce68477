"""The shipped template feature-delivery: tasks from a breakdown, reviewers, and the ways back."""

from typing import Any

from app.domain.quality_gates import ApprovalStatus
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    BUILDERS,
    Answer,
    Team,
    errors_of,
    events_of,
    gates_of,
    human_verdict,
    path_of,
    play,
    start,
    tasks_of,
    until,
)

BREAKDOWN = {"tasks": [{"name": "api", "title": "Build the API"}, {"name": "page", "title": "Build the page"}]}


def builders(database: Database, **answers: Answer) -> Team:
    usual: dict[str, Answer] = {
        "breakdown": lambda _: BREAKDOWN,
        "test": lambda _: {"passed": 12, "failed": 0},
    }
    requests: Answer = lambda task: {} if task.task_kind != "work" else {"built": task.task_name}  # noqa: E731
    return Team(database, BUILDERS, {**usual, **{name.replace("_", "-"): a for name, a in answers.items()}}, requests)


async def test_a_feature_is_delivered(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    team = builders(database)
    await team.register()
    await start_worker()
    execution_id = await start(database, "feature-delivery", {"feature": "a login"})
    await play(team, execution_id, until_phase="final-approval")
    await human_verdict(database, execution_id, "final-approval", ApprovalStatus.APPROVED)
    ended = await play(team, execution_id)
    assert ended.execution_status == "completed"
    phases = ["decide", "breakdown", "design", "build", "technical-review", "test", "final-approval"]
    assert await path_of(database, execution_id) == [
        (number, phase, 1, "completed") for number, phase in enumerate(phases, start=1)
    ]
    tasks = {task.task_name: task for task in await tasks_of(database, execution_id)}
    names = ["decide", "breakdown", "design", "api", "page", "review-architect", "verdict", "test"]
    assert list(tasks) == names
    built = {name: (tasks[name].required_role, tasks[name].title, tasks[name].result) for name in ("api", "page")}
    assert built == {
        "api": ("developer", "Build the API", {"built": "api"}),
        "page": ("developer", "Build the page", {"built": "page"}),
    }
    assert set(tasks["api"].input["results"]) == {"decide", "design"}
    gate = (await gates_of(database, execution_id, "technical-review"))[0]
    review = tasks["review-architect"]
    assert (review.task_kind, review.required_role, review.gate_id) == ("review", "architect", gate.gate_id)
    assert tasks["verdict"].input["gate"]["reviews"] == [
        {"reviewer": "anna-arch", "verdict": "approve", "score": 8.0, "feedback": "well made"}
    ]
    assert await events_of(database, gate.gate_id) == ["created", "opened", "review_requested", "reviewed", "approved"]
    final = (await gates_of(database, execution_id, "final-approval"))[0]
    assert [check["measured"] for check in final.automated_checks] == [12, 0]


async def test_a_revision_repeats_the_build_with_the_gates_words(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database

    def verdict(task: Any) -> Any:
        if task.input["gate"]["revision"] == 0:
            return {"verdict": "requires_revision", "outcome": "not yet", "suggestions": "handle errors"}
        return {}

    team = builders(database, verdict=verdict, **{"verdict-2": verdict})
    await team.register()
    await start_worker()
    execution_id = await start(database, "feature-delivery")
    await play(team, execution_id, until_phase="final-approval")
    assert (await path_of(database, execution_id))[3:] == [
        (4, "build", 1, "completed"),
        (5, "technical-review", 1, "completed"),
        (6, "build", 2, "completed"),
        (7, "technical-review", 2, "completed"),
        (8, "test", 1, "completed"),
        (9, "final-approval", 1, "running"),
    ]
    gates = await gates_of(database, execution_id, "technical-review")
    assert [(gate.approval_status, gate.revision, gate.phase_attempt) for gate in gates] == [("approved", 1, 1)]
    assert await events_of(database, gates[0].gate_id) == [
        *["created", "opened", "review_requested", "reviewed", "revision_requested"],
        *["opened", "review_requested", "reviewed", "approved"],
    ]
    by_pass = {(task.task_name, task.phase_attempt): task for task in await tasks_of(database, execution_id)}
    assert {("api", 1), ("api", 2), ("page", 1), ("page", 2)} <= set(by_pass)
    assert {("review-architect", 1), ("review-architect-2", 2), ("verdict", 1), ("verdict-2", 2)} <= set(by_pass)
    assert "revision" not in by_pass["api", 1].input
    assert by_pass["api", 2].input["revision"] == {
        "gate_id": str(gates[0].gate_id),
        "gate_name": "Technical review of the build",
        "verdict": "requires_revision",
        "revision": 0,
        "pm_decision": "not yet",
        "improvement_suggestions": "handle errors",
        "checks": [],
        "reviews": [{"reviewer": "anna-arch", "verdict": "approve", "score": 8.0, "feedback": "well made"}],
    }


async def test_coming_past_an_approved_gate_again_asks_for_approval_anew(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    results = iter([{"passed": 10, "failed": 2}, {"passed": 12, "failed": 0}])
    team = builders(database, test=lambda _: next(results))
    await team.register()
    await start_worker()
    execution_id = await start(database, "feature-delivery")
    await play(team, execution_id, until_phase="final-approval")
    await human_verdict(database, execution_id, "final-approval", ApprovalStatus.REQUIRES_REVISION, "two tests fail")
    await until(lambda: passes(database, execution_id, 8))
    await play(team, execution_id, until_phase="final-approval")
    await human_verdict(database, execution_id, "final-approval", ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert [(phase, attempt) for _, phase, attempt, _ in await path_of(database, execution_id)][7:] == [
        ("build", 2),
        ("technical-review", 2),
        ("test", 2),
        ("final-approval", 2),
    ]
    reviews = await gates_of(database, execution_id, "technical-review")
    assert [(gate.approval_status, gate.phase_attempt, gate.revision) for gate in reviews] == [
        ("approved", 1, 0),
        ("approved", 2, 0),
    ]
    finals = await gates_of(database, execution_id, "final-approval")
    assert [(gate.approval_status, gate.phase_attempt, gate.revision) for gate in finals] == [("approved", 1, 1)]
    assert [check["measured"] for check in finals[0].automated_checks] == [12, 0]
    repeated = [task for task in await tasks_of(database, execution_id) if task.phase == "test"][-1]
    assert repeated.input["revision"]["pm_decision"] == "two tests fail"


async def passes(database: Database, execution_id: Any, number: int) -> bool:
    return len(await path_of(database, execution_id)) >= number


async def test_a_gate_that_wants_too_many_revisions_fails_the_execution(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    unhappy: Answer = lambda _: {"verdict": "requires_revision", "outcome": "still not"}  # noqa: E731
    team = builders(database, verdict=unhappy, verdict_2=unhappy, verdict_3=unhappy, verdict_4=unhappy)
    await team.register()
    await start_worker()
    execution_id = await start(database, "feature-delivery")
    ended = await play(team, execution_id)
    assert ended.execution_status == "failed"
    reason = "The gate 'Technical review of the build' asked for another revision, after 3 of at most 3: still not"
    assert [error.message for error in await errors_of(database, execution_id)] == [reason]
    assert [attempt for _, phase, attempt, _ in await path_of(database, execution_id) if phase == "build"] == [
        1,
        2,
        3,
        4,
    ]
