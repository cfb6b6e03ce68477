"""Quality gates: types, approval status, reviews, and automated checks on measured values."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from app.domain.errors import IllegalTransition
from app.domain.machines import Machine

REVIEWERS_MAX = 50
"""Reviewers that may be named at once."""
PM_DECISION_MAX = 99_900
"""Characters of a verdict in words: the outcome of its decision repeats them behind the verdict itself."""
REASON_MAX = 2_000
"""Characters of a reason of an escalation, or of a note on it."""


class GateType(StrEnum):
    """What a gate validates."""

    CONTENT_VALIDATION = "content_validation"
    TECHNICAL_REVIEW = "technical_review"
    SECURITY_CHECK = "security_check"
    PERFORMANCE_TEST = "performance_test"
    FINAL_APPROVAL = "final_approval"


class ApprovalStatus(StrEnum):
    """Where a gate stands."""

    PENDING = "pending"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    REQUIRES_REVISION = "requires_revision"


class ReviewVerdict(StrEnum):
    """What one reviewer recommends."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_REVISION = "request_revision"


GATE_MACHINE = Machine(
    "quality gate",
    ApprovalStatus.PENDING,
    {
        ApprovalStatus.PENDING: (ApprovalStatus.IN_REVIEW,),
        ApprovalStatus.IN_REVIEW: (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED, ApprovalStatus.REQUIRES_REVISION),
        ApprovalStatus.REQUIRES_REVISION: (ApprovalStatus.IN_REVIEW,),
        # only the hub goes this way, when what was approved changes before the execution moves on
        ApprovalStatus.APPROVED: (ApprovalStatus.IN_REVIEW,),
        ApprovalStatus.REJECTED: (),
    },
)

FINAL_VERDICTS = (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED)
"""The verdicts that require `pm_decision`. Nobody changes them but the hub, which voids approvals of other evidence."""


def is_decided(status: str) -> bool:
    """Whether the gate has its verdict."""
    return status in FINAL_VERDICTS


def require_openable(status: ApprovalStatus) -> None:
    """Raise `IllegalTransition` unless somebody may open the gate: an approval is voided by the hub alone."""
    if status is ApprovalStatus.APPROVED:
        raise IllegalTransition(GATE_MACHINE.name, status, ApprovalStatus.IN_REVIEW, ())
    GATE_MACHINE.require(status, ApprovalStatus.IN_REVIEW)


def lookup(path: str, results: Mapping[str, Any]) -> Any:
    """The value at a dotted path in nested mappings and lists, or None where the path leads nowhere."""
    value: Any = results
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def run_check(
    name: str, measure: str, at_most: float | None, at_least: float | None, results: Mapping[str, Any]
) -> dict[str, Any]:
    """One automated check on the phases' results: the value at the path `measure` beside its thresholds.

    A value that is missing or not a number does not pass.
    """
    found = lookup(measure, results)
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    return check_result(name, measure, found if is_number else None, at_most, at_least)


def check_result(
    name: str, measure: str | None, measured: float | None, at_most: float | None, at_least: float | None
) -> dict[str, Any]:
    """A check as a gate keeps it. It passed if there is a value, not above `at_most` and not below `at_least`."""
    passed = (
        measured is not None and (at_most is None or measured <= at_most) and (at_least is None or measured >= at_least)
    )
    return {
        "name": name,
        "measure": measure,
        "measured": measured,
        "at_most": at_most,
        "at_least": at_least,
        "passed": passed,
    }


def failed_checks(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the checks that did not pass."""
    return [check["name"] for check in checks if not check["passed"]]
