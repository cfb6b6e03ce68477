"""Decisions with their sealed parts, and gates with reviews and verdicts."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.agents import AgentRole
from app.domain.errors import Blocked, ClaimLost, Forbidden, IllegalTransition, InvalidInput, StaleVersion
from app.domain.principals import Role
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict
from app.services.decisions import record_decision
from app.services.quality_gates import OpenGate, ReviewGate, decide_gate, open_gate, review_gate
from app.services.tasks import CompleteTask, complete_task
from db.session import Database
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.services.deciding import JOHN, QUINN, a_decision, a_verdict, claim_and_start
from tests.services.makers import (
    ADMIN,
    SEALER,
    a_gate,
    a_request,
    agent_principal,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)


async def test_a_decision_is_kept_whole_with_its_sensitive_parts_sealed(database: Database) -> None:
    row = await run(database, record_decision, JOHN, a_decision(), SEALER)
    kept = await row_of(database, decisions, decision_id=row.decision_id)
    assert b"secret" not in kept.context_data_sealed + kept.reasoning_process_sealed
    opened = SEALER.open(kept.sealed_key, kept.context_data_sealed, "decisions", "context_data", str(row.decision_id))
    assert opened == b'{"budget":"very secret"}'
    assert kept.decided_by == "john-pm"
    assert await events_of(database, row.decision_id) == [("recorded", None, None, 1)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reasoning_process": "  "}, "input.reasoningProcess"),
        ({"confidence_score": 11}, "input.confidenceScore"),
        ({"confidence_score": 0}, "input.confidenceScore"),
        ({"outcome": ""}, "input.outcome"),
        ({"context_data": {"a": "\x00"}}, "input.contextData"),
    ],
)
async def test_bad_decisions(database: Database, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await run(database, record_decision, JOHN, a_decision(**changes), SEALER)
    assert caught.value.field == field
    assert await count(database, decisions) == 0
    assert await count(database, event_log) == 0


async def test_a_decision_request_is_answered_once_with_its_decision(database: Database) -> None:
    await an_agent(database, "john-pm", AgentRole.PM)
    execution = await an_execution(database)
    request = await a_request(database, "decision", execution.execution_id)
    running = await claim_and_start(database, "john-pm", request.task_id)
    with pytest.raises(InvalidInput, match="answered by decisionRecord"):
        await run(database, complete_task, JOHN, CompleteTask(request.task_id, running.version, {}))
    answer = a_decision(task_id=request.task_id, expected_version=running.version)
    row = await run(database, record_decision, JOHN, answer, SEALER)
    assert row.execution_id == execution.execution_id
    done = await row_of(database, tasks, task_id=request.task_id)
    assert (done.status, done.result) == ("completed", {"decision_id": str(row.decision_id)})
    with pytest.raises((IllegalTransition, StaleVersion)):
        await run(database, record_decision, JOHN, answer, SEALER)
    assert await count(database, decisions) == 1
    woken = await row_of(database, workflow_executions, execution_id=execution.execution_id)
    assert woken.wake_seq == execution.wake_seq + 1


async def test_a_gate_from_opening_to_approval(database: Database) -> None:
    await an_agent(database, "quinn-qa", AgentRole.QA)
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    with pytest.raises(Blocked, match="reviewed while IN_REVIEW"):
        await run(database, review_gate, QUINN, ReviewGate(gate.gate_id, ReviewVerdict.APPROVE))
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id, gate.version, ["quinn-qa", "mary"]))
    with pytest.raises(Blocked, match="reviews are outstanding"):
        await run(database, decide_gate, ADMIN, a_verdict(opened), SEALER)
    for principal in (QUINN, agent_principal("mary")):
        review = ReviewGate(gate.gate_id, ReviewVerdict.APPROVE, Decimal("8.5"), "fine")
        person = principal if principal is QUINN else type(principal)("mary", Role.REVIEWER)
        await run(database, review_gate, person, review)
    decided = await run(database, decide_gate, ADMIN, a_verdict(opened, quality_score=Decimal("8.5")), SEALER)
    assert (decided.approval_status, decided.pm_decision, decided.quality_score) == (
        "approved", "good enough", Decimal("8.50"),
    )  # fmt: skip
    decision = await row_of(database, decisions, decision_id=decided.decision_id)
    assert (decision.decision_type, decision.execution_id) == ("quality_gate", execution.execution_id)
    linked = await row_of(database, gate_reviewers, gate_id=gate.gate_id, reviewer="quinn-qa")
    assert (linked.agent_id, linked.verdict) == ("quinn-qa", "approve")
    assert [event[:3] for event in await events_of(database, gate.gate_id)] == [
        ("created", None, "pending"),
        ("opened", "pending", "in_review"),
        ("reviewed", None, None),
        ("reviewed", None, None),
        ("approved", "in_review", "approved"),
    ]


async def test_verdicts_that_are_refused_leave_no_decision(database: Database) -> None:
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    with pytest.raises(IllegalTransition):
        await run(database, decide_gate, ADMIN, a_verdict(gate), SEALER)
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    refusals: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"pm_decision": " "}, InvalidInput),
        ({"confidence_score": 11}, InvalidInput),
        ({"quality_score": Decimal("10.1")}, InvalidInput),
        ({"expected_version": 1}, StaleVersion),
    ]
    for changes, error in refusals:
        with pytest.raises(error):
            await run(database, decide_gate, ADMIN, a_verdict(opened, **changes), SEALER)
    assert await count(database, decisions) == 0
    assert (await row_of(database, quality_gates, gate_id=gate.gate_id)).approval_status == "in_review"


async def test_a_verdict_that_is_left_to_a_person_is_refused_from_an_agent(database: Database) -> None:
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id, validation_criteria={"verdict_by": "human"})
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    with pytest.raises(Forbidden, match="left to a person"):
        await run(database, decide_gate, JOHN, a_verdict(opened), SEALER)
    decided = await run(database, decide_gate, ADMIN, a_verdict(opened), SEALER)
    assert decided.approval_status == "approved"


async def test_a_revision_is_reviewed_anew(database: Database) -> None:
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    revised = await run(database, decide_gate, ADMIN, a_verdict(opened, ApprovalStatus.REQUIRES_REVISION), SEALER)
    assert revised.approval_status == "requires_revision"
    again = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    assert (again.approval_status, again.revision) == ("in_review", 1)
    await run(database, decide_gate, ADMIN, a_verdict(again), SEALER)
    assert await count(database, decisions) == 2


async def test_a_verdict_answers_the_request_for_it_and_for_no_other_gate(database: Database) -> None:
    await an_agent(database, "john-pm", AgentRole.PM)
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id, phase="one")
    other = await a_gate(database, execution.execution_id, phase="two")
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id))
    request = await a_request(database, "decision", execution.execution_id, gate.gate_id)
    running = await claim_and_start(database, "john-pm", request.task_id)
    with pytest.raises(InvalidInput, match="asks for a verdict"):
        await run(database, record_decision, JOHN, a_decision(task_id=request.task_id), SEALER)
    with pytest.raises(InvalidInput, match="is not about the gate"):
        await run(database, decide_gate, JOHN, a_verdict(other, task_id=request.task_id), SEALER)
    stranger = agent_principal("jane-pm", Role.PM)
    with pytest.raises(ClaimLost):
        await run(database, decide_gate, stranger, a_verdict(opened, task_id=request.task_id), SEALER)
    await run(database, decide_gate, JOHN, a_verdict(opened, task_id=request.task_id), SEALER)
    done = await row_of(database, tasks, task_id=request.task_id)
    assert (done.status, done.version) == ("completed", running.version + 1)
