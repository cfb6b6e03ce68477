"""Resource metrics."""

from datetime import datetime
from decimal import Decimal

import strawberry

from app.domain.metrics import AlertLevel
from db.tables.metrics import resource_metrics
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import AgentRef, ExecutionRef
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, falling
from graphql_schema.planner.fields import column, one

METRIC = resource_metrics.c


@strawberry.type(
    description="A measurement of resources at one moment: of an agent, an execution, or the whole system. Recorded by "
    "`resourceMetricsRecord`, kept for 90 days. A figure that was not measured is null."
)
class ResourceMetrics(Node):
    __entity__ = Entity(
        resource_metrics,
        (METRIC.metric_id,),
        order=falling(METRIC.measurement_time, METRIC.metric_id),
    )

    metric_id: strawberry.ID = column(METRIC.metric_id, description="The measurement's UUID.")
    measurement_time: datetime = column(METRIC.measurement_time, description="When it was measured.")
    cpu_usage: Decimal | None = column(METRIC.cpu_usage, description="Processor time in use, percent, from 0 to 100.")
    memory_usage: Decimal | None = column(METRIC.memory_usage, description="Memory in use, megabytes.")
    disk_usage: Decimal | None = column(METRIC.disk_usage, description="Disk space in use, megabytes.")
    network_io: Decimal | None = column(
        METRIC.network_io, description="Network traffic in both directions, megabytes a second."
    )
    active_sessions: int | None = column(
        METRIC.active_sessions, description="Sessions of Claude Code or the like that are open."
    )
    database_connections: int | None = column(
        METRIC.database_connections, description="Connections to databases that are open."
    )
    response_time: int | None = column(METRIC.response_time, description="Mean response time, milliseconds.")
    error_rate: Decimal | None = column(
        METRIC.error_rate, description="Share of requests that failed, percent, from 0 to 100."
    )
    optimization_score: Decimal | None = column(
        METRIC.optimization_score, description="How well the resources are used, from 0 to 10."
    )
    optimization_suggestions: list[str] = column(
        METRIC.optimization_suggestions, description="What would use them better; empty when nothing was suggested."
    )
    alert_level: AlertLevel = column(METRIC.alert_level, description="How alarming the measurement is.")
    created_at: datetime = column(METRIC.created_at, description="When the hub stored it.")

    agent_id: strawberry.ID | None = column(
        METRIC.agent_id, description="Id of the agent that was measured; null for the whole system."
    )
    execution_id: strawberry.ID | None = column(
        METRIC.execution_id, description="UUID of the execution that it was measured for; null when none."
    )

    agent: AgentRef | None = one(METRIC.agent_id, description="The agent that was measured; null for the whole system.")
    execution: ExecutionRef | None = one(
        METRIC.execution_id, description="The execution that it was measured for; null when none."
    )
