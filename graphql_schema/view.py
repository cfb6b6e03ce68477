"""The GraphQL endpoint as an ASGI application: POST with JSON, and WebSockets that speak `graphql-transport-ws`."""

import asyncio
from typing import Any

import strawberry
from starlette.types import Receive, Scope, Send

from graphql_schema.documents import DocumentStore
from graphql_schema.endpoint import AnswersKept, Authenticate, DescribeError, Endpoint, MakeContext, no_answers
from graphql_schema.http_transport import BODY_LIMIT, serve_http
from graphql_schema.outgoing import describe_error
from graphql_schema.streams.delivery import Streams
from graphql_schema.websocket import SERVICE_RESTART, GraphQLSocket, SocketLimits

__all__ = ["BODY_LIMIT", "GraphQLView"]

CLOSE_PATIENCE = 5.0
"""Seconds that the sockets have to end when the endpoint closes."""


class GraphQLView:
    """Serves `schema` wherever it is mounted. Mount it twice at one path: as a route and as a WebSocket route."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        authenticate: Authenticate,
        context_for: MakeContext,
        describe: DescribeError = describe_error,
        limits: SocketLimits | None = None,
        documents: DocumentStore | None = None,
        streams: Streams | None = None,
        answers: AnswersKept = no_answers,
    ) -> None:
        self._endpoint = Endpoint(
            schema, authenticate, context_for, describe, documents or DocumentStore(), streams, answers
        )
        self._limits = limits or SocketLimits()
        self._sockets: dict[GraphQLSocket, asyncio.Task[Any] | None] = {}
        self._closing = False

    @property
    def open_sockets(self) -> int:
        """How many WebSockets are open."""
        return len(self._sockets)

    async def close(self) -> None:
        """Close every WebSocket with 1012, so that its client connects again, and wait until all have ended."""
        self._closing = True
        for socket in self._sockets:
            socket.end(*SERVICE_RESTART)
        tasks = [task for task in self._sockets.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_PATIENCE)
        if self._endpoint.streams is not None:
            await self._endpoint.streams.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one socket until it ends."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        else:
            await serve_http(self._endpoint, scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = GraphQLSocket(self._endpoint, self._limits, receive, send)
        self._sockets[socket] = asyncio.current_task()
        if self._closing:
            socket.end(*SERVICE_RESTART)
        try:
            await socket.run(scope["subprotocols"])
        finally:
            del self._sockets[socket]
