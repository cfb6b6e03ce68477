"""The hub's schema on a real socket, with its own tail and hints, but without engine and upkeep."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from app.domain.principals import Principal, Role
from app.live.hints import HintSender
from app.live.tail import EventTail
from app.security.tokens import Authenticator, new_secret
from app.services.access import CreateToken, create_token
from app.services.reports import ReportWriter
from app.web.server import DrainingServer, port_of
from db.session import Database
from graphql_schema.context import HubContext
from graphql_schema.schema import build_schema
from graphql_schema.streams.hub import StreamHub
from graphql_schema.transport.uvicorn_protocols import chosen_protocols
from graphql_schema.view import BODY_LIMIT, GraphQLView
from tests.services.makers import ADMIN, SEALER


@dataclass
class ServedHub:
    """A running server, and what is behind it. `secret` is an administrator's token."""

    database: Database
    tail: EventTail
    streams: StreamHub
    view: GraphQLView
    server: uvicorn.Server
    port: int
    secret: str

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"


@contextlib.asynccontextmanager
async def serve_hub(database_url: str, port: int = 0) -> AsyncIterator[ServedHub]:
    """Serve the database on a port of its own."""
    database = Database(database_url, pool_size=5, read_pool_size=5)
    await database.open()
    hints, reports = HintSender(database), ReportWriter(database)
    tail = EventTail(database_url, hints)
    schema = build_schema()

    def context_for(principal: Principal) -> HubContext:
        return HubContext(principal, database, tail, SEALER, reports)

    streams = StreamHub(schema, context_for)
    view = GraphQLView(
        schema,
        authenticate=Authenticator(database).authenticate,
        context_for=context_for,
        streams=streams,
    )
    secret = new_secret()
    await database.transact(lambda session: create_token(session, ADMIN, CreateToken("tester", Role.ADMIN, secret)))
    app = Starlette(routes=[Route("/graphql", view), WebSocketRoute("/graphql", view)])
    protocols = chosen_protocols()
    config = uvicorn.Config(
        app,
        port=port,
        log_config=None,
        ws=protocols.ws,
        http=protocols.http,
        ws_max_size=BODY_LIMIT,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=5,
    )
    server = DrainingServer(config, view.close)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        for part in (hints, tail, reports):
            await part.start()
            stack.push_async_callback(part.stop)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event for it
        listening = port_of(server)
        try:
            yield ServedHub(database, tail, streams, view, server, listening, secret)
        finally:
            server.should_exit = True
            await serving
