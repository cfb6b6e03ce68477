"""The shipped template code-audit, from the decision to the end, with agents played through the services."""

from typing import Any
from uuid import UUID

from app.domain.quality_gates import ApprovalStatus
from db.session import Database
from db.tables.decisions import decisions
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    AUDITORS,
    HEALTHY,
    Team,
    constant,
    count,
    errors_of,
    events_of,
    gates_of,
    human_verdict,
    path_of,
    play,
    start,
    steps_of,
    tasks_of,
    until,
)


def auditors(database: Database, verdict: Any = None, **changed: Any) -> Team:
    answers = {name: constant(changed.get(name, result)) for name, result in HEALTHY.items()}
    return Team(database, AUDITORS, answers, constant(verdict or {}))


async def test_a_healthy_tree_is_audited_approved_and_reported(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = auditors(database)
    await team.register()
    await start_worker()
    execution_id = await start(database, "code-audit")
    waiting = await play(team, execution_id, until_phase="final-approval")
    assert (waiting.execution_status, waiting.lease_owner, waiting.completed_at) == ("running", None, None)
    await human_verdict(database, execution_id, "final-approval", ApprovalStatus.APPROVED)
    ended = await play(team, execution_id)
    assert (ended.execution_status, ended.lease_owner, ended.lease_until) == ("completed", None, None)
    assert ended.handled_seq == ended.wake_seq
    assert ended.created_at <= ended.started_at <= ended.completed_at
    assert await path_of(database, execution_id) == [
        (1, "decide", 1, "completed"),
        (2, "audits", 1, "completed"),
        (3, "review", 1, "completed"),
        (4, "report", 1, "completed"),
        (5, "final-approval", 1, "completed"),
    ]
    assert await events_of(database, execution_id) == [
        "started",
        "running",
        *["step_started", "step_completed"] * 5,
        "completed",
    ]
    assert await errors_of(database, execution_id) == []


async def test_tasks_are_given_what_they_use_and_belong_to_the_decision(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = auditors(database)
    await team.register()
    await start_worker()
    execution_id = await start(database, "code-audit", {"path": "/tree"})
    await play(team, execution_id, until_phase="final-approval")
    tasks = {task.task_name: task for task in await tasks_of(database, execution_id)}
    assert list(tasks) == ["decide", "lint", "types", "size", "verdict", "report"]
    decide, lint, verdict, report = (tasks[name] for name in ("decide", "lint", "verdict", "report"))

    assert (decide.task_kind, decide.required_role, decide.decision_id) == ("decision", "pm", None)
    assert set(decide.input) == {"question", "decision_type", "context", "results"}
    assert (decide.input["context"], decide.input["results"]) == ({"path": "/tree"}, {})
    decision_id = decide.result["decision_id"]
    told = {
        "decision_id": decision_id,
        "decision_type": "task_assignment",
        "outcome": "go on",
        "confidence_score": 9,
        "agent_assignments": {},
    }
    assert (lint.task_kind, lint.required_role, lint.required_capabilities) == ("work", None, ["lint"])
    assert lint.input == {"tool": "ruff", "context": {"path": "/tree"}, "results": {"decide": told}}
    assert {str(tasks[name].decision_id) for name in ("lint", "types", "size", "verdict", "report")} == {decision_id}
    assert (lint.phase, lint.phase_attempt, lint.status, lint.result) == ("audits", 1, "completed", HEALTHY["lint"])

    gate = (await gates_of(database, execution_id, "review"))[0]
    audits = {name: HEALTHY[name] for name in ("lint", "types", "size")}
    assert (verdict.task_kind, verdict.required_role, verdict.gate_id) == ("decision", "pm", gate.gate_id)
    assert set(verdict.input) == {"question", "gate", "context", "results"}
    assert verdict.input["results"] == {"decide": told, "audits": audits}
    assert verdict.input["gate"] == {
        "gate_id": str(gate.gate_id),
        "gate_name": "Review of the measured findings",
        "gate_type": "technical_review",
        "version": 2,
        "revision": 0,
        "evidence_hash": gate.evidence_hash,
        "checks": gate.automated_checks,
        "reviews": [],
    }
    assert report.input["results"]["review"] == {
        "gate_id": str(gate.gate_id),
        "approval_status": "approved",
        "checks": gate.automated_checks,
        "quality_score": None,
    }
    assert await events_of(database, lint.task_id) == ["created", "claimed", "started", "completed"]


async def test_the_gate_stores_what_was_measured_beside_its_thresholds(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = auditors(database, lint={"tool": "ruff", "findings": 11}, types={"tool": "mypy"})
    await team.register()
    await start_worker()
    execution_id = await start(database, "code-audit")
    await play(team, execution_id, until_phase="final-approval")
    gate = (await gates_of(database, execution_id, "review"))[0]
    measured = {check["name"]: (check["measured"], check["passed"]) for check in gate.automated_checks}
    assert measured == {
        "linter findings": (11, False),
        "type errors": (None, False),
        "files were measured": (40, True),
        "longest file in lines": (390, True),
        "longest function in lines": (50, True),
        "complex functions": (1, True),
    }
    assert gate.validation_criteria["verdict_by"] == "pm"
    assert [check["name"] for check in gate.validation_criteria["checks"]] == list(measured)
    assert await events_of(database, gate.gate_id) == ["created", "opened", "approved"]


async def test_a_rejection_fails_the_execution_with_the_pms_words(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = auditors(database, verdict={"verdict": "rejected", "outcome": "far too many findings"})
    await team.register()
    await start_worker()
    execution_id = await start(database, "code-audit")
    ended = await play(team, execution_id)
    reason = "The gate 'Review of the measured findings' was rejected: far too many findings"
    assert (ended.execution_status, ended.current_phase) == ("failed", "review")
    assert ended.completed_at is not None
    assert [error.message for error in await errors_of(database, execution_id)] == [reason]
    step = (await steps_of(database, execution_id))[-1]
    (gate,) = await gates_of(database, execution_id, "review")
    told = {"gate_id": str(gate.gate_id), "approval_status": "rejected", "revision": 0, "retry_phase": "audits"}
    assert (step.step_status, step.outcome) == ("failed", {"reason": reason, **told})
    assert (await events_of(database, execution_id))[-3:] == ["step_failed", "error_logged", "failed"]
    assert (await path_of(database, execution_id))[-1] == (3, "review", 1, "failed")


async def test_a_persons_verdict_withdraws_the_request_to_the_pm(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = auditors(database)
    await team.register()
    await start_worker()
    execution_id = await start(database, "code-audit")
    pm = Team(database, AUDITORS[:1], default=constant({}))
    others = Team(database, AUDITORS[1:], team.answers)
    await until(pm.work)
    verdict = await until(lambda: answered_by_others(others, execution_id))
    await human_verdict(database, execution_id, "review", ApprovalStatus.APPROVED)
    await play(others, execution_id, until_phase="final-approval")
    assert await events_of(database, verdict.task_id) == ["created", "cancelled"]
    assert await count(database, decisions) == 2


async def answered_by_others(others: Team, execution_id: UUID) -> Any:
    """The request for the verdict, once the others have done their part."""
    await others.work()
    return next((task for task in await tasks_of(others.database, execution_id) if task.task_name == "verdict"), None)
