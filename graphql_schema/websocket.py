"""One WebSocket that speaks `graphql-transport-ws`, to the letter (PROTOCOL.md of the npm package graphql-ws).

Whatever breaks the protocol closes the socket with its 44xx code. Nothing else does: an operation that fails ends by a
message of its own. Everything that runs for a socket is a task of that socket, cancelled and awaited when it ends.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from graphql import GraphQLError
from starlette.types import Message, Receive, Send
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from app.domain.errors import HubError, Unauthenticated, Unavailable
from app.domain.principals import Principal
from graphql_schema.endpoint import Endpoint
from graphql_schema.errors import typed_error
from graphql_schema.incoming import GraphQLRequest, Malformed, bearer_token, parse_json, parse_request
from graphql_schema.outgoing import encode_json, failed_before_data, masked, plain_error, result_body
from graphql_schema.streams.delivery import Payload, Streams

SUBPROTOCOL = "graphql-transport-ws"
REASON_LIMIT = 123
"""Bytes of a close reason at most, by RFC 6455."""


class Ending(NamedTuple):
    """How the server closes a socket."""

    code: int
    reason: str


SERVICE_RESTART = Ending(1012, "Service restart")
TRY_AGAIN_LATER = Ending(1013, "The hub cannot answer now, try again later")
NOT_JSON = Ending(4400, "A message must be a text frame with a JSON object")
UNAUTHORIZED = Ending(4401, "Unauthorized")
FORBIDDEN = Ending(4403, "Forbidden")
UNACCEPTABLE = Ending(4406, "Subprotocol not acceptable")
INIT_TIMEOUT = Ending(4408, "Connection initialisation timeout")
TOO_MANY_INITS = Ending(4429, "Too many initialisation requests")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SocketLimits:
    """Bounds of a socket, in seconds and pieces.

    The authenticator answers from a cache of 3 s, so a token that is asked about every 2 s ends its sockets within 5 s
    of its revocation.
    """

    init_timeout: float = 10.0
    """From the handshake to the acknowledgement, authentication included."""
    recheck_every: float = 2.0
    """Between two questions whether the token still holds."""
    unverified_for: float = 60.0
    """Since the last answer to that question, before a socket is closed for want of one."""
    operations: int = 100
    """Operations that run at once."""
    close_patience: float = 5.0
    """For a peer that does not read, to take the close frame."""


class Violation(Exception):
    """The peer broke the protocol."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class PeerGone(Exception):
    """The peer is away, nothing can be sent any more."""


class Taken:
    """The payloads of one subscription that wait for their socket."""

    def __init__(self) -> None:
        self._waiting: list[Payload] = []
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.errors: Sequence[Mapping[str, Any]] | None = None

    def deliver(self, payloads: Sequence[Payload]) -> None:
        """Keep them."""
        self._waiting += payloads
        self._empty.clear()
        self._changed.set()

    async def ready(self) -> None:
        """Return when nothing waits."""
        await self._empty.wait()

    def finish(self, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        """Nothing follows."""
        self.errors = errors
        self._changed.set()

    async def next(self) -> list[Payload]:
        """What waits, once there is something, or once nothing follows."""
        self._empty.set()
        await self._changed.wait()
        self._changed.clear()
        waiting, self._waiting = self._waiting, []
        return waiting


class GraphQLSocket:
    """Serves one connection: `run` it, and `end` it from outside when it must not go on."""

    def __init__(self, endpoint: Endpoint, limits: SocketLimits, receive: Receive, send: Send) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._receive = receive
        self._asgi_send = send
        loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Ending | None] = loop.create_future()
        self._init_timer = loop.call_later(limits.init_timeout, self.end, *INIT_TIMEOUT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._initialised = False
        self._principal: Principal | None = None
        self._acknowledged = False
        self._verified_at = 0.0

    async def run(self, subprotocols: Sequence[str]) -> None:
        """Serve the connection until either side ends it."""
        try:
            await self._accept(subprotocols)
            self._spawn(self._read())
            ending = await self._ending
        except PeerGone:
            ending = None
        finally:
            self._init_timer.cancel()
            await self._release()
        if ending is not None:
            await self._close(ending)

    def end(self, code: int, reason: str) -> None:
        """Close the socket with this code, unless it is ending already. Does not wait."""
        self._finish(Ending(code, reason))

    # -- the connection

    async def _accept(self, subprotocols: Sequence[str]) -> None:
        message = await self._receive()
        if message["type"] != "websocket.connect":
            raise PeerGone
        acceptable = SUBPROTOCOL in subprotocols
        await self._send_event({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if acceptable else None})
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
                await self._send(_pong(_optional_payload(message)))
            case "pong":
                _optional_payload(message)
            case "subscribe":
                await self._subscribe(_id_of(message), message.get("payload"))
            case "complete":
                self._cancel(_id_of(message))
            case _:
                raise Violation(Ending(4400, "A message has an unknown type"))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_event({"type": "websocket.send", "text": encode_json(message).decode()})

    async def _send_event(self, event: Message) -> None:
        try:
            await self._asgi_send(event)
        except (OSError, RuntimeError):  # the server's ways to say that the connection is closed
            raise PeerGone from None

    async def _close(self, ending: Ending) -> None:
        reason = ending.reason.encode()[:REASON_LIMIT].decode(errors="ignore")
        with contextlib.suppress(PeerGone, TimeoutError):
            async with asyncio.timeout(self._limits.close_patience):
                await self._send_event({"type": "websocket.close", "code": ending.code, "reason": reason})

    # -- who it is

    def _initialise(self, payload: dict[str, Any] | None) -> None:
        if self._initialised:
            raise Violation(TOO_MANY_INITS)
        self._initialised = True
        token = _token_of(payload or {})
        if token is None:
            raise Violation(FORBIDDEN)
        self._spawn(self._keep_authenticated(token))

    async def _keep_authenticated(self, token: str) -> None:
        """Acknowledge the connection, then ask again and again whether its token still holds."""
        try:
            self._principal = await self._endpoint.authenticate(token)
        except Unauthenticated:
            raise Violation(FORBIDDEN) from None
        except Unavailable:
            raise Violation(TRY_AGAIN_LATER) from None
        self._init_timer.cancel()
        self._verified_at = time.monotonic()
        self._acknowledged = True
        await self._send({"type": "connection_ack"})
        while True:
            await asyncio.sleep(self._limits.recheck_every)
            await self._recheck(token)

    async def _recheck(self, token: str) -> None:
        try:
            async with asyncio.timeout(self._limits.init_timeout):
                principal = await self._endpoint.authenticate(token)
        except Unauthenticated:
            raise Violation(Ending(4403, "The token has expired or was revoked")) from None
        except Exception as error:  # the database is away: nothing can be read or changed now either
            log.info("a token could not be checked", error=repr(error))
            if time.monotonic() - self._verified_at > self._limits.unverified_for:
                raise Violation(TRY_AGAIN_LATER) from None
            return
        self._verified_at = time.monotonic()
        if principal != self._principal:
            raise Violation(Ending(4403, "The token's rights have changed, connect again"))

    # -- operations

    async def _subscribe(self, operation_id: str, payload: object) -> None:
        if not self._acknowledged:
            raise Violation(UNAUTHORIZED)
        try:
            request = parse_request(payload)
        except Malformed as malformed:
            raise Violation(Ending(4400, f"The payload of a subscribe message is malformed: {malformed}")) from None
        if operation_id in self._operations:
            raise Violation(Ending(4409, f"Subscriber for {operation_id} already exists"))
        if len(self._operations) >= self._limits.operations:
            await self._send_error(
                operation_id,
                [plain_error(f"At most {self._limits.operations} operations run at once on a socket.")],
            )
            return
        self._operations[operation_id] = self._spawn(self._operate(operation_id, request))

    def _cancel(self, operation_id: str) -> None:
        task = self._operations.pop(operation_id, None)
        if task is not None:
            task.cancel()

    async def _operate(self, operation_id: str, request: GraphQLRequest) -> None:
        assert self._principal is not None  # noqa: S101  (nothing is subscribed before the acknowledgement)
        try:
            request = self._endpoint.documents.resolve(request)
        except HubError as refusal:
            await self._conclude(operation_id, self._describe([typed_error(refusal)]))
            return
        streams = self._endpoint.streams
        if streams is not None and streams.takes(request):
            await self._follow(streams, operation_id, request, self._principal)
        else:
            await self._conclude(operation_id, await self._run(operation_id, request, self._principal))

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
        except PeerGone:
            raise
        except Exception as defect:
            return [masked(defect)]

    async def _conclude(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        """Tell that the operation ended, by these errors if there are any."""
        self._forget(operation_id)
        if errors:
            await self._send_error(operation_id, errors)
        else:
            await self._send({"type": "complete", "id": operation_id})

    async def _follow(self, streams: Streams, operation_id: str, request: GraphQLRequest, principal: Principal) -> None:
        taken = Taken()
        membership = await streams.open(request, principal, taken)
        try:
            while True:
                for payload in await taken.next():
                    frame = b'{"type":"next","id":%b,"payload":%b}' % (encode_json(operation_id), payload.body)
                    await self._send_event({"type": "websocket.send", "text": frame.decode()})
                    await asyncio.sleep(0)
                if taken.errors is not None:
                    break
        finally:
            await membership.leave()
        await self._conclude(operation_id, [dict(error) for error in taken.errors])

    async def _send_results(self, operation_id: str, results: Any) -> list[dict[str, Any]]:
        """Send what the operation yields; the errors that it ended with, if it did."""
        async for result in results:
            if not isinstance(result, ExecutionResult):
                return [plain_error("Incremental delivery is not supported over WebSockets.")]
            if isinstance(result, PreExecutionError) or failed_before_data(result):
                return self._describe(result.errors or [])
            body = result_body(result, self._endpoint.describe)
            await self._send({"type": "next", "id": operation_id, "payload": body})
            await asyncio.sleep(0)  # sending to a peer that reads suspends nothing, so others would never have a turn
        return []

    async def _send_error(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        await self._send({"type": "error", "id": operation_id, "payload": errors})

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
