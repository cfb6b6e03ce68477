"""The event log's vocabulary: what is recorded of every change, and how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Aggregate(StrEnum):
    """What an event is about."""

    AGENT = "agent"
    TASK = "task"
    WORKFLOW = "workflow"
    DECISION = "decision"
    QUALITY_GATE = "quality_gate"
    MODEL_ASSIGNMENT = "model_assignment"
    METRICS = "metrics"
    SCHEDULE = "schedule"
    API_TOKEN = "api_token"  # noqa: S105  (an aggregate's name)


class Retention(StrEnum):
    """How long an event is kept: transitions are the audit record, reports are short-lived."""

    AUDIT = "audit"
    REPORT = "report"


@dataclass(frozen=True)
class Event:
    """One change. `type` is a past participle within the aggregate, e.g. `claimed` of a task.

    `version` is the entity's version after the change; None where the change has none (reports).
    """

    aggregate: Aggregate
    type: str
    actor: str
    retention: Retention = Retention.AUDIT
    from_status: str | None = None
    to_status: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
