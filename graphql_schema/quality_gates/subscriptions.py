"""Subscriptions to quality gates."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.context import Info
from graphql_schema.live import After, Change, follow, optional, uuid_text
from graphql_schema.planner.bridge import entity_of
from graphql_schema.quality_gates.types import QualityGateExecution


@strawberry.type(
    description="One event of a quality gate: created, opened, review_requested, reviewed, checks_recorded, escalated, "
    "escalation_resolved, approved, rejected or revision_requested."
)
class QualityGateChange(Change):
    quality_gate: QualityGateExecution | None = entity_of(
        "QualityGateExecution",
        description="The gate as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class QualityGateSubscriptions:
    @strawberry.subscription(description="Events of quality gates: changes of status and reviews.")
    def quality_gate_changed(
        self,
        info: Info,
        gate_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this gate.")] = strawberry.UNSET,
        execution_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only gates of this workflow execution.")
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[QualityGateChange, None]:
        return follow(
            info,
            QualityGateChange,
            Aggregate.QUALITY_GATE,
            after=after,
            entity_id=optional(uuid_text, "gateId", gate_id),
            execution_id=execution_id,
        )
