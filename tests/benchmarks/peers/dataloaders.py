"""The peer: the dashboard's part of the graph as a good Strawberry user writes it, on asyncpg with DataLoaders.

One loader a relation, made anew for each request, so that each level of the question is one statement: four in all.
Connections are pooled and their statements prepared; parsing and validation are cached. The types have the fields of
the question and no more, and no token is asked for: both spare this server work that the hub does.

`python -m tests.benchmarks.peers.dataloaders URL` serves the database at URL on a free port and prints its address.
"""

import contextlib
import socket
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

import asyncpg
import strawberry
import uvicorn
from aiodataloader import DataLoader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from app.domain.agents import AgentRole, AgentStatus
from app.domain.model_assignments import AssignmentStatus
from app.domain.quality_gates import ApprovalStatus, GateType
from app.domain.workflows import ExecutionStatus

ENUMS: tuple[type[StrEnum], ...] = (
    AgentRole,
    AgentStatus,
    ApprovalStatus,
    AssignmentStatus,
    ExecutionStatus,
    GateType,
)
for _enum in ENUMS:
    strawberry.enum(_enum)

# trim_scale: the hub writes 0.5 and not 0.500000
WORKFLOWS = """
    SELECT execution_id, workflow_name, execution_status, current_phase, started_at, completed_at
    FROM workflow_executions ORDER BY execution_id DESC LIMIT $1
"""
GATES = """
    SELECT gate_id, workflow_execution_id, gate_name, gate_type, approval_status,
           trim_scale(quality_score) AS quality_score
    FROM quality_gates WHERE workflow_execution_id = ANY($1::uuid[]) ORDER BY gate_id DESC
"""
ASSIGNMENTS = """
    SELECT assignment_id, execution_id, agent_id, model_name, assignment_status, trim_scale(actual_cost) AS actual_cost
    FROM model_assignments WHERE execution_id = ANY($1::uuid[]) ORDER BY assignment_id DESC
"""
AGENTS = """
    SELECT agent_id, agent_name, agent_role, status FROM agents WHERE agent_id = ANY($1::text[])
"""

Node = TypeVar("Node")


@dataclass
class Loaders:
    """The loaders of one request."""

    agents: "DataLoader[str, AgentState]"
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

    @classmethod
    def of(cls, row: asyncpg.Record) -> "AgentState":
        return cls(
            agent_id=strawberry.ID(row["agent_id"]),
            agent_name=row["agent_name"],
            agent_role=AgentRole(row["agent_role"]),
            status=AgentStatus(row["status"]),
        )


@strawberry.type
class QualityGateExecution:
    gate_id: strawberry.ID
    gate_name: str
    gate_type: GateType
    approval_status: ApprovalStatus
    quality_score: Decimal | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> "QualityGateExecution":
        return cls(
            gate_id=strawberry.ID(str(row["gate_id"])),
            gate_name=row["gate_name"],
            gate_type=GateType(row["gate_type"]),
            approval_status=ApprovalStatus(row["approval_status"]),
            quality_score=row["quality_score"],
        )


@strawberry.type
class ModelAssignment:
    assignment_id: strawberry.ID
    model_name: str
    assignment_status: AssignmentStatus
    actual_cost: Decimal | None
    agent_id: strawberry.Private[str]

    @strawberry.field
    async def agent(self, info: Info) -> AgentState:
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
        )


@strawberry.type
class Query:
    @strawberry.field
    async def workflows(self, info: Info, first: int = 20) -> Connection[WorkflowExecution]:
        rows = await info.context.pool.fetch(WORKFLOWS, first)
        return Connection(nodes=[WorkflowExecution.of(row) for row in rows])


def loaders_on(pool: "asyncpg.Pool[asyncpg.Record]") -> Loaders:
    """New loaders, which keep what they loaded as long as their request lasts."""

    async def agents(keys: list[str]) -> list[AgentState]:
        found = {row["agent_id"]: AgentState.of(row) for row in await pool.fetch(AGENTS, keys)}
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

    return Loaders(DataLoader(agents), DataLoader(gates), DataLoader(assignments))


class Endpoint(GraphQL[Context, None]):
    """Strawberry's own ASGI endpoint, with loaders in the context."""

    pool: "asyncpg.Pool[asyncpg.Record]"

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        return Context(self.pool, loaders_on(self.pool))


def application(url: str) -> Starlette:
    """The ASGI application; it opens its pool, as large as the hub's, when it starts."""
    schema = strawberry.Schema(Query, extensions=[ParserCache, ValidationCache])
    endpoint: Any = Endpoint(schema, graphql_ide=None)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, max_size=10, server_settings={"jit": "off"}) as pool:
            endpoint.pool = pool
            yield

    return Starlette(routes=[Route("/graphql", endpoint)], lifespan=lifespan)


def main() -> None:
    """Serve on a free port until SIGTERM."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(sys.argv[1]), lifespan="on", access_log=False, log_level="warning")
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
