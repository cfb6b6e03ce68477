"""The subscription to the queue of what waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import strawberry

from app.domain.events import Aggregate
from app.live.records import EventRecord
from graphql_schema.attention.types import Attention
from graphql_schema.planner.builder import Rights
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Keeps, StreamPlan, stream

QUEUE = "queue"
MOVED_BY = frozenset(
    {Aggregate.AGENT, Aggregate.TASK, Aggregate.WORKFLOW, Aggregate.QUALITY_GATE, Aggregate.MODEL_ASSIGNMENT}
)
"""What can change the queue."""
IDLE_TALK = frozenset({"reported", "progressed", "message_sent"})
"""The types of events that cannot."""


@strawberry.type(description="The queue of what waits, after something happened that may have changed it.")
class AttentionChange(Change):
    queue: Attention | None = subject("Attention", lambda _event: QUEUE, description="The queue as it is now.")


@dataclass(frozen=True)
class AttentionPlan(StreamPlan):
    """Whatever moves the queue; the latest stands for all of an interval."""

    def keeps(self, given: Mapping[str, Any], rights: Rights) -> Keeps:
        """Which events are told."""
        return lambda event: event.aggregate in MOVED_BY and event.event_type not in IDLE_TALK

    def merge_key(self, event: EventRecord) -> str:
        """There is but one queue."""
        return QUEUE


@strawberry.type
class AttentionSubscriptions:
    attention_queue_changed: AttentionChange = stream(
        AttentionPlan(None, snapshots=False, least_interval=1.0),
        description="The queue of what waits for a person or the PM, each time that something may have changed it, at "
        "most once a second. To miss nothing, subscribe first, then ask `attentionQueue`.",
    )
