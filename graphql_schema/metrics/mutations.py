"""Mutations of resource metrics."""

from uuid import UUID

import strawberry

from app.security.policy import Permission
from app.services.metrics import record_metrics
from graphql_schema.context import Info
from graphql_schema.metrics.inputs import ResourceMetricsRecordInput
from graphql_schema.mutating import References, carry_out
from graphql_schema.payloads import Payload


@strawberry.type(description="What was stored.")
class ResourceMetricsPayload(Payload):
    metric_ids: list[strawberry.ID] = strawberry.field(
        description="Ids of the measurements, in the order given; empty when the request was refused.",
        default_factory=list,
    )

    @strawberry.field(description="How many measurements were stored.")
    def recorded(self) -> int:
        return len(self.metric_ids)


def _ids(ids: list[UUID]) -> References:
    return {"metric_ids": [strawberry.ID(str(metric_id)) for metric_id in ids]}


@strawberry.type
class MetricsMutations:
    @strawberry.mutation(description="Store measurements, all or none, and push them to subscribers.")
    async def resource_metrics_record(
        self,
        info: Info,
        input: ResourceMetricsRecordInput,
    ) -> ResourceMetricsPayload:
        return await carry_out(
            info,
            ResourceMetricsPayload,
            input,
            Permission.RECORD_METRICS,
            lambda session: record_metrics(
                session,
                info.context.principal,
                [item.measurement(index) for index, item in enumerate(input.measurements)],
            ),
            _ids,
        )
