"""What becomes of an open gate besides reviews and verdicts: more reviewers, measured checks, escalations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, InvalidInput
from app.domain.gate_checks import MeasuredCheck, merge_checks
from app.domain.principals import Principal
from app.domain.quality_gates import (
    GATE_MACHINE,
    REASON_MAX,
    ApprovalStatus,
    failed_checks,
)
from app.domain.rules import clean_text, required_text
from app.services.gate_creation import reviewer_names
from app.services.gate_facts import gate_detail, require_unended
from app.services.references import find
from db.queries import quality_gates as queries
from db.queries.changes import amend
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
    values = {"automated_checks": checks}
    amended = await _amend(session, principal, gate, command.expected_version, "checks_recorded", values, detail)
    await wake(session, gate.workflow_execution_id)
    return amended


@dataclass(frozen=True)
class EscalateGate:
    """A human must look at the gate, and why."""

    gate_id: UUID
    expected_version: int
    reason: str


async def escalate_gate(session: AsyncConnection, principal: Principal, command: EscalateGate) -> Row[Any]:
    """Mark an open gate as one that a human must look at; a later reason replaces an earlier one.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`; `Blocked` when the gate is decided.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    gate = await find(session, GATE, command.gate_id, "gateId", lock=True)
    await _require_open(session, gate)
    values = {"escalation_required": True, "escalation_reason": reason}
    escalated = await _amend(
        session, principal, gate, command.expected_version, "escalated", values, {"reason": reason}
    )
    await wake(session, gate.workflow_execution_id)
    return escalated


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
    values = {"escalation_required": False, "escalation_reason": None}
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
    if GATE_MACHINE.is_final(ApprovalStatus(gate.approval_status)):
        raise Blocked(
            f"The gate {gate.gate_name!r} is {gate.approval_status.upper()}, which is final. Nothing was changed."
        )
    await require_unended(session, gate)
