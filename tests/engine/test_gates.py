"""Gates in the engine: commands, quorum, conditions, and approvals that hold for what was approved."""

import signal
from typing import Any
from uuid import UUID

from sqlalchemy import update

from app.domain.agents import AgentRole
from app.domain.principals import Principal, Role
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict
from app.services.quality_gates import ReviewGate, review_gate
from app.services.workflows import PauseWorkflow, ResumeWorkflow, pause_workflow, resume_workflow
from db.session import Database
from db.tables.tasks import tasks
from tests.engine.conftest import StartWorker
from tests.engine.processes import Workers, state_of
from tests.engine.team import (
    ADMIN,
    Fail,
    Member,
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
    store_template,
    task_phase,
    tasks_of,
    until,
)

DEV = Member("james-dev", AgentRole.DEVELOPER)
QA = Member("quinn-qa", AgentRole.QA)
PM = Member("john-pm", AgentRole.PM)
RITA = Principal("rita", Role.REVIEWER)
COVERAGE = {
    "name": "coverage", "command": "pytest --cov", "role": "qa", "measure": "percent", "at_least": 80,
    "criteria": "measured < 100.0 || results.work.files > 1",
}  # fmt: skip


def a_gate(**options: Any) -> dict[str, Any]:
    plain = {"name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate", "uses": ["work"]}
    return plain | options


async def a_team(database: Database, *members: Member, **answers: Any) -> Team:
    named = {name.replace("_", "-"): constant(answer) for name, answer in answers.items()}
    team = Team(database, members, {"work": constant({"files": 3}), **named})
    await team.register()
    return team


async def amend(database: Database, execution_id: UUID, result: Any) -> None:
    """What no mutation does: the result of the work is another now."""
    change = update(tasks).where(tasks.c.execution_id == execution_id, tasks.c.task_name == "work")
    await database.transact(lambda session: session.execute(change.values(result=result)))


async def the_gate(database: Database, execution_id: UUID) -> Any:
    return (await gates_of(database, execution_id, "gate"))[-1]


async def pause(database: Database, execution_id: UUID) -> Any:
    version = (await execution_of(database, execution_id)).version
    command = PauseWorkflow(execution_id, version)
    return await database.transact(lambda session: pause_workflow(session, ADMIN, command))


async def test_commands_are_run_first_then_reviewers_then_the_pm_who_makes_a_decision(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database, DEV, QA, PM, check_1={"percent": 91.5})
    gate = a_gate(
        checks=[COVERAGE, {"name": "no need", "when": "results.work.files > 5", "command": "never"}],
        reviewer_agents=["quinn-qa"],
        quorum=1,
        min_score=7,
        criteria=["checks.coverage.passed && score >= 8.0", 'results["work"].files == 3'],
    )
    gate["checks"][1]["criteria"] = "false"
    await store_template(database, "plain", task_phase("work", role="developer"), gate)
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "completed"
    kept = await the_gate(database, execution_id)
    made = {task.task_name: task for task in await tasks_of(database, execution_id)}
    assert list(made) == ["work", "check-1", "review-quinn-qa", "verdict"]
    assert made["check-1"].input["check"]["command"] == "pytest --cov"
    assert (made["check-1"].required_role, made["review-quinn-qa"].required_agent_id) == ("qa", "quinn-qa")
    coverage, skipped = kept.automated_checks
    assert (coverage["measured"], coverage["passed"], coverage["task_id"]) == (
        91.5, True, str(made["check-1"].task_id),
    )  # fmt: skip
    assert (skipped["skipped"], skipped["passed"]) == (True, True)
    # the reviewer and the PM were told what was measured, and of what
    for name in ("review-quinn-qa", "verdict"):
        assert made[name].input["gate"]["checks"] == kept.automated_checks
        assert made[name].input["gate"]["evidence_hash"] == kept.verdict_evidence_hash
    assert kept.decision_id is not None
    assert await events_of(database, kept.gate_id) == [
        "created", "opened", "checks_recorded", "review_requested", "reviewed", "approved",
    ]  # fmt: skip


async def test_a_command_that_nobody_can_run_has_not_passed_and_fails_nothing(
    engine_database: Database, start_worker: StartWorker
) -> None:

    database = engine_database
    team = await a_team(database, DEV, QA, check_1=Fail("no such command"))
    await store_template(
        database, "plain", task_phase("work", role="developer"), a_gate(checks=[COVERAGE], verdict_by="human")
    )
    await start_worker()
    execution_id = await start(database, "plain")
    await play(team, execution_id, until_phase="gate")

    async def measured() -> Any:
        await team.work()
        gate = await the_gate(database, execution_id)
        return gate if "task_id" in gate.automated_checks[0] else None

    (check,) = (await until(measured)).automated_checks
    assert (check["passed"], check["measured"]) == (False, None)
    assert check["error"] == "The command was not run: no such command"
    await human_verdict(database, execution_id, "gate", ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"


async def test_the_quorum_is_the_verdict_and_sends_the_work_back_to_the_only_phase_it_uses(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database, DEV, QA, review_qa={"verdict": "request_revision"})
    gate = a_gate(reviewers=["qa"], people=["rita"], verdict_by="quorum", quorum="all")
    await store_template(database, "plain", task_phase("work", role="developer"), gate)
    await start_worker()
    execution_id = await start(database, "plain")
    await play(team, execution_id, until_phase="gate")
    await reviewed_by_rita(team, execution_id, ReviewVerdict.APPROVE)

    async def again() -> Any:
        await team.work()
        kept = await the_gate(database, execution_id)
        return kept if (kept.revision, kept.approval_status) == (1, "in_review") else None

    sent_back = await until(again)
    team.answers = {**team.answers, "review-qa-2": constant({})}
    assert sent_back.decision_id is None
    await reviewed_by_rita(team, execution_id, ReviewVerdict.APPROVE)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert [step[1] for step in await path_of(database, execution_id)] == ["work", "gate", "work", "gate"]
    assert (await the_gate(database, execution_id)).pm_decision.startswith("By quorum: 2 of 2 needed approvals")


async def reviewed_by_rita(team: Team, execution_id: UUID, verdict: ReviewVerdict) -> None:
    gate = await the_gate(team.database, execution_id)
    await team.database.transact(lambda session: review_gate(session, RITA, ReviewGate(gate.gate_id, verdict)))
    await team.work()


async def test_work_that_changes_between_the_verdict_and_the_next_step_is_judged_anew(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    team = await a_team(database, DEV, QA)
    checks = [{"name": "files", "measure": "work.files", "at_most": 3}]
    gate = a_gate(checks=checks, reviewers=["qa"], verdict_by="human")
    last = task_phase("last", role="developer")
    await store_template(database, "plain", task_phase("work", role="developer"), gate, last)
    await start_worker()
    execution_id = await start(database, "plain")
    await play(team, execution_id, until_phase="gate")
    await until(lambda: has_task(team, execution_id, "review-qa"))
    paused = await pause(database, execution_id)
    await human_verdict(database, execution_id, "gate", ApprovalStatus.APPROVED)
    await amend(database, execution_id, {"files": 4})
    command = ResumeWorkflow(execution_id, paused.version)
    await database.transact(lambda session: resume_workflow(session, ADMIN, command))

    async def voided() -> Any:
        await team.work()
        kept = await the_gate(database, execution_id)
        return kept if kept.times_voided else None

    kept = await until(voided)
    assert (kept.approval_status, kept.revision) == ("in_review", 1)
    assert [(check["measured"], check["passed"]) for check in kept.automated_checks] == [(4, False)]
    assert kept.void_reason == "The approval was void: result 'work: work' changed"
    await until(lambda: has_task(team, execution_id, "review-qa-2"))
    await human_verdict(database, execution_id, "gate", ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert [step[1] for step in await path_of(database, execution_id)] == ["work", "gate", "last"]
    assert [task.task_name for task in await tasks_of(database, execution_id)] == [
        "work", "review-qa", "review-qa-2", "last",
    ]  # fmt: skip
    assert await errors_of(database, execution_id) == []


async def has_task(team: Team, execution_id: UUID, name: str) -> bool:
    """Whether the team has answered this task."""
    await team.work()
    found = await tasks_of(team.database, execution_id)
    return any(task.task_name == name and task.status == "completed" for task in found)


async def test_workers_that_die_around_the_verdict_neither_pass_changed_work_nor_void_twice(
    engine_database: Database, workers: Workers
) -> None:
    database = engine_database
    team = await a_team(database, DEV, QA)
    gate = a_gate(reviewers=["qa"], quorum=1, verdict_by="human")
    await store_template(database, "plain", task_phase("work", role="developer"), gate)
    execution_id = await start(database, "plain")
    first = workers.start("first")
    await play(team, execution_id, until_phase="gate")
    await until(lambda: has_task(team, execution_id, "review-qa"))
    await workers.kill(first)
    await human_verdict(database, execution_id, "gate", ApprovalStatus.APPROVED)
    await amend(database, execution_id, {"files": 4})
    for visit, moment in [(1, "after"), (2, "inside"), (2, "after"), (3, "before")]:
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(lambda: gone_or_voided(pid, database, execution_id))  # noqa: B023
    workers.start("last")
    await until(lambda: has_task(team, execution_id, "review-qa-2"))
    await human_verdict(database, execution_id, "gate", ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"
    kept = await the_gate(database, execution_id)
    assert (kept.times_voided, kept.revision, kept.approval_status) == (1, 1, "approved")
    assert (await events_of(database, kept.gate_id)) == [
        "created", "opened", "review_requested", "reviewed", "approved", "voided", "review_requested", "reviewed",
        "approved",
    ]  # fmt: skip
    assert await errors_of(database, execution_id) == []


async def gone_or_voided(pid: int, database: Database, execution_id: UUID) -> bool:
    return state_of(pid) is None or (await the_gate(database, execution_id)).times_voided == 1


async def test_gates_are_closed_when_their_execution_fails(
    engine_database: Database, start_worker: StartWorker
) -> None:

    database = engine_database
    team = await a_team(database, DEV, QA, review_qa=Fail("I cannot read it"))
    await store_template(database, "plain", task_phase("work", role="developer"), a_gate(reviewers=["qa"]))
    await start_worker()
    execution_id = await start(database, "plain")
    assert (await play(team, execution_id)).execution_status == "failed"
    kept = await the_gate(database, execution_id)
    assert (kept.approval_status, kept.closed_at is not None) == ("in_review", True)
    assert (await events_of(database, kept.gate_id))[-1] == "closed"
