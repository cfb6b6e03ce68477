"""Quality gates: open, review, and the verdicts: the PM's or a person's, the quorum's, and waivers."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import DecisionType
from app.domain.errors import Blocked, Forbidden, InvalidInput, StaleVersion
from app.domain.events import Aggregate, Event
from app.domain.gate_evidence import Evidence, require_same
from app.domain.gate_quorum import Tally, rules_of
from app.domain.principals import SYSTEM, Principal
from app.domain.quality_gates import (
    PM_DECISION_MAX,
    REASON_MAX,
    ApprovalStatus,
    ReviewVerdict,
    failed_checks,
    require_openable,
)
from app.domain.rules import SCORE, clean_text, required_text
from app.domain.tasks import TaskKind
from app.security.sealing import Sealer
from app.services.decisions import RecordDecision, store_decision
from app.services.gate_changes import escalation
from app.services.gate_creation import reviewer_names
from app.services.gate_evidence import evidence_of
from app.services.gate_facts import due_at, gate_detail, require_unended
from app.services.gate_reviews import count_reviews, require_approvable
from app.services.references import Reference, find, require_known
from app.services.tasks import answer_task, held_task
from db.queries import quality_gates as queries
from db.queries.changes import amend, append, transition
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
    _require_version(gate, command.expected_version)
    require_openable(ApprovalStatus(gate.approval_status))
    again = gate.approval_status == ApprovalStatus.REQUIRES_REVISION.value
    values: dict[str, Any] = {"revision": gate.revision + 1, "reviewed_at": None} if again else {}
    values |= (await evidence_of(session, gate)).columns()
    values["due_at"] = due_at(rules_of(gate.validation_criteria))
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
    """One reviewer's opinion. With `task_id` it answers that review request.

    `evidence_hash` is what the reviewer saw.
    """

    gate_id: UUID
    verdict: ReviewVerdict
    score: Decimal | None = None
    feedback: str = ""
    task_id: UUID | None = None
    expected_version: int | None = None
    evidence_hash: str | None = None


async def review_gate(session: AsyncConnection, principal: Principal, command: ReviewGate) -> Row[Any]:
    """Store the review of a gate that is in review; the gate's version stays, unless the quorum itself decides.

    A review that does not count is stored with the reason. Raises `InvalidInput`, `NotFound`, `Blocked`,
    `EvidenceChanged`, and for a task `ClaimLost`, `StaleVersion`.
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
    evidence = await evidence_of(session, gate)
    require_same(command.evidence_hash, evidence)
    reviewer = principal.agent_id or principal.name
    bound: dict[str, Any] = {"task_id": command.task_id} if command.task_id is not None else {}
    await queries.write_review(
        session,
        gate.gate_id,
        gate.revision,
        reviewer,
        principal.agent_id,
        command.verdict.value,
        command.score,
        feedback,
        session=principal.token_id or principal.name,
        evidence_hash=evidence.sha256,
        **bound,
    )
    detail = gate_detail(gate) | {"reviewer": reviewer, "verdict": command.verdict.value}
    await append(session, str(gate.gate_id), Event(Aggregate.QUALITY_GATE, "reviewed", principal.name, detail=detail))
    settled = await settle(session, gate)
    await wake(session, gate.workflow_execution_id)
    return settled


async def settle(session: AsyncConnection, gate: Row[Any]) -> Row[Any]:
    """Count the reviews; where the verdict is the quorum's, give it if it stands. The gate as it is then.

    Reviewers who are all done without a quorum and without an objection leave the gate to a human.
    """
    counted = await count_reviews(session, gate)
    rules = rules_of(gate.validation_criteria)
    if rules.verdict_by != "quorum" or gate.approval_status != ApprovalStatus.IN_REVIEW.value:
        return gate
    verdict = counted.verdict()
    if verdict is ApprovalStatus.APPROVED:
        try:
            await require_approvable(session, gate, counted, None)
        except Blocked as blocked:
            return await _leave_to_a_human(session, gate, blocked.message)
    if verdict is None:
        stuck = not counted.outstanding and await queries.reviews_given(session, gate.gate_id, gate.revision)
        return await _leave_to_a_human(session, gate, _stuck(gate, counted)) if stuck else gate
    return await _decide_by_quorum(session, gate, verdict, counted)


async def _decide_by_quorum(
    session: AsyncConnection, gate: Row[Any], verdict: ApprovalStatus, counted: Tally
) -> Row[Any]:
    said = (
        f"By quorum: {counted.approvals} of {counted.needed} needed approvals, {counted.rejections} rejections, "
        f"{counted.revisions} requests for a revision."
    )
    evidence = await evidence_of(session, gate)
    values = {
        "pm_decision": said,
        "quality_score": counted.mean_score,
        "decision_id": None,
        **_verdict_columns(evidence, verdict),
    }
    detail = gate_detail(gate) | {"by": "quorum", "approvals": counted.approvals, "needed": counted.needed}
    detail |= {"evidence_hash": evidence.sha256, "checks_failed": failed_checks(gate.automated_checks)}
    return await transition(
        session, GATE, gate.gate_id, verdict, EVENT_OF[verdict], SYSTEM.name, values=values, detail=detail
    )


async def _leave_to_a_human(session: AsyncConnection, gate: Row[Any], reason: str) -> Row[Any]:
    if gate.escalation_required:
        return gate
    values = escalation(reason[:REASON_MAX], rules_of(gate.validation_criteria).escalate_to)
    detail = gate_detail(gate) | {"reason": values["escalation_reason"], "escalated_to": values["escalated_to"]}
    return await amend(session, GATE, gate.gate_id, "escalated", SYSTEM.name, values=values, detail=detail)


def _stuck(gate: Row[Any], counted: Tally) -> str:
    excluded = f" These do not count: {', '.join(counted.excluded)}." if counted.excluded else ""
    return (
        f"All reviews of {gate.gate_name!r} are in, and {counted.approvals} of {counted.needed} needed approvals "
        f"count.{excluded} Assign more reviewers, give the verdict, or waive the gate."
    )


def _verdict_columns(evidence: Evidence, verdict: ApprovalStatus) -> dict[str, Any]:
    return {
        **evidence.columns(),
        "verdict_evidence_hash": evidence.sha256,
        "reviewed_at": func.clock_timestamp(),
        "approved_at": func.clock_timestamp() if verdict is ApprovalStatus.APPROVED else None,
        "due_at": None,
    }


@dataclass(frozen=True)
class DecideGate:
    """The PM's verdict, which is a decision of its own. With `task_id` it answers that request.

    `evidence_hash` is what the decider saw. A waiver approves whatever the reviews say; its reason is `pm_decision`.
    """

    gate_id: UUID
    verdict: ApprovalStatus
    expected_version: int
    pm_decision: str
    confidence_score: int
    reasoning_process: str | None = None
    quality_score: Decimal | None = None
    improvement_suggestions: str = ""
    task_id: UUID | None = None
    evidence_hash: str | None = None
    waives: bool = False


async def decide_gate(session: AsyncConnection, principal: Principal, command: DecideGate, sealer: Sealer) -> Row[Any]:
    """In_review → approved, rejected or requires_revision, with the decision behind it.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`; `Blocked` when reviews are outstanding at
    an approval, or its quorum, score or criteria fall short; `EvidenceChanged`; `Forbidden` when an agent would
    decide a gate that is left to a person.
    """
    SCORE.check("qualityScore", command.quality_score)
    said = "reason" if command.waives else "pmDecision"
    pm_decision = required_text(said, command.pm_decision, REASON_MAX if command.waives else PM_DECISION_MAX)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    _require_person(gate, principal)
    await require_unended(session, gate)
    if command.task_id is not None:
        await _require_gate_of_task(session, principal, command.task_id, command.gate_id)
        await answer_task(
            session, principal, command.task_id, None, TaskKind.DECISION, {"verdict": command.verdict.value}
        )
    evidence = await evidence_of(session, gate)
    require_same(command.evidence_hash, evidence)
    if command.verdict is ApprovalStatus.APPROVED and not command.waives:
        await _require_approvable(session, gate, command.quality_score)
    decision = await store_decision(session, principal, _decision(gate, command, pm_decision, evidence), sealer)
    values = {
        "pm_decision": pm_decision,
        "quality_score": command.quality_score,
        "improvement_suggestions": clean_text("improvementSuggestions", command.improvement_suggestions),
        "decision_id": decision.decision_id,
        **_verdict_columns(evidence, command.verdict),
    }
    failed = failed_checks(gate.automated_checks)
    detail = gate_detail(gate) | {"decision_id": str(decision.decision_id), "checks_failed": failed}
    detail["evidence_hash"] = evidence.sha256
    if command.waives:
        values |= {"waived_by": principal.agent_id or principal.name, "waiver_reason": pm_decision}
        detail |= {"waived": True, "reason": pm_decision}
    decided = await transition(
        session,
        GATE,
        command.gate_id,
        command.verdict,
        "waived" if command.waives else EVENT_OF[command.verdict],
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=detail,
    )
    await wake(session, gate.workflow_execution_id)
    return decided


def _decision(gate: Row[Any], command: DecideGate, pm_decision: str, evidence: Evidence) -> RecordDecision:
    context = {
        "gate_id": str(gate.gate_id),
        "gate_name": gate.gate_name,
        "revision": gate.revision,
        "automated_checks": gate.automated_checks,
        "evidence_hash": evidence.sha256,
    }
    return RecordDecision(
        decision_type=DecisionType.QUALITY_GATE,
        context_data=context,
        reasoning_process=command.reasoning_process or pm_decision,
        outcome=f"{'waived' if command.waives else command.verdict.value}: {pm_decision}",
        confidence_score=command.confidence_score,
        execution_id=gate.workflow_execution_id,
    )


def _require_person(gate: Row[Any], principal: Principal) -> None:
    if gate.validation_criteria.get("verdict_by") == "human" and principal.agent_id is not None:
        raise Forbidden(
            f"The verdict on {gate.gate_name!r} is left to a person; the agent {principal.agent_id} may not give it. "
            "A person gives it with `hub gate approve`."
        )


async def _require_approvable(session: AsyncConnection, gate: Row[Any], score: Decimal | None) -> None:
    """Raise `Blocked` unless the reviews, the score and the gate's criteria let it be approved."""
    counted = await count_reviews(session, gate)
    await require_approvable(session, gate, counted, score)


def _require_version(gate: Row[Any], expected: int | None) -> None:
    if expected is not None and gate.version != expected:
        raise StaleVersion(GATE.kind, gate.gate_id, expected, gate.version)


async def _require_gate_of_task(session: AsyncConnection, principal: Principal, task_id: UUID, gate_id: UUID) -> None:
    await require_known(session, [Reference("taskId", TASK, task_id)])
    task = await held_task(session, principal, task_id)
    if task.gate_id != gate_id:
        raise InvalidInput(f"The task {task_id} is not about the gate {gate_id}. Nothing was written.", "input.taskId")


def _float(value: Decimal | None) -> float | None:
    return float(value) if value is not None else None
