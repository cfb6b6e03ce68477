"""Decisions of the PM: types, the rule that each has a reason and a confidence, and who may read what is sealed."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.domain.errors import InvalidInput
from app.domain.metrics import AHEAD, RETENTION
from app.domain.rules import TEN_POINT

CONFIDENCE = TEN_POINT
EVIDENCE_MAX = 100
"""Pieces of evidence of one decision."""
MEASUREMENTS_MAX = 100_000
"""Measurements from which the figures of one decision's evidence are computed, shared out evenly among its pieces.

They are read while the transaction holds back those who follow the event log: measured, 0.15 to 0.3 s for so many.
"""
GATES_MAX = 50
"""Quality gates that one decision may ask for."""


class DecisionType(StrEnum):
    """What a decision is about."""

    TASK_ASSIGNMENT = "task_assignment"
    QUALITY_GATE = "quality_gate"
    RESOURCE_ALLOCATION = "resource_allocation"
    ESCALATION = "escalation"
    MODEL_ASSIGNMENT = "model_assignment"


class SealedAccess(StrEnum):
    """Whether somebody can read what is sealed of a decision."""

    OPEN = "open"
    FORBIDDEN = "forbidden"
    ERASED = "erased"


WHY_SEALED: Final[Mapping[SealedAccess, str]] = {
    SealedAccess.FORBIDDEN: "Only PM and ADMIN may read it, and your token's role is another one.",
    SealedAccess.ERASED: "Its key was destroyed on request; nobody can read it any more.",
}
"""Why sealed fields are null, in words."""


def computed_interval(place: str, start: datetime, end: datetime, now: datetime) -> tuple[datetime, datetime]:
    """The interval over which figures can be computed: within the metrics' retention, and ended by now.

    An end at most five minutes ahead, which a clock may be, becomes now. Raises `InvalidInput`; `place` is where the
    evidence stands in the input.
    """
    if start <= now - RETENTION:
        raise InvalidInput(
            f"{place}.intervalStart is older than the metrics, which are kept for {RETENTION.days} days; give the "
            "figures as snapshot. Nothing was written.",
            f"input.{place}.intervalStart",
        )
    if start > now or end > now + AHEAD:
        raise InvalidInput(
            f"{place} must lie in the past, by the hub's clock ({now.isoformat()}), for its figures to be computed. "
            "Nothing was written.",
            f"input.{place}.intervalEnd",
        )
    return start, min(end, now)
