"""The peer: a part of the graph as a good Strawberry user writes it, on asyncpg with DataLoaders.

One loader a relation, made anew for each request, so that each level of a question is one statement: four in all for
the nested one. Connections are pooled and their statements prepared; parsing and validation are cached. The types have
the fields of the questions and no more, and no token is asked for: both spare this server work that the hub does.

`python -m tests.benchmarks.peers.dataloaders URL` serves the database at URL on a free port and prints its address.
"""

import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from tests.benchmarks.peers.connections import (
    Agents,
    AssignmentFilter,
    Assignments,
    GateFilter,
    Gates,
    MeasurementFilter,
    Measurements,
    Workflows,
)
from tests.benchmarks.peers.entities import AgentState, Context, Info, loaders_on


@strawberry.type
class Query:
    @strawberry.field
    async def agent(self, info: Info, agent_id: strawberry.ID) -> AgentState | None:
        return await info.context.loaders.agents.load(agent_id)

    @strawberry.field
    def agents(self) -> Agents:
        return Agents()

    @strawberry.field
    def workflows(self, first: int = 20) -> Workflows:
        return Workflows(first=first)

    @strawberry.field
    def quality_gates(self, filter: GateFilter, first: int = 20) -> Gates:  # noqa: A002  (the graph calls it so)
        return Gates(first=first, filter=filter)

    @strawberry.field
    def model_assignments(self, filter: AssignmentFilter) -> Assignments:  # noqa: A002  (the graph calls it so)
        return Assignments(filter=filter)

    @strawberry.field
    def resource_metrics(self, filter: MeasurementFilter) -> Measurements:  # noqa: A002  (the graph calls it so)
        return Measurements(filter=filter)


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
