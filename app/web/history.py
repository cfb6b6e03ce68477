"""`GET /executions/<id>/history.json`: the complete history of an execution, sent as it is read.

It is no field of the graph, since an answer of the graph is one statement and is held whole: docs/adr/0033.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from uuid import UUID

import structlog
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.domain.errors import ErrorCode, HubError, InvalidInput, Unauthenticated, Unavailable
from app.domain.principals import Principal

PATH = "/executions/{execution_id}/history.json"
EXPORTS_MAX = 2
"""How many histories a process sends at once: each has a connection of the pool for itself while it is read."""
SECONDS_MAX = 120.0
"""How long one may take, the reader's slowness included; the database ends it itself when nothing is taken for 10 s."""

STATUSES = {
    ErrorCode.INVALID_INPUT: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.UNAVAILABLE: 503,
}
MORE_HEADERS = {
    ErrorCode.UNAUTHENTICATED: {"www-authenticate": 'Bearer realm="hub"'},
    ErrorCode.UNAVAILABLE: {"retry-after": "1"},
}
Authenticate = Callable[[str], Awaitable[Principal]]
Export = Callable[[Principal, UUID], AsyncGenerator[bytes, None]]
"""The document of an execution in pieces, for somebody; raises a `HubError` in place of the first one."""

log = structlog.get_logger(__name__)


def history_route(authenticate: Authenticate, export: Export) -> Route:
    """The route. A download more than a process sends at once is asked to come again."""
    return Route(PATH, HistoryDownload(authenticate, export), methods=["GET"])


class HistoryDownload:
    """The route's application."""

    def __init__(self, authenticate: Authenticate, export: Export) -> None:
        self._authenticate = authenticate
        self._export = export
        self._free = asyncio.Semaphore(EXPORTS_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            principal = await self._authenticate(bearer_token(Headers(scope=scope).get("authorization", "")))
            execution_id = parse_execution_id(scope["path_params"]["execution_id"])
            if self._free.locked():
                raise Unavailable("Other histories are being sent. Nothing was begun; try again in a moment.")
            async with self._free, aclosing(self._export(principal, execution_id)) as pieces:
                first = await anext(pieces)
                await _send_all(send, execution_id, first, pieces)
        except HubError as error:
            await _refusal(error)(scope, receive, send)


async def _send_all(send: Send, execution_id: UUID, first: bytes, pieces: AsyncGenerator[bytes, None]) -> None:
    """Send the document; where it cannot be read to its end the connection is cut: nobody takes it for whole."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-disposition", f'attachment; filename="workflow-{execution_id}.json"'.encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except (HubError, TimeoutError) as error:
        log.warning("a history was cut off", execution_id=str(execution_id), reason=repr(error))


def bearer_token(authorization: str) -> str:
    """The token of the header. Raises `Unauthenticated`."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("A token is needed: send the header `Authorization: Bearer <token>`.")
    return token.strip()


def parse_execution_id(text: str) -> UUID:
    """The id in the path. Raises `InvalidInput`."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput(f"The execution's id must be a UUID, it is {text[:80]!r}.") from None


def _refusal(error: HubError) -> JSONResponse:
    """An error in the form that errors of the graph have."""
    body = {"errors": [{"message": error.message, "extensions": {"code": error.code.name}}]}
    headers = MORE_HEADERS.get(error.code, {}) | {"cache-control": "no-store"}
    return JSONResponse(body, STATUSES[error.code], headers)
