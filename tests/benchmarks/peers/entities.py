"""The entities of the peer's graph with the fields of the questions, and the loaders of their relations."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

import asyncpg
import strawberry
from aiodataloader import DataLoader

from app.domain.agents import AgentRole, AgentStatus
from app.domain.model_assignments import AssignmentStatus, Provider
from app.domain.quality_gates import ApprovalStatus, GateType
from app.domain.workflows import ExecutionStatus

ENUMS: tuple[type[StrEnum], ...] = (
    AgentRole,
    AgentStatus,
    ApprovalStatus,
    AssignmentStatus,
    ExecutionStatus,
    GateType,
    Provider,
)
for _enum in ENUMS:
    strawberry.enum(_enum)

# trim_scale: the hub writes 0.5 and not 0.500000
WORKFLOWS = """
    SELECT execution_id, workflow_name, execution_status, current_phase, started_at, completed_at, last_activity
    FROM workflow_executions ORDER BY execution_id DESC LIMIT $1
"""
EXECUTIONS = """
    SELECT execution_id, workflow_name, execution_status, current_phase, started_at, completed_at, last_activity
    FROM workflow_executions WHERE execution_id = ANY($1::uuid[])
"""
GATES = """
    SELECT gate_id, workflow_execution_id, gate_name, gate_type, approval_status,
           trim_scale(quality_score) AS quality_score, created_at
    FROM quality_gates WHERE workflow_execution_id = ANY($1::uuid[]) ORDER BY gate_id DESC
"""
ASSIGNMENTS = """
    SELECT assignment_id, execution_id, agent_id, model_name, assignment_status, trim_scale(actual_cost) AS actual_cost
    FROM model_assignments WHERE execution_id = ANY($1::uuid[]) ORDER BY assignment_id DESC
"""
AGENTS = """
    SELECT agent_id, agent_name, agent_role, status, capabilities, concurrency, version, created_at, updated_at
    FROM agents WHERE agent_id = ANY($1::text[])
"""

Node = TypeVar("Node")


@dataclass
class Loaders:
    """The loaders of one request."""

    agents: "DataLoader[str, AgentState | None]"
    executions: "DataLoader[str, WorkflowExecution]"
    gates: "DataLoader[str, list[QualityGateExecution]]"
    assignments: "DataLoader[str, list[ModelAssignment]]"


@dataclass
class Context:
    """What the resolvers of one request are given."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    loaders: Loaders


Info = strawberry.Info[Context, None]


@strawberry.type
class Connection(Generic[Node]):
    nodes: list[Node]


@strawberry.type
class AgentState:
    agent_id: strawberry.ID
    agent_name: str
    agent_role: AgentRole
    status: AgentStatus
    capabilities: list[str]
    concurrency: int
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> "AgentState":
        return cls(
            agent_id=strawberry.ID(row["agent_id"]),
            agent_name=row["agent_name"],
            agent_role=AgentRole(row["agent_role"]),
            status=AgentStatus(row["status"]),
            capabilities=row["capabilities"],
            concurrency=row["concurrency"],
            version=row["version"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )


@strawberry.type
class QualityGateExecution:
    gate_id: strawberry.ID
    gate_name: str
    gate_type: GateType
    approval_status: ApprovalStatus
    quality_score: Decimal | None
    created_at: datetime
    workflow_execution_id: strawberry.Private[str]

    @strawberry.field
    async def execution(self, info: Info) -> "WorkflowExecution":
        return await info.context.loaders.executions.load(self.workflow_execution_id)

    @classmethod
    def of(cls, row: asyncpg.Record) -> "QualityGateExecution":
        return cls(
            gate_id=strawberry.ID(str(row["gate_id"])),
            gate_name=row["gate_name"],
            gate_type=GateType(row["gate_type"]),
            approval_status=ApprovalStatus(row["approval_status"]),
            quality_score=row["quality_score"],
            created_at=row["created_at"],
            workflow_execution_id=str(row["workflow_execution_id"]),
        )


@strawberry.type
class ModelAssignment:
    assignment_id: strawberry.ID
    model_name: str
    assignment_status: AssignmentStatus
    actual_cost: Decimal | None
    agent_id: strawberry.Private[str]

    @strawberry.field
    async def agent(self, info: Info) -> AgentState | None:
        return await info.context.loaders.agents.load(self.agent_id)

    @classmethod
    def of(cls, row: asyncpg.Record) -> "ModelAssignment":
        return cls(
            assignment_id=strawberry.ID(str(row["assignment_id"])),
            model_name=row["model_name"],
            assignment_status=AssignmentStatus(row["assignment_status"]),
            actual_cost=row["actual_cost"],
            agent_id=row["agent_id"],
        )


@strawberry.type
class WorkflowExecution:
    execution_id: strawberry.ID
    workflow_name: str
    execution_status: ExecutionStatus
    current_phase: str | None
    started_at: datetime | None
    completed_at: datetime | None
    last_activity: datetime | None

    @strawberry.field
    async def quality_gates(self, info: Info, first: int = 20) -> Connection[QualityGateExecution]:
        found = await info.context.loaders.gates.load(self.execution_id)
        return Connection(nodes=found[:first])

    @strawberry.field
    async def model_assignments(self, info: Info, first: int = 20) -> Connection[ModelAssignment]:
        found = await info.context.loaders.assignments.load(self.execution_id)
        return Connection(nodes=found[:first])

    @classmethod
    def of(cls, row: asyncpg.Record) -> "WorkflowExecution":
        return cls(
            execution_id=strawberry.ID(str(row["execution_id"])),
            workflow_name=row["workflow_name"],
            execution_status=ExecutionStatus(row["execution_status"]),
            current_phase=row["current_phase"],
            started_at=row["started_at"],
            completed_at=row["completed_at"],
            last_activity=row["last_activity"],
        )


def loaders_on(pool: "asyncpg.Pool[asyncpg.Record]") -> Loaders:
    """New loaders, which keep what they loaded as long as their request lasts."""

    async def agents(keys: list[str]) -> list[AgentState | None]:
        found = {row["agent_id"]: AgentState.of(row) for row in await pool.fetch(AGENTS, keys)}
        return [found.get(key) for key in keys]

    async def executions(keys: list[str]) -> list[WorkflowExecution]:
        rows = await pool.fetch(EXECUTIONS, keys)
        found = {str(row["execution_id"]): WorkflowExecution.of(row) for row in rows}
        return [found[key] for key in keys]

    async def gates(keys: list[str]) -> list[list[QualityGateExecution]]:
        found: dict[str, list[QualityGateExecution]] = defaultdict(list)
        for row in await pool.fetch(GATES, keys):
            found[str(row["workflow_execution_id"])].append(QualityGateExecution.of(row))
        return [found[key] for key in keys]

    async def assignments(keys: list[str]) -> list[list[ModelAssignment]]:
        found: dict[str, list[ModelAssignment]] = defaultdict(list)
        for row in await pool.fetch(ASSIGNMENTS, keys):
            found[str(row["execution_id"])].append(ModelAssignment.of(row))
        return [found[key] for key in keys]

    return Loaders(DataLoader(agents), DataLoader(executions), DataLoader(gates), DataLoader(assignments))
