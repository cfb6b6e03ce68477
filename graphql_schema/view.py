"""The GraphQL endpoint as an ASGI application: POST with JSON, event streams, and `graphql-transport-ws`."""

import asyncio
from typing import Any

import strawberry
from starlette.types import Receive, Scope, Send

from graphql_schema.documents import DocumentStore
from graphql_schema.endpoint import AnswersKept, Authenticate, DescribeError, Endpoint, MakeContext, no_answers
from graphql_schema.event_stream import EventStream, asks_for_events
from graphql_schema.http_transport import BODY_LIMIT, serve_http
from graphql_schema.outgoing import describe_error
from graphql_schema.streams.delivery import Streams
from graphql_schema.transport.endings import SERVICE_RESTART, SocketLimits
from graphql_schema.transport.sessions import Sessions
from graphql_schema.websocket import GraphQLSocket

__all__ = ["BODY_LIMIT", "GraphQLView"]

CLOSE_PATIENCE = 6.0
"""Seconds that the connections have to end when the endpoint closes: a little more than they give their peers."""

Connection = GraphQLSocket | EventStream


class GraphQLView:
    """Serves `schema` wherever it is mounted. Mount it twice at one path: as a route and as a WebSocket route."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        authenticate: Authenticate,
        context_for: MakeContext,
        streams: Streams,
        describe: DescribeError = describe_error,
        limits: SocketLimits | None = None,
        documents: DocumentStore | None = None,
        answers: AnswersKept = no_answers,
    ) -> None:
        self._endpoint = Endpoint(
            schema, authenticate, context_for, describe, documents or DocumentStore(), streams, answers
        )
        self._limits = limits or SocketLimits()
        self.sessions = Sessions(authenticate, self._limits)
        self._open: dict[Connection, asyncio.Task[Any] | None] = {}
        self._closing = False

    @property
    def open_sockets(self) -> int:
        """How many WebSockets are open."""
        return sum(isinstance(connection, GraphQLSocket) for connection in self._open)

    @property
    def open_event_streams(self) -> int:
        """How many event streams are open."""
        return len(self._open) - self.open_sockets

    async def close(self) -> None:
        """End every connection, WebSockets with 1012, so that its client connects again, and wait until all have."""
        self._closing = True
        for connection in self._open:
            connection.end(SERVICE_RESTART)
        await self._wait(CLOSE_PATIENCE)
        for task in self._open.values():
            if task is not None:
                task.cancel()
        await self._wait(None)
        await self.sessions.close()
        await self._endpoint.streams.close()

    async def _wait(self, seconds: float | None) -> None:
        tasks = [task for task in self._open.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one connection until it ends."""
        if scope["type"] == "websocket":
            await self._serve(GraphQLSocket(self._endpoint, self.sessions, self._limits, scope, receive, send))
        elif asks_for_events(scope):
            await self._serve(EventStream(self._endpoint, self.sessions, self._limits, scope, receive, send))
        else:
            await serve_http(self._endpoint, scope, receive, send)

    async def _serve(self, connection: Connection) -> None:
        self._open[connection] = asyncio.current_task()
        if self._closing:
            connection.end(SERVICE_RESTART)
        try:
            await connection.run()
        finally:
            del self._open[connection]
