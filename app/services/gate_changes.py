"""What becomes of an open gate besides reviews and verdicts: more reviewers, measured checks, escalations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, InvalidInput
from app.domain.gate_checks import MeasuredCheck, merge_checks
from app.domain.gate_quorum import rules_of
from app.domain.principals import SYSTEM, Principal
from app.domain.quality_gates import (
    REASON_MAX,
    ApprovalStatus,
    failed_checks,
    is_decided,
)
from app.domain.rules import NAME_MAX, clean_text, required_text
from app.services.gate_creation import reviewer_names
from app.services.gate_evidence import evidence_of
from app.services.gate_facts import gate_detail, require_unended
from app.services.references import find
from db.queries import quality_gates as queries
from db.queries.changes import amend, read
from db.queries.entities import GATE
from db.queries.executions import wake

TAKES_REVIEWERS = (ApprovalStatus.PENDING, ApprovalStatus.IN_REVIEW)


@dataclass(frozen=True)
class AssignReviewers:
    """More reviewers of a gate's current revision."""

    gate_id: UUID
    expected_version: int
    reviewers: Sequence[str]


async def assign_reviewers(session: AsyncConnection, principal: Principal, command: AssignReviewers) -> Row[Any]:
    """Ask these agents or people for their reviews, without which the gate is not approved any more.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`; `Blocked` unless the gate is pending or in review.
    """
    reviewers = reviewer_names("reviewers", command.reviewers)
    if not reviewers:
        raise InvalidInput("reviewers must name at least one reviewer. Nothing was written.", "input.reviewers")
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    await require_unended(session, gate)
    if gate.approval_status not in TAKES_REVIEWERS:
        raise Blocked(
            f"The gate {gate.gate_name!r} is {gate.approval_status.upper()} and takes no reviewers; those of its next "
            "revision are named when it is opened again. Nothing was changed."
        )
    detail = {"reviewers": reviewers}
    amended = await _amend(session, principal, gate, command.expected_version, "review_requested", {}, detail)
    await queries.assign_reviewers(session, gate.gate_id, gate.revision, reviewers)
    await wake(session, gate.workflow_execution_id)
    return amended


@dataclass(frozen=True)
class RecordChecks:
    """Values that were measured for a gate."""

    gate_id: UUID
    expected_version: int
    checks: Sequence[MeasuredCheck]


async def record_checks(session: AsyncConnection, principal: Principal, command: RecordChecks) -> Row[Any]:
    """Merge the values with the gate's checks, by name; whether each passed is computed here.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`; `Blocked` when the gate is decided.
    """
    if not command.checks:
        raise InvalidInput("checks must hold at least one check. Nothing was written.", "input.checks")
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    await _require_open(session, gate)
    checks = merge_checks(gate.automated_checks, command.checks)
    detail = {"checks": [check.name.strip() for check in command.checks], "checks_failed": failed_checks(checks)}
    evidence = await evidence_of(session, gate, checks)
    values = {"automated_checks": checks, **evidence.columns()}
    amended = await _amend(session, principal, gate, command.expected_version, "checks_recorded", values, detail)
    await wake(session, gate.workflow_execution_id)
    return amended


@dataclass(frozen=True)
class EscalateGate:
    """A human must look at the gate, and why."""

    gate_id: UUID
    expected_version: int
    reason: str
    escalate_to: str | None = None


async def escalate_gate(session: AsyncConnection, principal: Principal, command: EscalateGate) -> Row[Any]:
    """Mark an open gate as one that a human must look at; a later reason replaces an earlier one.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`; `Blocked` when the gate is decided.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    await _require_open(session, gate)
    to = required_text("escalateTo", command.escalate_to, NAME_MAX) if command.escalate_to is not None else None
    values = escalation(reason, to or rules_of(gate.validation_criteria).escalate_to)
    detail = {"reason": reason, "escalated_to": values["escalated_to"]}
    escalated = await _amend(session, principal, gate, command.expected_version, "escalated", values, detail)
    await wake(session, gate.workflow_execution_id)
    return escalated


def escalation(reason: str, escalated_to: str | None) -> dict[str, Any]:
    """The columns of a gate that a human must look at, from now on."""
    return {
        "escalation_required": True,
        "escalation_reason": reason,
        "escalated_at": func.clock_timestamp(),
        "escalated_to": escalated_to,
    }


async def escalate_overdue(session: AsyncConnection, gate_id: UUID) -> Row[Any] | None:
    """Escalate a gate whose verdict is overdue, once; None when it came, or somebody else was faster.

    The gate goes on waiting: nothing fails because nobody looked.
    """
    gate = await read(session, GATE, gate_id, lock=True)
    is_open = gate.approval_status == ApprovalStatus.IN_REVIEW.value and gate.closed_at is None
    if not is_open or not await queries.is_overdue(session, gate_id):
        return None
    rules = rules_of(gate.validation_criteria)
    reason = f"No verdict came within {rules.timeout_seconds:g} seconds." if rules.timeout_seconds else "Overdue."
    if gate.escalation_required:
        reason = f"{reason} Before: {gate.escalation_reason}"[:REASON_MAX]
    values = {**escalation(reason, gate.escalated_to or rules.escalate_to), "due_at": null()}
    detail = {"reason": reason, "escalated_to": values["escalated_to"], "timed_out": True}
    return await _amend(session, SYSTEM, gate, gate.version, "escalated", values, detail)


@dataclass(frozen=True)
class ResolveEscalation:
    """A human has looked at the gate."""

    gate_id: UUID
    expected_version: int
    note: str = ""


async def resolve_escalation(session: AsyncConnection, principal: Principal, command: ResolveEscalation) -> Row[Any]:
    """End the escalation of a gate, decided or not; the event keeps its reason and the note.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`; `Blocked` when the gate is not escalated.
    """
    note = clean_text("note", command.note, REASON_MAX)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    if not gate.escalation_required:
        raise Blocked(f"The gate {gate.gate_name!r} is not escalated. Nothing was changed.")
    detail = {"reason": gate.escalation_reason, "note": note}
    values: dict[str, Any] = dict.fromkeys(("escalation_reason", "escalated_at", "escalated_to"))
    values["escalation_required"] = False
    resolved = await _amend(session, principal, gate, command.expected_version, "escalation_resolved", values, detail)
    await wake(session, gate.workflow_execution_id)
    return resolved


async def _amend(
    session: AsyncConnection,
    principal: Principal,
    gate: Row[Any],
    expected_version: int,
    event_type: str,
    values: Mapping[str, Any],
    detail: dict[str, Any],
) -> Row[Any]:
    """Change the gate, and tell the requests that are open about it, which hold what they asked about."""
    amended = await amend(
        session,
        GATE,
        gate.gate_id,
        event_type,
        principal.name,
        expected_version=expected_version,
        values=values,
        detail=gate_detail(gate) | detail,
    )
    await queries.refresh_requests(session, amended)
    return amended


async def _require_open(session: AsyncConnection, gate: Row[Any]) -> None:
    if is_decided(gate.approval_status):
        raise Blocked(
            f"The gate {gate.gate_name!r} is {gate.approval_status.upper()}, which is final. Nothing was changed."
        )
    await require_unended(session, gate)
