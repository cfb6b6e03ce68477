"""The subscription to everything that happens."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import strawberry

from app.domain.events import Aggregate
from app.live.records import EventRecord
from app.security.policy import Permission
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.planner.builder import Rights
from graphql_schema.planner.fields import argument
from graphql_schema.streams.changes import Change, told
from graphql_schema.streams.declaring import Keeps, StreamPlan, stream

NODES: Mapping[str, str] = {
    Aggregate.AGENT: "AgentState",
    Aggregate.TASK: "Task",
    Aggregate.WORKFLOW: "WorkflowExecution",
    Aggregate.DECISION: "PMDecisionContext",
    Aggregate.QUALITY_GATE: "QualityGateExecution",
    Aggregate.MODEL_ASSIGNMENT: "ModelAssignment",
    Aggregate.METRICS: "ResourceMetrics",
    Aggregate.SCHEDULE: "WorkflowSchedule",
    Aggregate.API_TOKEN: "ApiToken",
}
"""The types of the nodes that events are about."""


def _node_id(event: EventRecord) -> str:
    return base64.b64encode(f"{NODES[event.aggregate]}:{event.entity_id}".encode()).decode()


@strawberry.type(description="One event, whatever it is about.")
class EventRecorded(Change):
    aggregate: Aggregate = told(lambda event: event.aggregate.upper(), description="What the event is about.")
    entity_id: strawberry.ID = told(lambda event: event.entity_id, description="The entity's own id.")
    node_id: strawberry.ID = told(_node_id, description="The entity's global id, to ask `node` or `nodes` for it.")


@dataclass(frozen=True)
class EventsPlan(StreamPlan):
    """Events of all aggregates, or of those that are asked for; of tokens only to those who may manage them."""

    def keeps(self, given: Mapping[str, Any], rights: Rights) -> Keeps:
        """Which of the wanted events are told."""
        asked = given.get("aggregates")
        known = set(NODES) if Permission.MANAGE_TOKENS in rights else set(NODES) - {Aggregate.API_TOKEN.value}
        told = known if asked is None else known & {str(getattr(each, "value", each)) for each in asked}
        return lambda event: event.aggregate in told


@strawberry.type
class EventSubscriptions:
    events: EventRecorded = stream(
        EventsPlan(
            None,
            snapshots=False,
            merges=False,
            arguments=(
                argument("aggregates", list[Aggregate] | None, "Only events about these; about all when left out."),
            ),
        ),
        description="Everything that happens, without what it happened to: fetch that by `nodes(ids)`. Events of API "
        "tokens are told to ADMIN only.",
    )
