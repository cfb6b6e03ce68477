"""The peer's connections at the root, with counts and groups: each of them a statement written by hand.

Filters and groupings take what the dashboard page asks for and no more, so that nothing has to be put together.
"""

from datetime import datetime
from decimal import Decimal
from enum import Enum

import strawberry

from app.domain.agents import AgentStatus
from app.domain.model_assignments import Provider
from app.domain.quality_gates import ApprovalStatus
from app.domain.workflows import ExecutionStatus
from tests.benchmarks.peers.entities import WORKFLOWS, Info, QualityGateExecution, WorkflowExecution

AGENTS_BY_STATUS = "SELECT status, count(*) FROM agents GROUP BY status ORDER BY status LIMIT 100"
WORKFLOWS_BY_STATUS = """
    SELECT execution_status, count(*) FROM workflow_executions
    GROUP BY execution_status ORDER BY execution_status LIMIT 100
"""
GATES = """
    SELECT gate_id, workflow_execution_id, gate_name, gate_type, approval_status,
           trim_scale(quality_score) AS quality_score, created_at
    FROM quality_gates WHERE approval_status = $1 ORDER BY gate_id DESC LIMIT $2
"""
GATES_COUNTED = """
    SELECT count(*) FROM (SELECT FROM quality_gates WHERE approval_status = $1 LIMIT 10000) AS counted
"""
COSTS = """
    SELECT provider_name, date_trunc('day', created_at, 'UTC') AS day, count(*),
           trim_scale(sum(actual_cost)) AS cost, trim_scale(sum(tokens_used)) AS tokens
    FROM model_assignments WHERE created_at >= $1 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 100
"""
MEASUREMENTS = """
    SELECT date_trunc('minute', measurement_time, 'UTC') AS minute, count(*),
           trim_scale(round(avg(cpu_usage), 6)) AS cpu, trim_scale(max(cpu_usage)) AS most_cpu,
           trim_scale(round(avg(memory_usage), 6)) AS memory
    FROM resource_metrics WHERE measurement_time >= $1 AND measurement_time < $2 GROUP BY 1 ORDER BY 1 LIMIT 100
"""


@strawberry.enum
class TimeBucket(Enum):
    MINUTE = "minute"
    DAY = "day"


@strawberry.enum
class AgentField(Enum):
    STATUS = "status"


@strawberry.enum
class ExecutionField(Enum):
    EXECUTION_STATUS = "execution_status"


@strawberry.enum
class AssignmentField(Enum):
    PROVIDER_NAME = "provider_name"
    CREATED_AT = "created_at"


@strawberry.enum
class MeasurementField(Enum):
    MEASUREMENT_TIME = "measurement_time"


@strawberry.input
class AgentBy:
    field: AgentField


@strawberry.input
class ExecutionBy:
    field: ExecutionField


@strawberry.input
class AssignmentBy:
    field: AssignmentField
    bucket: TimeBucket | None = None


@strawberry.input
class MeasurementBy:
    field: MeasurementField
    bucket: TimeBucket


@strawberry.input
class StatusIs:
    eq: ApprovalStatus


@strawberry.input
class Since:
    gte: datetime


@strawberry.input
class Within:
    gte: datetime
    lt: datetime


@strawberry.input
class GateFilter:
    approval_status: StatusIs


@strawberry.input
class AssignmentFilter:
    created_at: Since


@strawberry.input
class MeasurementFilter:
    measurement_time: Within


@strawberry.type
class Sum:
    sum: Decimal | None


@strawberry.type
class Level:
    avg: Decimal | None
    max: Decimal | None = None


@strawberry.type
class AgentKey:
    status: AgentStatus


@strawberry.type
class AgentGroup:
    key: AgentKey
    count: int


@strawberry.type
class Agents:
    @strawberry.field
    async def groups(self, info: Info, by: list[AgentBy]) -> list[AgentGroup]:
        rows = await info.context.pool.fetch(AGENTS_BY_STATUS)
        return [AgentGroup(key=AgentKey(status=AgentStatus(row["status"])), count=row["count"]) for row in rows]


@strawberry.type
class ExecutionKey:
    execution_status: ExecutionStatus


@strawberry.type
class ExecutionGroup:
    key: ExecutionKey
    count: int


@strawberry.type
class Workflows:
    first: strawberry.Private[int]

    @strawberry.field
    async def nodes(self, info: Info) -> list[WorkflowExecution]:
        return [WorkflowExecution.of(row) for row in await info.context.pool.fetch(WORKFLOWS, self.first)]

    @strawberry.field
    async def groups(self, info: Info, by: list[ExecutionBy]) -> list[ExecutionGroup]:
        rows = await info.context.pool.fetch(WORKFLOWS_BY_STATUS)
        return [
            ExecutionGroup(key=ExecutionKey(execution_status=ExecutionStatus(row[0])), count=row[1]) for row in rows
        ]


@strawberry.type
class Gates:
    first: strawberry.Private[int]
    filter: strawberry.Private[GateFilter]

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        return int(await info.context.pool.fetchval(GATES_COUNTED, self.filter.approval_status.eq))

    @strawberry.field
    async def nodes(self, info: Info) -> list[QualityGateExecution]:
        rows = await info.context.pool.fetch(GATES, self.filter.approval_status.eq, self.first)
        return [QualityGateExecution.of(row) for row in rows]


@strawberry.type
class AssignmentKey:
    provider_name: Provider
    created_at: datetime


@strawberry.type
class AssignmentGroup:
    key: AssignmentKey
    count: int
    actual_cost: Sum
    tokens_used: Sum


@strawberry.type
class Assignments:
    filter: strawberry.Private[AssignmentFilter]

    @strawberry.field
    async def groups(self, info: Info, by: list[AssignmentBy]) -> list[AssignmentGroup]:
        return [
            AssignmentGroup(
                key=AssignmentKey(provider_name=Provider(row["provider_name"]), created_at=row["day"]),
                count=row["count"],
                actual_cost=Sum(sum=row["cost"]),
                tokens_used=Sum(sum=row["tokens"]),
            )
            for row in await info.context.pool.fetch(COSTS, self.filter.created_at.gte)
        ]


@strawberry.type
class MeasurementKey:
    measurement_time: datetime


@strawberry.type
class MeasurementGroup:
    key: MeasurementKey
    count: int
    cpu_usage: Level
    memory_usage: Level


@strawberry.type
class Measurements:
    filter: strawberry.Private[MeasurementFilter]

    @strawberry.field
    async def groups(self, info: Info, by: list[MeasurementBy]) -> list[MeasurementGroup]:
        time = self.filter.measurement_time
        return [
            MeasurementGroup(
                key=MeasurementKey(measurement_time=row["minute"]),
                count=row["count"],
                cpu_usage=Level(avg=row["cpu"], max=row["most_cpu"]),
                memory_usage=Level(avg=row["memory"]),
            )
            for row in await info.context.pool.fetch(MEASUREMENTS, time.gte, time.lt)
        ]
