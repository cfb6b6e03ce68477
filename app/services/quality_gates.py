"""Quality gates: open, review, and the PM's verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import DecisionType
from app.domain.errors import Blocked, Forbidden, InvalidInput
from app.domain.events import Aggregate, Event
from app.domain.principals import Principal
from app.domain.quality_gates import PM_DECISION_MAX, ApprovalStatus, ReviewVerdict, failed_checks
from app.domain.rules import SCORE, clean_text, required_text
from app.domain.tasks import TaskKind
from app.security.sealing import Sealer
from app.services.decisions import RecordDecision, store_decision
from app.services.gate_creation import reviewer_names
from app.services.gate_facts import gate_detail, require_unended
from app.services.references import Reference, find, require_known
from app.services.tasks import answer_task, held_task
from db.queries import quality_gates as queries
from db.queries.changes import append, transition
from db.queries.entities import GATE, TASK
from db.queries.executions import wake

EVENT_OF = {
    ApprovalStatus.APPROVED: "approved",
    ApprovalStatus.REJECTED: "rejected",
    ApprovalStatus.REQUIRES_REVISION: "revision_requested",
}


@dataclass(frozen=True)
class OpenGate:
    """Begin, or after a revision begin again, the review of a gate."""

    gate_id: UUID
    expected_version: int | None = None
    reviewers: Sequence[str] = ()


async def open_gate(session: AsyncConnection, principal: Principal, command: OpenGate) -> Row[Any]:
    """Pending or requires_revision → in_review, with its reviewers; each reopening is a new revision.

    Raises `NotFound`, `StaleVersion`, `IllegalTransition`, `InvalidInput`.
    """
    reviewers = reviewer_names("reviewers", command.reviewers)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    _require_person(gate, principal)
    await require_unended(session, gate)
    again = gate.approval_status == ApprovalStatus.REQUIRES_REVISION.value
    values = {"revision": gate.revision + 1, "reviewed_at": None} if again else {}
    opened = await transition(
        session,
        GATE,
        command.gate_id,
        ApprovalStatus.IN_REVIEW,
        "opened",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=gate_detail(gate) | {"reviewers": reviewers},
    )
    await queries.assign_reviewers(session, command.gate_id, opened.revision, reviewers)
    await wake(session, gate.workflow_execution_id)
    return opened


@dataclass(frozen=True)
class ReviewGate:
    """One reviewer's opinion. With `task_id` it answers that review request."""

    gate_id: UUID
    verdict: ReviewVerdict
    score: Decimal | None = None
    feedback: str = ""
    task_id: UUID | None = None
    expected_version: int | None = None


async def review_gate(session: AsyncConnection, principal: Principal, command: ReviewGate) -> Row[Any]:
    """Store the review of a gate that is in review; the gate's version stays, since the verdict is the PM's.

    Raises `InvalidInput`, `NotFound`, `Blocked`, and for a task `ClaimLost`, `StaleVersion`.
    """
    SCORE.check("score", command.score)
    feedback = clean_text("feedback", command.feedback)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    if command.task_id is not None:
        await _require_gate_of_task(session, principal, command.task_id, command.gate_id)
        answer = {"verdict": command.verdict.value, "score": _float(command.score), "feedback": feedback}
        await answer_task(session, principal, command.task_id, command.expected_version, TaskKind.REVIEW, answer)
    await require_unended(session, gate)
    if gate.approval_status != ApprovalStatus.IN_REVIEW.value:
        raise Blocked(
            f"The gate {gate.gate_name!r} is {gate.approval_status.upper()}; it is reviewed while IN_REVIEW. "
            "Nothing was written."
        )
    reviewer = principal.agent_id or principal.name
    await queries.write_review(
        session,
        gate.gate_id,
        gate.revision,
        reviewer,
        principal.agent_id,
        command.verdict.value,
        command.score,
        feedback,
    )
    detail = gate_detail(gate) | {"reviewer": reviewer, "verdict": command.verdict.value}
    await append(session, str(gate.gate_id), Event(Aggregate.QUALITY_GATE, "reviewed", principal.name, detail=detail))
    await wake(session, gate.workflow_execution_id)
    return gate


@dataclass(frozen=True)
class DecideGate:
    """The PM's verdict, which is a decision of its own. With `task_id` it answers that request."""

    gate_id: UUID
    verdict: ApprovalStatus
    expected_version: int
    pm_decision: str
    confidence_score: int
    reasoning_process: str | None = None
    quality_score: Decimal | None = None
    improvement_suggestions: str = ""
    task_id: UUID | None = None


async def decide_gate(session: AsyncConnection, principal: Principal, command: DecideGate, sealer: Sealer) -> Row[Any]:
    """In_review → approved, rejected or requires_revision, with the decision behind it.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`; `Blocked` when reviews are outstanding at
    an approval; `Forbidden` when an agent would decide a gate that is left to a person.
    """
    SCORE.check("qualityScore", command.quality_score)
    pm_decision = required_text("pmDecision", command.pm_decision, PM_DECISION_MAX)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    _require_person(gate, principal)
    await require_unended(session, gate)
    if command.task_id is not None:
        await _require_gate_of_task(session, principal, command.task_id, command.gate_id)
        await answer_task(
            session, principal, command.task_id, None, TaskKind.DECISION, {"verdict": command.verdict.value}
        )
    if command.verdict is ApprovalStatus.APPROVED:
        await _require_reviews(session, gate)
    decision = await store_decision(session, principal, _decision(gate, command, pm_decision), sealer)
    values = {
        "pm_decision": pm_decision,
        "quality_score": command.quality_score,
        "improvement_suggestions": clean_text("improvementSuggestions", command.improvement_suggestions),
        "decision_id": decision.decision_id,
        "reviewed_at": func.clock_timestamp(),
        "approved_at": func.clock_timestamp() if command.verdict is ApprovalStatus.APPROVED else None,
    }
    failed = failed_checks(gate.automated_checks)
    detail = gate_detail(gate) | {"decision_id": str(decision.decision_id), "checks_failed": failed}
    decided = await transition(
        session,
        GATE,
        command.gate_id,
        command.verdict,
        EVENT_OF[command.verdict],
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=detail,
    )
    await wake(session, gate.workflow_execution_id)
    return decided


def _decision(gate: Row[Any], command: DecideGate, pm_decision: str) -> RecordDecision:
    context = {
        "gate_id": str(gate.gate_id),
        "gate_name": gate.gate_name,
        "revision": gate.revision,
        "automated_checks": gate.automated_checks,
    }
    return RecordDecision(
        decision_type=DecisionType.QUALITY_GATE,
        context_data=context,
        reasoning_process=command.reasoning_process or pm_decision,
        outcome=f"{command.verdict.value}: {pm_decision}",
        confidence_score=command.confidence_score,
        execution_id=gate.workflow_execution_id,
    )


def _require_person(gate: Row[Any], principal: Principal) -> None:
    if gate.validation_criteria.get("verdict_by") == "human" and principal.agent_id is not None:
        raise Forbidden(
            f"The verdict on {gate.gate_name!r} is left to a person; the agent {principal.agent_id} may not give it. "
            "A person gives it with `hub gate approve`."
        )


async def _require_reviews(session: AsyncConnection, gate: Row[Any]) -> None:
    outstanding = await queries.outstanding_reviews(session, gate.gate_id, gate.revision)
    if outstanding:
        failed = failed_checks(gate.automated_checks)
        informed = (
            f" Automated checks that failed, which the verdict may overrule: {', '.join(failed)}." if failed else ""
        )
        raise Blocked(
            f"The gate {gate.gate_name!r} cannot be approved yet: reviews are outstanding, of "
            f"{', '.join(outstanding)}.{informed} Nothing was changed."
        )


async def _require_gate_of_task(session: AsyncConnection, principal: Principal, task_id: UUID, gate_id: UUID) -> None:
    await require_known(session, [Reference("taskId", TASK, task_id)])
    task = await held_task(session, principal, task_id)
    if task.gate_id != gate_id:
        raise InvalidInput(f"The task {task_id} is not about the gate {gate_id}. Nothing was written.", "input.taskId")


def _float(value: Decimal | None) -> float | None:
    return float(value) if value is not None else None
