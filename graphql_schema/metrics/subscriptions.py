"""Subscriptions to resource metrics."""

import strawberry

from app.domain.events import Aggregate
from graphql_schema.metrics.types import ResourceMetrics
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import StreamPlan, of_agent, of_execution, stream


@strawberry.type(description="One measurement that was recorded.")
class ResourceMetricsChange(Change):
    resource_metrics: ResourceMetrics | None = subject(
        "ResourceMetrics", description="The measurement; null once it is past its retention."
    )


@strawberry.type
class MetricsSubscriptions:
    resource_metrics_recorded: ResourceMetricsChange = stream(
        StreamPlan(
            Aggregate.METRICS,
            (
                of_agent("Only measurements of this agent."),
                of_execution("Only measurements of this workflow execution."),
            ),
            snapshots=False,
            merged_by="agent_id",
        ),
        description="Measurements as they are recorded.",
    )
