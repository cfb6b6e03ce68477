"""Gates without a phase, and what becomes of open gates: reviewers, measured checks, escalations."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.agents import AgentRole
from app.domain.errors import Blocked, HubError, InvalidInput, NotFound, StaleVersion
from app.domain.gate_checks import MeasuredCheck
from app.domain.ids import new_id
from app.domain.quality_gates import ApprovalStatus, GateType, ReviewVerdict
from app.services.gate_changes import (
    AssignReviewers,
    EscalateGate,
    RecordChecks,
    ResolveEscalation,
    assign_reviewers,
    escalate_gate,
    record_checks,
    resolve_escalation,
)
from app.services.gate_creation import CreateGate, create_gate
from app.services.quality_gates import OpenGate, ReviewGate, decide_gate, open_gate, review_gate
from app.services.workflows import CancelWorkflow, cancel_workflow
from db.session import Database
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.live.events import eventually
from tests.services.deciding import QUINN, a_verdict, claim_and_start
from tests.services.makers import (
    ADMIN,
    SEALER,
    a_gate,
    a_request,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)

COVERAGE = MeasuredCheck("coverage", 71.5, "pytest --cov", at_least=80.0)
ERRORS = MeasuredCheck("errors", 0.0, at_most=3.0)


async def an_open_gate(database: Database, **values: Any) -> Any:
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id, **values)
    return await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))


async def detail_of(database: Database, entity_id: object, event_type: str) -> Any:
    found = await row_of(database, event_log, entity_id=str(entity_id), event_type=event_type)
    return found.detail


async def test_a_gate_without_a_phase(database: Database) -> None:
    execution = await an_execution(database)
    command = CreateGate(execution.execution_id, " Safety ", GateType.SECURITY_CHECK, {"min_score": 7})
    gate = await run(database, create_gate, ADMIN, command)
    assert (gate.gate_name, gate.phase, gate.phase_attempt, gate.approval_status) == ("Safety", None, None, "pending")
    assert await events_of(database, gate.gate_id) == [("created", None, "pending", 1)]
    woken = await row_of(database, workflow_executions, execution_id=execution.execution_id)
    assert woken.wake_seq == execution.wake_seq + 1


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"workflow_execution_id": new_id()}, NotFound, "input.workflowExecutionId"),
        ({"requested_by_decision_id": new_id()}, NotFound, "input.requestedByDecisionId"),
        ({"gate_name": ""}, InvalidInput, "input.gateName"),
        ({"gate_name": "x" * 201}, InvalidInput, "input.gateName"),
        ({"validation_criteria": {"min_score": 11}}, InvalidInput, "input.validationCriteria"),
        ({"reviewers": ["x"] * 51}, InvalidInput, "input.reviewers"),
    ],
)
async def test_bad_gates(database: Database, changes: dict[str, Any], error: type[HubError], field: str) -> None:
    execution = await an_execution(database)
    values: dict[str, Any] = {
        "workflow_execution_id": execution.execution_id,
        "gate_name": "S",
        "gate_type": GateType.SECURITY_CHECK,
    }
    with pytest.raises(error) as caught:
        await run(database, create_gate, ADMIN, CreateGate(**values | changes))
    assert caught.value.field == field
    assert await count(database, quality_gates) == 0


async def test_an_execution_that_has_ended_takes_no_gate(database: Database) -> None:
    execution = await an_execution(database)
    await run(database, cancel_workflow, ADMIN, CancelWorkflow(execution.execution_id, 1, "enough"))
    command = CreateGate(execution.execution_id, "Late", GateType.FINAL_APPROVAL)
    with pytest.raises(Blocked, match="is CANCELLED; a gate would hold"):
        await run(database, create_gate, ADMIN, command)
    assert await count(database, quality_gates) == 0


async def test_a_gate_does_not_slip_in_while_its_execution_ends(database: Database) -> None:
    """Whoever ends an execution holds its row; the gate that comes meanwhile waits and then sees the end."""
    execution = await an_execution(database)
    command = CreateGate(execution.execution_id, "Late", GateType.FINAL_APPROVAL)
    async with database.engine.connect() as ending:
        locked = workflow_executions.update().where(workflow_executions.c.execution_id == execution.execution_id)
        await ending.execute(locked.values(execution_status="completed", current_phase=None))
        creating = asyncio.create_task(run(database, create_gate, ADMIN, command))

        async def waits() -> bool:
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            async with database.engine.connect() as watching:
                return bool((await watching.execute(waiting)).scalar())

        await eventually(waits)
        await ending.commit()
    with pytest.raises(Blocked, match="is COMPLETED; a gate would hold"):
        await creating
    assert await count(database, quality_gates) == 0


async def test_more_reviewers_of_this_revision(database: Database) -> None:
    await an_agent(database, "quinn-qa", AgentRole.QA)
    gate = await an_open_gate(database)
    asked = await run(database, assign_reviewers, ADMIN, AssignReviewers(gate.gate_id, 2, ["quinn-qa", "mary"]))
    assert asked.version == 3
    linked = await row_of(database, gate_reviewers, gate_id=gate.gate_id, reviewer="quinn-qa")
    assert (linked.agent_id, linked.revision, linked.verdict) == ("quinn-qa", 0, None)
    assert (await detail_of(database, gate.gate_id, "review_requested"))["reviewers"] == ["quinn-qa", "mary"]
    await run(database, review_gate, QUINN, ReviewGate(gate.gate_id, ReviewVerdict.APPROVE))
    again = await run(database, assign_reviewers, ADMIN, AssignReviewers(gate.gate_id, 3, ["quinn-qa"]))
    kept = await row_of(database, gate_reviewers, gate_id=gate.gate_id, reviewer="quinn-qa")
    assert (again.version, kept.verdict) == (4, "approve")
    with pytest.raises(Blocked, match="reviews are outstanding, of mary"):
        await run(database, decide_gate, ADMIN, a_verdict(again), SEALER)


async def test_reviewers_are_named_while_the_revision_is_under_way(database: Database) -> None:
    gate = await an_open_gate(database)
    for wrong, field in (([], "input.reviewers"), ([" "], "input.reviewers")):
        with pytest.raises(InvalidInput) as caught:
            await run(database, assign_reviewers, ADMIN, AssignReviewers(gate.gate_id, 2, wrong))
        assert caught.value.field == field
    with pytest.raises(StaleVersion):
        await run(database, assign_reviewers, ADMIN, AssignReviewers(gate.gate_id, 1, ["mary"]))
    with pytest.raises(NotFound) as missing:
        await run(database, assign_reviewers, ADMIN, AssignReviewers(new_id(), 1, ["mary"]))
    assert missing.value.field == "input.gateId"
    revised = await run(database, decide_gate, ADMIN, a_verdict(gate, ApprovalStatus.REQUIRES_REVISION), SEALER)
    with pytest.raises(Blocked, match="when it is opened again"):
        await run(database, assign_reviewers, ADMIN, AssignReviewers(gate.gate_id, revised.version, ["mary"]))
    assert await count(database, gate_reviewers) == 0


async def test_checks_are_merged_by_name_and_judged_by_the_hub(database: Database) -> None:
    gate = await an_open_gate(database)
    first = await run(database, record_checks, QUINN, RecordChecks(gate.gate_id, 2, [COVERAGE, ERRORS]))
    coverage = {"name": "coverage", "measure": "pytest --cov", "measured": 71.5, "at_most": None, "at_least": 80}
    errors = {"name": "errors", "measure": None, "measured": 0, "at_most": 3, "at_least": None, "passed": True}
    assert first.automated_checks == [coverage | {"passed": False}, errors]
    assert (await detail_of(database, gate.gate_id, "checks_recorded"))["checks_failed"] == ["coverage"]
    better = [MeasuredCheck("coverage", 80.0), MeasuredCheck("latency", 12.5, at_most=20.0, at_least=1.0)]
    second = await run(database, record_checks, QUINN, RecordChecks(gate.gate_id, 3, better))
    latency = {"name": "latency", "measure": None, "measured": 12.5, "at_most": 20, "at_least": 1, "passed": True}
    assert second.automated_checks == [coverage | {"measured": 80, "passed": True}, errors, latency]
    assert (await row_of(database, quality_gates, gate_id=gate.gate_id)).automated_checks == second.automated_checks


@pytest.mark.parametrize(
    ("checks", "field"),
    [
        ([], "input.checks"),
        ([MeasuredCheck(" ", 1.0, at_most=1.0)], "input.checks.0.name"),
        ([MeasuredCheck("x" * 201, 1.0, at_most=1.0)], "input.checks.0.name"),
        ([COVERAGE, COVERAGE], "input.checks.1.name"),
        ([MeasuredCheck("a", float("nan"), at_most=1.0)], "input.checks.0.measured"),
        ([MeasuredCheck("a", float("inf"), at_most=1.0)], "input.checks.0.measured"),
        ([MeasuredCheck("a", 1.0, at_most=float("inf"))], "input.checks.0.atMost"),
        ([MeasuredCheck("a", 1.0, at_least=float("-inf"))], "input.checks.0.atLeast"),
        ([MeasuredCheck("a", 1.0)], "input.checks.0"),
        ([MeasuredCheck("a", 1.0, at_most=1.0, at_least=2.0)], "input.checks.0"),
        ([MeasuredCheck("a", 1.0, "x" * 201, at_most=1.0)], "input.checks.0.measure"),
        ([MeasuredCheck(f"c{number}", 1.0, at_most=1.0) for number in range(201)], "input.checks"),
    ],
)
async def test_bad_checks(database: Database, checks: list[MeasuredCheck], field: str) -> None:
    gate = await an_open_gate(database)
    with pytest.raises(InvalidInput) as caught:
        await run(database, record_checks, ADMIN, RecordChecks(gate.gate_id, 2, checks))
    assert caught.value.field == field
    kept = await row_of(database, quality_gates, gate_id=gate.gate_id)
    assert (kept.automated_checks, kept.version) == ([], 2)


async def test_failed_checks_inform_the_verdict_and_do_not_decide(database: Database) -> None:
    await an_agent(database, "quinn-qa", AgentRole.QA)
    gate = await an_open_gate(database)
    await run(database, assign_reviewers, ADMIN, AssignReviewers(gate.gate_id, 2, ["quinn-qa"]))
    checked = await run(database, record_checks, QUINN, RecordChecks(gate.gate_id, 3, [COVERAGE, ERRORS]))
    with pytest.raises(Blocked) as blocked:
        await run(database, decide_gate, ADMIN, a_verdict(checked), SEALER)
    assert blocked.value.message == (
        "The gate 'Review' cannot be approved yet: reviews are outstanding, of quinn-qa. Automated checks that failed, "
        "which the verdict may overrule: coverage. Nothing was changed."
    )
    assert await count(database, decisions) == 0
    await run(database, review_gate, QUINN, ReviewGate(gate.gate_id, ReviewVerdict.APPROVE))
    approved = await run(database, decide_gate, ADMIN, a_verdict(checked), SEALER)
    assert approved.approval_status == "approved"
    assert (await detail_of(database, gate.gate_id, "approved"))["checks_failed"] == ["coverage"]
    with pytest.raises(Blocked, match="is APPROVED, which is final"):
        await run(database, record_checks, QUINN, RecordChecks(gate.gate_id, approved.version, [COVERAGE]))


async def test_open_review_requests_are_outstanding_too(database: Database) -> None:
    await an_agent(database, "quinn-qa", AgentRole.QA)
    gate = await an_open_gate(database)
    request = await a_request(database, "review", gate.workflow_execution_id, gate.gate_id)
    with pytest.raises(Blocked, match="outstanding, of Please review"):
        await run(database, decide_gate, ADMIN, a_verdict(gate), SEALER)
    await claim_and_start(database, "quinn-qa", request.task_id)
    with pytest.raises(Blocked, match="outstanding, of quinn-qa"):
        await run(database, decide_gate, ADMIN, a_verdict(gate), SEALER)


async def test_an_escalation_and_its_end(database: Database) -> None:
    gate = await an_open_gate(database)
    with pytest.raises(Blocked, match="is not escalated"):
        await run(database, resolve_escalation, ADMIN, ResolveEscalation(gate.gate_id, 2))
    for wrong in (" ", "x" * 2_001):
        with pytest.raises(InvalidInput) as caught:
            await run(database, escalate_gate, QUINN, EscalateGate(gate.gate_id, 2, wrong))
        assert caught.value.field == "input.reason"
    escalated = await run(database, escalate_gate, QUINN, EscalateGate(gate.gate_id, 2, "Over my head."))
    assert (escalated.escalation_required, escalated.escalation_reason) == (True, "Over my head.")
    with pytest.raises(StaleVersion):
        await run(database, escalate_gate, QUINN, EscalateGate(gate.gate_id, 2, "Still."))
    resolved = await run(database, resolve_escalation, ADMIN, ResolveEscalation(gate.gate_id, 3, "Looked at it."))
    assert (resolved.escalation_required, resolved.escalation_reason, resolved.version) == (False, None, 4)
    assert await events_of(database, gate.gate_id) == [
        ("created", None, "pending", 1),
        ("opened", "pending", "in_review", 2),
        ("escalated", "in_review", "in_review", 3),
        ("escalation_resolved", "in_review", "in_review", 4),
    ]
    told = await detail_of(database, gate.gate_id, "escalation_resolved")
    assert (told["reason"], told["note"]) == ("Over my head.", "Looked at it.")


async def test_a_decided_gate_is_not_escalated_but_its_escalation_can_be_resolved(database: Database) -> None:
    gate = await an_open_gate(database)
    escalated = await run(database, escalate_gate, QUINN, EscalateGate(gate.gate_id, 2, "Over my head."))
    decided = await run(database, decide_gate, ADMIN, a_verdict(escalated), SEALER)
    assert decided.escalation_required
    with pytest.raises(Blocked, match="is APPROVED, which is final"):
        await run(database, escalate_gate, QUINN, EscalateGate(gate.gate_id, decided.version, "Again."))
    resolved = await run(database, resolve_escalation, ADMIN, ResolveEscalation(gate.gate_id, decided.version))
    assert (resolved.approval_status, resolved.escalation_required) == ("approved", False)


async def test_gates_of_an_ended_execution_are_closed_and_stay_as_they_are(database: Database) -> None:
    gate = await an_open_gate(database)
    await run(database, cancel_workflow, ADMIN, CancelWorkflow(gate.workflow_execution_id, 1, "enough"))
    for service, command in (
        (assign_reviewers, AssignReviewers(gate.gate_id, 3, ["mary"])),
        (record_checks, RecordChecks(gate.gate_id, 3, [COVERAGE])),
        (escalate_gate, EscalateGate(gate.gate_id, 3, "Look!")),
    ):
        with pytest.raises(Blocked, match="is CANCELLED"):
            await run(database, service, ADMIN, command)
    kept = await row_of(database, quality_gates, gate_id=gate.gate_id)
    assert (kept.version, kept.approval_status, kept.closed_at is not None) == (3, "in_review", True)


async def test_open_requests_learn_what_became_of_the_gate_they_ask_about(database: Database) -> None:
    gate = await an_open_gate(database)
    request = await a_request(database, "decision", gate.workflow_execution_id, gate.gate_id)
    asked = {"question": "Decide?", "gate": {"gate_id": str(gate.gate_id), "version": 2, "checks": []}}
    statement = tasks.update().where(tasks.c.task_id == request.task_id).values(input=asked)
    await database.transact(lambda session: session.execute(statement))
    await run(database, record_checks, QUINN, RecordChecks(gate.gate_id, 2, [ERRORS]))
    escalated = await run(database, escalate_gate, QUINN, EscalateGate(gate.gate_id, 3, "Over my head."))
    kept = await row_of(database, tasks, task_id=request.task_id)
    assert kept.input == {
        "question": "Decide?",
        "gate": {
            "gate_id": str(gate.gate_id),
            "version": escalated.version,
            "checks": escalated.automated_checks,
            "escalation_reason": "Over my head.",
            "evidence_hash": escalated.evidence_hash,
        },
    }
    assert kept.version == request.version
