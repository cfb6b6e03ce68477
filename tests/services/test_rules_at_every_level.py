"""Each rule on decisions, quality gates and model assignments holds in domain, service and database."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, update
from sqlalchemy.exc import IntegrityError

from app.domain.decisions import CONFIDENCE
from app.domain.errors import HubError, IllegalTransition, InvalidInput
from app.domain.model_assignments import (
    AMOUNT_USED,
    ASSIGNMENT_MACHINE,
    AssignmentReason,
    AssignmentStatus,
    ModelChoice,
    Provider,
    exact_cost,
    fallback_chain,
)
from app.domain.quality_gates import GATE_MACHINE, ApprovalStatus, GateType, ReviewVerdict
from app.domain.rules import NAME_MAX, SCORE, TEN_POINT, required_text
from app.services.decisions import record_decision
from app.services.evidence import Evidence, check_evidence
from app.services.gate_changes import EscalateGate, escalate_gate
from app.services.gate_creation import CreateGate, create_gate
from app.services.model_assignments import (
    CompleteAssignment,
    FailAssignment,
    ModelUse,
    RecordAssignment,
    complete_assignment,
    fail_assignment,
    record_assignment,
)
from app.services.quality_gates import OpenGate, ReviewGate, decide_gate, open_gate, review_gate
from db.session import Database
from db.tables.decisions import decision_evidence, decisions
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import gate_reviewers, quality_gates
from tests.services.deciding import a_decision, a_verdict
from tests.services.makers import ADMIN, SEALER, a_gate, a_running_task, an_agent, an_execution, run
from tests.services.test_decisions import HOUR, NOW


@dataclass
class State:
    """A row of everything, valid."""

    database: Database
    gate: Any
    task: Any
    assignment: Any

    async def decide(self, **changes: Any) -> Any:
        return await run(self.database, record_decision, ADMIN, a_decision(**changes), SEALER)

    async def judge(self, **changes: Any) -> Any:
        return await run(self.database, decide_gate, ADMIN, a_verdict(self.gate, **changes), SEALER)

    async def review(self, score: Decimal) -> Any:
        return await run(self.database, review_gate, ADMIN, ReviewGate(self.gate.gate_id, ReviewVerdict.APPROVE, score))

    async def create_gate(self, name: str) -> Any:
        command = CreateGate(self.gate.workflow_execution_id, name, GateType.SECURITY_CHECK)
        return await run(self.database, create_gate, ADMIN, command)

    async def reopen(self) -> Any:
        return await run(self.database, open_gate, ADMIN, OpenGate(self.gate.gate_id))

    async def escalate(self, reason: str) -> Any:
        command = EscalateGate(self.gate.gate_id, self.gate.version, reason)
        return await run(self.database, escalate_gate, ADMIN, command)

    async def assign(self, **changes: Any) -> Any:
        values: dict[str, Any] = {
            "agent_id": "james-dev",
            "task_id": self.task.task_id,
            "provider_name": Provider.CLAUDE_CODE,
            "model_name": "claude-sonnet-4",
            "assignment_reason": AssignmentReason.COMPLEXITY_HIGH,
        }
        return await run(self.database, record_assignment, ADMIN, RecordAssignment(**values | changes))

    async def complete(self, **changes: Any) -> Any:
        command = CompleteAssignment(self.assignment.assignment_id, self.assignment.version, **changes)
        return await run(self.database, complete_assignment, ADMIN, command)

    async def fail(self, reason: str, **use: Any) -> Any:
        command = FailAssignment(self.assignment.assignment_id, self.assignment.version, reason, ModelUse(**use))
        return await run(self.database, fail_assignment, ADMIN, command)


@pytest.fixture
async def state(database: Database) -> State:
    await an_agent(database)
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    opened = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id, 1, ["mary"]))
    task = await a_running_task(database)
    state = State(database, opened, task, None)
    await state.decide(evidence=[Evidence(**HOUR, snapshot={}, agent_id="james-dev")])
    state.assignment = await state.assign()
    return state


Domain = Callable[[], object]
Service = Callable[[State], Awaitable[Any]]
MINUS = Decimal("-0.01")
TOO_MUCH = Decimal("10.01")
NAMELESS = ModelChoice(Provider.ZAI_GLM, " ")

RULES: dict[str, tuple[Domain, Service, Table, dict[str, Any], str]] = {
    "confidence is from 1 to 10": (
        lambda: CONFIDENCE.check("confidenceScore", 11),
        lambda state: state.decide(confidence_score=11),
        decisions,
        {"confidence_score": 11},
        "ck_decisions_confidence_score",
    ),
    "a decision has its reasoning": (
        lambda: required_text("reasoningProcess", " \n"),
        lambda state: state.decide(reasoning_process=" \n"),
        decisions,
        {"reasoning_process_sealed": b"x" * 28},
        "ck_decisions_reasoning_process",
    ),
    "a decision has an outcome": (
        lambda: required_text("outcome", ""),
        lambda state: state.decide(outcome=""),
        decisions,
        {"outcome": " "},
        "ck_decisions_outcome",
    ),
    "evidence ends after it starts": (
        lambda: check_evidence([Evidence(NOW, HOUR["interval_start"], {}, "james-dev")]),
        lambda state: state.decide(evidence=[Evidence(NOW, HOUR["interval_start"], {}, "james-dev")]),
        decision_evidence,
        {"interval_start": NOW, "interval_end": HOUR["interval_start"]},
        "ck_decision_evidence_interval",
    ),
    "evidence is somebody's": (
        lambda: check_evidence([Evidence(**HOUR, snapshot={})]),
        lambda state: state.decide(evidence=[Evidence(**HOUR, snapshot={})]),
        decision_evidence,
        {"agent_id": None, "execution_id": None},
        "ck_decision_evidence_subject",
    ),
    "a quality score is from 0 to 10": (
        lambda: SCORE.check("qualityScore", TOO_MUCH),
        lambda state: state.judge(quality_score=TOO_MUCH, verdict=ApprovalStatus.REJECTED),
        quality_gates,
        {"quality_score": TOO_MUCH},
        "ck_quality_gates_quality_score",
    ),
    "a final verdict has its reasons": (
        lambda: required_text("pmDecision", " "),
        lambda state: state.judge(pm_decision=" ", verdict=ApprovalStatus.REJECTED),
        quality_gates,
        {"approval_status": "rejected", "pm_decision": " "},
        "ck_quality_gates_verdict_has_pm_decision",
    ),
    "a gate has a name": (
        lambda: required_text("gateName", " ", NAME_MAX),
        lambda state: state.create_gate(" "),
        quality_gates,
        {"gate_name": " "},
        "ck_quality_gates_gate_name",
    ),
    "a gate follows its machine": (
        lambda: GATE_MACHINE.require(ApprovalStatus.IN_REVIEW, ApprovalStatus.PENDING),
        lambda state: state.reopen(),
        quality_gates,
        {"approval_status": "reopened"},
        "ck_quality_gates_approval_status",
    ),
    "an escalation has its reason": (
        lambda: required_text("reason", " "),
        lambda state: state.escalate(" "),
        quality_gates,
        {"escalation_required": True, "escalated_at": NOW, "escalation_reason": " "},
        "ck_quality_gates_escalation_reason",
    ),
    "a reviewer's score is from 0 to 10": (
        lambda: SCORE.check("score", MINUS),
        lambda state: state.review(MINUS),
        gate_reviewers,
        {"score": MINUS},
        "ck_gate_reviewers_score",
    ),
    "complexity is from 1 to 10": (
        lambda: TEN_POINT.check("taskComplexity", 0),
        lambda state: state.assign(task_complexity=0),
        model_assignments,
        {"task_complexity": 0},
        "ck_model_assignments_task_complexity",
    ),
    "an estimated cost is not negative": (
        lambda: exact_cost("estimatedCost", MINUS),
        lambda state: state.assign(estimated_cost=MINUS),
        model_assignments,
        {"estimated_cost": MINUS},
        "ck_model_assignments_estimated_cost",
    ),
    "an actual cost is not negative": (
        lambda: exact_cost("actualCost", MINUS),
        lambda state: state.complete(actual_cost=MINUS),
        model_assignments,
        {"actual_cost": MINUS},
        "ck_model_assignments_actual_cost",
    ),
    "a performance score is from 0 to 10": (
        lambda: SCORE.check("performanceScore", TOO_MUCH),
        lambda state: state.complete(performance_score=TOO_MUCH),
        model_assignments,
        {"performance_score": TOO_MUCH},
        "ck_model_assignments_performance_score",
    ),
    "tokens are not negative": (
        lambda: AMOUNT_USED.check("tokensUsed", -1),
        lambda state: state.fail("Overloaded.", tokens_used=-1),
        model_assignments,
        {"tokens_used": -1},
        "ck_model_assignments_tokens_used",
    ),
    "a model's time is not negative": (
        lambda: AMOUNT_USED.check("processingTime", -1),
        lambda state: state.complete(processing_time=-1),
        model_assignments,
        {"processing_time": -1},
        "ck_model_assignments_processing_time",
    ),
    "a model has a name": (
        lambda: fallback_chain([NAMELESS]),
        lambda state: state.assign(model_name=" "),
        model_assignments,
        {"model_name": " "},
        "ck_model_assignments_model_name",
    ),
    "a failure has its reason": (
        lambda: required_text("reason", " "),
        lambda state: state.fail(" "),
        model_assignments,
        {"assignment_status": "failed", "failure_reason": " "},
        "ck_model_assignments_failure_reason",
    ),
    "an assignment begins as planned or active": (
        lambda: ASSIGNMENT_MACHINE.require(AssignmentStatus.FAILED, AssignmentStatus.ACTIVE),
        lambda state: state.assign(assignment_status=AssignmentStatus.FAILED),
        model_assignments,
        {"assignment_status": "begun"},
        "ck_model_assignments_assignment_status",
    ),
}


@pytest.mark.parametrize("name", RULES)
async def test_a_rule_holds_at_every_level(state: State, name: str) -> None:
    domain, service, table, values, check = RULES[name]
    with pytest.raises((InvalidInput, IllegalTransition)):
        domain()
    with pytest.raises(HubError) as refused:
        await service(state)
    assert isinstance(refused.value, (InvalidInput, IllegalTransition))
    with pytest.raises(IntegrityError, match=check):
        async with state.database.engine.begin() as connection:
            await connection.execute(update(table).values(**values))
