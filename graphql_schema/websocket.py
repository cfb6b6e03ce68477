"""One WebSocket that speaks `graphql-transport-ws`, to the letter (PROTOCOL.md of the npm package graphql-ws).

Whatever breaks the protocol closes the socket with its 44xx code. Nothing else does: an operation that fails ends by a
message of its own. Everything that runs for a socket is a task of that socket, cancelled and awaited when it ends.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from graphql import GraphQLError
from starlette.types import Message, Receive, Scope, Send
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from app.domain.errors import HubError, Unauthenticated, Unavailable
from app.domain.principals import Principal
from graphql_schema.endpoint import Endpoint
from graphql_schema.errors import typed_error
from graphql_schema.incoming import GraphQLRequest, Malformed, bearer_token, parse_json, parse_request
from graphql_schema.outgoing import encode_json, failed_before_data, masked, plain_error, result_body
from graphql_schema.transport.channels import Channel, TextChannel
from graphql_schema.transport.endings import (
    FORBIDDEN,
    INIT_TIMEOUT,
    NOT_JSON,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_INITS,
    TOO_SLOW,
    TRY_AGAIN_LATER,
    UNACCEPTABLE,
    UNAUTHORIZED,
    Ending,
    SocketLimits,
)
from graphql_schema.transport.outbox import Outbox
from graphql_schema.transport.sessions import Place, Sessions, TooManyConnections
from graphql_schema.transport.subscriber import Subscriber
from graphql_schema.transport.uvicorn_protocols import frame_channel

SUBPROTOCOL = "graphql-transport-ws"


class Violation(Exception):
    """The peer broke the protocol."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class PeerGone(Exception):
    """The peer is away, nothing can be sent any more."""


class GraphQLSocket:
    """Serves one connection: `run` it, and `end` it from outside when it must not go on."""

    def __init__(
        self, endpoint: Endpoint, sessions: Sessions, limits: SocketLimits, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._endpoint = endpoint
        self._sessions = sessions
        self._limits = limits
        self._subprotocols: Sequence[str] = scope["subprotocols"]
        self._receive = receive
        self._asgi_send = send
        self._channel: Channel = frame_channel(scope) or TextChannel(send)
        self._outbox = Outbox(self._channel, limits, lambda: self.end(TOO_SLOW))
        self._channel.listen(self._outbox.flush, lambda: self._finish(None))
        loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Ending | None] = loop.create_future()
        self._init_timer = loop.call_later(limits.init_timeout, self.end, INIT_TIMEOUT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._initialised = False
        self._place: Place | None = None

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        ending = None
        try:
            await self._accept()
            self._spawn(self._read())
            ending = await self._ending
        except PeerGone:
            pass
        finally:
            self._init_timer.cancel()
            await self._release()
            if self._place is not None:
                self._place.leave()
            self._outbox.flush()
            self._outbox.close()
            patience = self._limits.slow_patience if ending is TOO_SLOW else self._limits.close_patience
            await self._channel.close(ending, patience)

    def end(self, ending: Ending) -> None:
        """Close the socket this way, unless it is ending already. Does not wait."""
        self._finish(ending)

    # -- the connection

    async def _accept(self) -> None:
        message = await self._receive()
        if message["type"] != "websocket.connect":
            raise PeerGone
        acceptable = SUBPROTOCOL in self._subprotocols
        accept = {"type": "websocket.accept", "subprotocol": SUBPROTOCOL if acceptable else None}
        try:
            await self._asgi_send(accept)
        except (OSError, RuntimeError):  # the server's ways to say that the connection is closed
            raise PeerGone from None
        if not acceptable:
            self._finish(UNACCEPTABLE)

    async def _read(self) -> None:
        while not self._ending.done():
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                raise PeerGone
            await self._handle(_parse_message(message))

    async def _handle(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                self._initialise(_optional_payload(message))
            case "ping":
                await self._outbox.ready()
                self._send(_pong(_optional_payload(message)))
            case "pong":
                _optional_payload(message)
            case "subscribe":
                await self._subscribe(_id_of(message), message.get("payload"))
            case "complete":
                self._cancel(_id_of(message))
            case _:
                raise Violation(Ending(4400, "A message has an unknown type"))

    def _send(self, message: dict[str, Any]) -> None:
        self._outbox.say(encode_json(message))

    # -- who it is

    def _initialise(self, payload: dict[str, Any] | None) -> None:
        if self._initialised:
            raise Violation(TOO_MANY_INITS)
        self._initialised = True
        token = _token_of(payload or {})
        if token is None:
            raise Violation(FORBIDDEN)
        self._spawn(self._authenticate(token))

    async def _authenticate(self, token: str) -> None:
        """Take the token's place for this connection, and acknowledge it."""
        try:
            self._place = await self._sessions.join(token, self.end)
        except Unauthenticated:
            raise Violation(FORBIDDEN) from None
        except Unavailable:
            raise Violation(TRY_AGAIN_LATER) from None
        except TooManyConnections:
            raise Violation(TOO_MANY_CONNECTIONS) from None
        self._init_timer.cancel()
        self._send({"type": "connection_ack"})

    # -- operations

    async def _subscribe(self, operation_id: str, payload: object) -> None:
        if self._place is None:
            raise Violation(UNAUTHORIZED)
        try:
            request = parse_request(payload)
        except Malformed as malformed:
            raise Violation(Ending(4400, f"The payload of a subscribe message is malformed: {malformed}")) from None
        if operation_id in self._operations:
            raise Violation(Ending(4409, f"Subscriber for {operation_id} already exists"))
        if len(self._operations) >= self._limits.operations:
            await self._outbox.ready()
            refusal = plain_error(f"At most {self._limits.operations} operations run at once on a socket.")
            self._send({"type": "error", "id": operation_id, "payload": [refusal]})
            return
        self._operations[operation_id] = self._spawn(self._operate(operation_id, request, self._place.principal))

    def _cancel(self, operation_id: str) -> None:
        task = self._operations.pop(operation_id, None)
        if task is not None:
            task.cancel()

    async def _operate(self, operation_id: str, request: GraphQLRequest, principal: Principal) -> None:
        try:
            request = self._endpoint.documents.resolve(request)
        except HubError as refusal:
            self._conclude(operation_id, self._describe([typed_error(refusal)]))
            return
        if self._endpoint.streams.takes(request):
            subscriber = Subscriber(self._outbox, self._channel.wrapping(operation_id))
            errors = await subscriber.follow(self._endpoint.streams, request, principal)
            self._conclude(operation_id, [dict(error) for error in errors])
        else:
            self._conclude(operation_id, await self._run(operation_id, request, principal))

    async def _run(self, operation_id: str, request: GraphQLRequest, principal: Principal) -> list[dict[str, Any]]:
        """Run the operation to its end; the errors that it ended with, if it did."""
        try:
            results: Any = await self._endpoint.schema.stream(
                request.query,
                variable_values=request.variables,
                context_value=self._endpoint.context_for(principal),
                operation_name=request.operation_name,
                operation_extensions=request.extensions,
            )
            async with aclosing(results):
                return await self._send_results(operation_id, results)
        except Exception as defect:
            return [masked(defect)]

    def _conclude(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        """Tell that the operation ended, by these errors if there are any."""
        self._forget(operation_id)
        if errors:
            self._send({"type": "error", "id": operation_id, "payload": errors})
        else:
            self._send({"type": "complete", "id": operation_id})

    async def _send_results(self, operation_id: str, results: Any) -> list[dict[str, Any]]:
        """Send what the operation yields; the errors that it ended with, if it did."""
        async for result in results:
            if not isinstance(result, ExecutionResult):
                return [plain_error("Incremental delivery is not supported over WebSockets.")]
            if isinstance(result, PreExecutionError) or failed_before_data(result):
                return self._describe(result.errors or [])
            body = result_body(result, self._endpoint.describe)
            await self._outbox.ready()
            self._send({"type": "next", "id": operation_id, "payload": body})
        return []

    def _describe(self, errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
        return [self._endpoint.describe(error) for error in errors]

    def _forget(self, operation_id: str) -> None:
        """Free the id before the last message is sent, so that the peer may use it again when it has it."""
        if self._operations.get(operation_id) is asyncio.current_task():
            del self._operations[operation_id]

    # -- tasks

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[None]) -> None:
        """Draw the consequence of how a task ended."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Violation):
            self._finish(error.ending)
        elif isinstance(error, PeerGone):
            self._finish(None)
        elif error is not None:
            self._finish(Ending(1011, masked(error)["message"]))

    def _finish(self, ending: Ending | None) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)

    async def _release(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _parse_message(message: Message) -> dict[str, Any]:
    text = message.get("text")
    try:
        value = parse_json(text) if text is not None else None
    except Malformed:
        raise Violation(NOT_JSON) from None
    if not isinstance(value, dict):
        raise Violation(NOT_JSON)
    return value


def _pong(payload: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "pong"} if payload is None else {"type": "pong", "payload": payload}


def _id_of(message: dict[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not operation_id:
        raise Violation(Ending(4400, "The id of an operation must be a string that is not empty"))
    return operation_id


def _optional_payload(message: dict[str, Any]) -> dict[str, Any] | None:
    payload = message.get("payload")
    if payload is None or isinstance(payload, dict):
        return payload
    raise Violation(Ending(4400, "The payload of this message must be an object"))


def _token_of(payload: dict[str, Any]) -> str | None:
    """The token in the payload of `connection_init`: {"authorization": "Bearer …"} or {"token": "…"}."""
    given = {key.lower(): value for key, value in payload.items() if isinstance(value, str)}
    if "authorization" in given:
        return bearer_token(given["authorization"])
    return given.get("token") or None
