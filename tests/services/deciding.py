"""Decisions and verdicts as the tests give them."""

from typing import Any

from app.domain.decisions import DecisionType
from app.domain.principals import Role
from app.domain.quality_gates import ApprovalStatus
from app.services.decisions import RecordDecision
from app.services.quality_gates import DecideGate
from app.services.tasks import ClaimTask, StartTask, claim_task, start_task
from db.session import Database
from tests.services.makers import ADMIN, agent_principal, run

JOHN = agent_principal("john-pm", Role.PM)
QUINN = agent_principal("quinn-qa")


def a_decision(**changes: Any) -> RecordDecision:
    values: dict[str, Any] = {
        "decision_type": DecisionType.TASK_ASSIGNMENT,
        "context_data": {"budget": "very secret"},
        "reasoning_process": "because of the secret",
        "outcome": "audit everything",
        "confidence_score": 8,
    }
    return RecordDecision(**values | changes)


def a_verdict(gate: Any, verdict: ApprovalStatus = ApprovalStatus.APPROVED, **changes: Any) -> DecideGate:
    values: dict[str, Any] = {
        "gate_id": gate.gate_id,
        "verdict": verdict,
        "expected_version": gate.version,
        "pm_decision": "good enough",
        "confidence_score": 7,
    }
    return DecideGate(**values | changes)


async def claim_and_start(database: Database, agent_id: str, task_id: Any) -> Any:
    claimed = await run(database, claim_task, ADMIN, ClaimTask(agent_id, task_id))
    return await run(database, start_task, ADMIN, StartTask(task_id, claimed.version))
