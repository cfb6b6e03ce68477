"""Subscriptions to resource metrics."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.context import Info
from graphql_schema.live import After, Change, follow
from graphql_schema.metrics.types import ResourceMetrics
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="One measurement that was recorded.")
class ResourceMetricsChange(Change):
    resource_metrics: ResourceMetrics | None = entity_of(
        "ResourceMetrics", description="The measurement; null once it is past its retention."
    )


@strawberry.type
class MetricsSubscriptions:
    @strawberry.subscription(description="Measurements as they are recorded.")
    def resource_metrics_recorded(
        self,
        info: Info,
        agent_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only measurements of this agent.")
        ] = strawberry.UNSET,
        execution_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only measurements of this workflow execution.")
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[ResourceMetricsChange, None]:
        return follow(
            info,
            ResourceMetricsChange,
            Aggregate.METRICS,
            after=after,
            agent_id=agent_id,
            execution_id=execution_id,
        )
