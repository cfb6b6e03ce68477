"""The view on a real server: sockets, frames and all."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.domain.errors import Unauthenticated, Unavailable
from app.domain.principals import Principal, Role
from app.web.server import DrainingServer, port_of
from graphql_schema.http_transport import BODY_LIMIT
from graphql_schema.streams.delivery import Streams
from graphql_schema.transport.endings import SocketLimits
from graphql_schema.transport.uvicorn_protocols import PLAIN_ASGI, Protocols, chosen_protocols
from graphql_schema.view import GraphQLView
from tests.graphql.transport.schema import running, schema
from tests.graphql.transport.single import SingleStreams

JOHN = Principal("john", Role.PM, "john-pm", "t-1")
QUICK = SocketLimits(
    init_timeout=0.5, recheck_every=0.05, unverified_for=0.3, operations=5, close_patience=1.0, slow_patience=1.0
)


BOTH_WAYS = pytest.mark.parametrize("protocols", [chosen_protocols(), PLAIN_ASGI], ids=["frames", "asgi"])
"""Sockets written to by whole frames, and by `send`."""


@dataclass
class Tokens:
    """The authenticator's stand-in: what it answers can be changed while sockets are open."""

    known: dict[str, Principal] = field(default_factory=lambda: {"good": JOHN})
    hanging: bool = False
    away: bool = False
    broken: bool = False
    asked: int = 0

    async def authenticate(self, token: str) -> Principal:
        self.asked += 1
        if self.hanging:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable("The database does not answer.")
        if self.broken:
            raise RuntimeError("the secret reason")
        if token not in self.known:
            raise Unauthenticated("This token is unknown.")
        return self.known[token]


@dataclass
class Served:
    """A running server."""

    view: GraphQLView
    tokens: Tokens
    server: uvicorn.Server
    port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@contextlib.asynccontextmanager
async def serve(
    limits: SocketLimits | None = None, streams: Streams | None = None, protocols: Protocols | None = None
) -> AsyncIterator[Served]:
    """The tiny schema, served on a port of its own."""
    tokens = Tokens()
    protocols = protocols or chosen_protocols()
    view = GraphQLView(
        schema,
        authenticate=tokens.authenticate,
        context_for=lambda principal: principal,
        limits=limits,
        streams=streams or SingleStreams(schema),
    )
    app = Starlette(routes=[Route("/graphql", view), WebSocketRoute("/graphql", view)])
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        ws=protocols.ws,
        http=protocols.http,
        ws_max_size=BODY_LIMIT,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=5,
    )
    server = DrainingServer(config, view.close)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # uvicorn has no event for it
    try:
        yield Served(view, tokens, server, port_of(server))
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def protocols() -> Protocols:
    """How the server's connections are written to."""
    return chosen_protocols()


@pytest.fixture
async def served(protocols: Protocols) -> AsyncIterator[Served]:
    """A server with short limits."""
    running.clear()
    async with serve(QUICK, protocols=protocols) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with a good token."""
    async with httpx.AsyncClient(headers={"authorization": "Bearer good"}) as client:
        yield client


@pytest.fixture
def no_exception_reaches_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """At the end of the test the server has logged no error."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [*caplog.get_records("call"), *caplog.records] == []


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What the hub logs."""
    with capture_logs() as entries:
        yield entries
