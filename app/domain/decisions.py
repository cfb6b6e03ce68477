"""Decisions of the PM: types, and the rule that each has a reason and a confidence."""

from enum import StrEnum

from app.domain.rules import TEN_POINT

CONFIDENCE = TEN_POINT


class DecisionType(StrEnum):
    """What a decision is about."""

    TASK_ASSIGNMENT = "task_assignment"
    QUALITY_GATE = "quality_gate"
    RESOURCE_ALLOCATION = "resource_allocation"
    ESCALATION = "escalation"
    MODEL_ASSIGNMENT = "model_assignment"
