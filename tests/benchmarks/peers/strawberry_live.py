"""The peer: the same subscription as a good Strawberry user writes it, over a broadcast in memory.

Each subscriber has a queue, and an async generator that yields what comes; Strawberry then resolves the selection once
a socket and event. `/with-sql` differs in one thing: the agent is read from PostgreSQL for each socket and event, as a
resolver does that shows the state at the time of sending; `/graphql` takes it from the event and reads nothing. No
token is asked for, and nothing is resumed, which spares this server work that the hub does.

`python -m tests.benchmarks.peers.strawberry_live URL` serves the database at URL on a free port and prints its address.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg
import strawberry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL

from app.domain.agents import AgentRole, AgentStatus
from tests.benchmarks.peers.starlette_broadcast import serve

ENUMS: tuple[type[StrEnum], ...] = (AgentRole, AgentStatus)
for _enum in ENUMS:
    strawberry.enum(_enum)

AGENT = "SELECT agent_id, agent_name, agent_role, status, capabilities FROM agents WHERE agent_id = $1"

queues: "set[asyncio.Queue[AgentStateChange]]" = set()


@dataclass
class Context:
    """What the resolvers are given: connections to read from, or None where the event tells all."""

    pool: "asyncpg.Pool[asyncpg.Record] | None"


Info = strawberry.Info[Context, None]


@strawberry.type
class AgentState:
    agent_id: strawberry.ID
    agent_name: str
    agent_role: AgentRole
    status: AgentStatus
    capabilities: list[str]


@strawberry.type
class AgentStateChange:
    cursor: str
    event_type: str
    occurred_at: datetime
    from_status: str | None
    to_status: str | None
    version: int | None
    told: strawberry.Private[AgentState]

    @strawberry.field
    async def agent(self, info: Info) -> AgentState | None:
        pool = info.context.pool
        return self.told if pool is None else await _read(pool, self.told.agent_id)


async def _read(pool: "asyncpg.Pool[asyncpg.Record]", agent_id: str) -> AgentState | None:
    row = await pool.fetchrow(AGENT, agent_id)
    if row is None:
        return None
    return AgentState(
        agent_id=row["agent_id"],
        agent_name=row["agent_name"],
        agent_role=AgentRole(row["agent_role"]),
        status=AgentStatus(row["status"]),
        capabilities=row["capabilities"],
    )


@strawberry.type
class Query:
    @strawberry.field
    def version(self) -> str:
        return "1"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def agent_state_changed(self) -> AsyncGenerator[AgentStateChange, None]:
        queue: asyncio.Queue[AgentStateChange] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            queues.discard(queue)


def change(told: dict[str, Any]) -> AgentStateChange:
    """The payload that the hub sent, as this server's object."""
    agent = told["agent"]
    return AgentStateChange(
        cursor=told["cursor"],
        event_type=told["eventType"],
        occurred_at=datetime.fromisoformat(told["occurredAt"]),
        from_status=told["fromStatus"],
        to_status=told["toStatus"],
        version=told["version"],
        told=AgentState(
            agent_id=strawberry.ID(agent["agentId"]),
            agent_name=agent["agentName"],
            agent_role=AgentRole[agent["agentRole"]],
            status=AgentStatus[agent["status"]],
            capabilities=agent["capabilities"],
        ),
    )


async def publish(request: Request) -> Response:
    """Tell all subscribers of the change in the body, so many times, after the answer."""
    told = change((await request.json())["payload"]["data"]["agentStateChanged"])
    return Response(status_code=204, background=BackgroundTask(broadcast, told, int(request.query_params["count"])))


async def broadcast(told: AgentStateChange, count: int) -> None:
    """Put the change into every queue, so many times."""
    for _ in range(count):
        for queue in queues:
            queue.put_nowait(told)


class Endpoint(GraphQL[Context, None]):
    """Strawberry's own ASGI endpoint."""

    pool: "asyncpg.Pool[asyncpg.Record] | None" = None

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        return Context(self.pool)


def application(url: str) -> Starlette:
    """The ASGI application; it opens its pool, as large as the hub's, when it starts."""
    schema = strawberry.Schema(Query, subscription=Subscription)
    plain: Any = Endpoint(schema, graphql_ide=None)
    with_sql: Any = Endpoint(schema, graphql_ide=None)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, max_size=10, server_settings={"jit": "off"}) as pool:
            with_sql.pool = pool
            yield

    return Starlette(
        routes=[
            WebSocketRoute("/graphql", plain),
            WebSocketRoute("/with-sql", with_sql),
            Route("/publish", publish, methods=["POST"]),
        ],
        lifespan=lifespan,
    )


def main() -> None:
    """Serve on a free port until SIGTERM."""
    serve(application(sys.argv[1]))


if __name__ == "__main__":
    main()
