"""One answer as Server-Sent Events, by the "distinct connections mode" of the npm package graphql-sse (PROTOCOL.md).

Each result of the operation is an event `next`, then comes `complete`; what is wrong with the operation is told by a
`next` with its errors. A stream that the server ends otherwise has no `complete`, and its last line is a comment with
the code and reason that a WebSocket would have been closed with: the client subscribes again, `after` its last cursor.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from starlette.datastructures import QueryParams
from starlette.types import Message, Receive, Scope, Send

from app.domain.errors import ErrorCode, HubError, Unavailable
from app.domain.principals import Principal
from graphql_schema.endpoint import Endpoint
from graphql_schema.errors import typed_error
from graphql_schema.http_transport import (
    JSON,
    ClientGone,
    Fields,
    Refusal,
    check_content,
    execute,
    fields_of,
    parse_body,
    read_body,
    refusing_strangers,
    respond,
    token_of,
    weights,
)
from graphql_schema.incoming import GraphQLRequest, Malformed, parse_json, parse_request
from graphql_schema.outgoing import encode_json, masked, plain_error, result_body
from graphql_schema.transport.channels import AsgiChannel, Wrapping
from graphql_schema.transport.endings import TOO_MANY_CONNECTIONS, TOO_SLOW, Ending, SocketLimits
from graphql_schema.transport.outbox import Outbox
from graphql_schema.transport.sessions import Place, Sessions, TooManyConnections
from graphql_schema.transport.subscriber import Subscriber
from graphql_schema.transport.uvicorn_protocols import cut_off

EVENT_STREAM = "text/event-stream"
HEADERS = [
    (b"content-type", EVENT_STREAM.encode() + b"; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"vary", b"accept"),
    (b"x-accel-buffering", b"no"),
]
"""The last one is for nginx, which otherwise hands on whole buffers only."""
COMPLETE = b"event: complete\ndata:\n\n"
PING = b":\n\n"
COMPLETED = Ending(1000, "Complete")


def asks_for_events(scope: Scope) -> bool:
    """Whether the request prefers a stream of events to an answer in JSON. A wildcard asks for nothing."""
    given = [value for name, value in scope["headers"] if name == b"accept"]
    return _prefers_events(b",".join(given).decode("latin-1")) if given else False


@lru_cache(maxsize=64)
def _prefers_events(accept: str) -> bool:
    weight = weights(accept)
    events = weight.pop(EVENT_STREAM, 0.0)
    weight.pop("*/*", None)
    return events > max(weight.values(), default=0.0)


class EventStream:
    """Serves one request: `run` it, and `end` it from outside when it must not go on."""

    def __init__(
        self, endpoint: Endpoint, sessions: Sessions, limits: SocketLimits, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._endpoint = endpoint
        self._sessions = sessions
        self._limits = limits
        self._scope = scope
        self._receive = receive
        self._send = send
        self._channel = EventChannel(send)
        self._outbox = Outbox(self._channel, limits, lambda: self.end(TOO_SLOW))
        self._ending: asyncio.Future[Ending | None] = asyncio.get_running_loop().create_future()
        self._channel.listen(self._outbox.flush, lambda: self._finish(None))

    async def run(self) -> None:
        """Answer the request."""
        try:
            await self._answer(fields_of(self._scope))
        except ClientGone:
            return
        except Refusal as refusal:
            await respond(self._send, refusal.status, encode_json({"errors": [refusal.error]}), JSON, refusal.headers)
        except Exception as defect:
            await respond(self._send, 500, encode_json({"errors": [masked(defect)]}), JSON, ())

    def end(self, ending: Ending) -> None:
        """End the stream this way, unless it is ending already. Does not wait."""
        self._finish(ending)

    async def _answer(self, headers: Fields) -> None:
        if self._scope["method"] not in ("GET", "POST"):
            raise Refusal(405, plain_error("Send a GET or POST request."), ((b"allow", b"GET, POST"),))
        place = await self._join(token_of(headers))
        try:
            request = await self._request(headers)
            await self._stream(request, place.principal)
        finally:
            place.leave()

    async def _join(self, token: str) -> Place:
        try:
            with refusing_strangers():
                async with asyncio.timeout(self._limits.init_timeout):
                    return await self._sessions.join(token, self.end)
        except TooManyConnections:
            refusal = plain_error(TOO_MANY_CONNECTIONS.reason, ErrorCode.UNAVAILABLE.name)
            raise Refusal(429, refusal, ((b"retry-after", b"1"),)) from None
        except TimeoutError:
            away = Unavailable("The token could not be checked in time.")
            raise Refusal(503, plain_error(away.message, away.code.name), ((b"retry-after", b"1"),)) from None

    async def _request(self, headers: Fields) -> GraphQLRequest:
        if self._scope["method"] == "POST":
            check_content(headers)
            return parse_body(await self._body(headers))
        request = parse_query_string(self._scope["query_string"])
        if not self._endpoint.streams.takes(self._resolved(request) or request):
            message = "By GET only subscriptions are answered. Send queries and mutations by POST."
            raise Refusal(405, plain_error(message), ((b"allow", b"POST"),))
        return request

    async def _body(self, headers: Fields) -> bytes:
        try:
            async with asyncio.timeout(self._limits.init_timeout):
                return await read_body(headers, self._receive)
        except TimeoutError:
            raise Refusal(408, plain_error("The body did not come in time."), ((b"connection", b"close"),)) from None

    def _resolved(self, request: GraphQLRequest) -> GraphQLRequest | None:
        with contextlib.suppress(HubError):
            return self._endpoint.documents.resolve(request)
        return None

    async def _stream(self, request: GraphQLRequest, principal: Principal) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        tasks = [asyncio.create_task(self._operate(request, principal)), asyncio.create_task(self._until_gone())]
        ending = None
        try:
            ending = await self._ended()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._outbox.close()
            await self._close(ending)

    async def _ended(self) -> Ending | None:
        while True:
            done, _ = await asyncio.wait([self._ending], timeout=self._limits.ping_every)
            if done:
                return self._ending.result()
            self._outbox.say(PING)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._finish(None)

    async def _operate(self, request: GraphQLRequest, principal: Principal) -> None:
        wrapping = self._channel.wrapping("")
        try:
            final = await self._run(request, principal, wrapping)
        except Exception as defect:
            final = {"errors": [masked(defect)]}
        if final is not None:
            self._outbox.say(wrapping.wrap(encode_json(final)))
        self._outbox.say(COMPLETE)
        await self._outbox.sent()
        self._finish(COMPLETED)

    async def _run(self, request: GraphQLRequest, principal: Principal, wrapping: Wrapping) -> dict[str, Any] | None:
        """Run the operation to its end; the last result, if one is left to tell."""
        try:
            request = self._endpoint.documents.resolve(request)
        except HubError as refusal:
            return {"errors": [self._endpoint.describe(typed_error(refusal))]}
        if self._endpoint.streams.takes(request):
            subscriber = Subscriber(self._outbox, wrapping)
            errors = await subscriber.follow(self._endpoint.streams, request, principal)
            return {"errors": list(errors)} if errors else None
        try:
            return result_body(await execute(self._endpoint, request, principal), self._endpoint.describe)
        except Refusal as refused:
            return {"errors": [refused.error]}

    async def _close(self, ending: Ending | None) -> None:
        await self._channel.stop()
        if ending is None:
            return
        last = b"" if ending is COMPLETED else f": {ending.code} {ending.reason}\n\n".encode()
        patience = self._limits.slow_patience if ending is TOO_SLOW else self._limits.close_patience
        try:
            async with asyncio.timeout(patience):
                await self._send({"type": "http.response.body", "body": last, "more_body": False})
        except asyncio.CancelledError:
            cut_off(self._scope)
            raise
        except (OSError, TimeoutError):
            if cut_off(self._scope):
                await self._until_gone()  # until then, the server would miss the end of the response

    def _finish(self, ending: Ending | None) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)


class EventChannel(AsgiChannel):
    """The body of an HTTP response: whatever comes in a tick is one chunk."""

    def __init__(self, send: Send) -> None:
        super().__init__(send, _chunk)

    def wrapping(self, operation_id: str) -> Wrapping:
        """The event `next`, the same for all connections."""
        return Wrapping(f"event {operation_id}", next_event)

    def wire(self, message: bytes) -> bytes:
        """The message itself."""
        return message

    async def close(self, _ending: Ending | None, _patience: float) -> None:
        """Send no more; the response is ended by whoever began it."""
        await self.stop()


def next_event(body: bytes) -> bytes:
    """The event that tells one result. A line break in JSON is white space, in an event it is the end of a line."""
    return b"event: next\ndata: %b\n\n" % body.replace(b"\r", b" ").replace(b"\n", b" ")


def parse_query_string(query_string: bytes) -> GraphQLRequest:
    """The request that a URL spells: `variables` and `extensions` are JSON. Raises `Refusal`."""
    given: dict[str, object] = dict(QueryParams(query_string))
    try:
        for name in ("variables", "extensions"):
            if name in given:
                given[name] = parse_json(str(given[name]))
        return parse_request(given)
    except Malformed as malformed:
        raise Refusal(400, plain_error(str(malformed))) from None


def _chunk(pieces: Sequence[bytes]) -> Iterable[Message]:
    return [{"type": "http.response.body", "body": b"".join(pieces), "more_body": True}]
