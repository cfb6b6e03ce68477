"""The connection to a hub: operations over HTTP, subscriptions over graphql-transport-ws that survive a cut."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from gql import GraphQLRequest
from gql.transport.exceptions import (
    TransportError,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from httpx import AsyncClient, HTTPError
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.client.backoff import Backoff
from app.client.errors import HubFault, HubRefused, HubUnauthorised, HubUnreachable

REQUEST_SECONDS = 20.0
DOWNLOAD_SECONDS = 300.0
CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
FRAME_BYTES = 16 * 2**20

OK = 200
UNAUTHORISED_STATUSES = (401, 403)
UNAUTHORISED_CLOSES = (4401, 4403)
AWAY_STATUSES = (502, 503, 504)
PASSING_CODES = ("UNAVAILABLE", "INTERNAL")
"""GraphQL errors after which a subscription is worth another attempt."""
RESYNC_CODE = "RESYNC_REQUIRED"
"""The GraphQL error that says that a cursor is too old, or is of another database."""

# Failures of a connection are raised to the caller; the library's own log lines would repeat them on stderr.
logging.getLogger("gql").addHandler(logging.NullHandler())

Receive = Callable[[Mapping[str, Any]], None]


class HubClient:
    """One token's connection to the hub at `url` (such as http://127.0.0.1:8000).

    Use it as an asynchronous context manager. Everything that waits has a time-out, in seconds.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/").removesuffix("/graphql")
        self._token = token
        self._direct = _is_loopback(self.url)
        self._http: HTTPXAsyncTransport | None = None

    async def __aenter__(self) -> Self:
        self._http = HTTPXAsyncTransport(
            f"{self.url}/graphql",
            headers={"authorization": f"Bearer {self._token}"},
            timeout=REQUEST_SECONDS,
            trust_env=not self._direct,
            event_hooks={"response": [self._check_status]},
        )
        await self._http.connect()  # type: ignore[no-untyped-call]  # gql does not annotate it
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()  # type: ignore[no-untyped-call]

    async def execute(
        self, operation: str, variables: Mapping[str, Any] | None = None, *, seconds: float = REQUEST_SECONDS
    ) -> dict[str, Any]:
        """The data of a query or mutation. Raises `HubUnreachable`, `HubUnauthorised`, `HubFault`."""
        if self._http is None:
            raise RuntimeError("enter the HubClient before you use it")
        try:
            async with asyncio.timeout(seconds):
                result = await self._http.execute(GraphQLRequest(operation, variable_values=dict(variables or {})))
        except TimeoutError:
            raise HubUnreachable(f"The hub at {self.url} did not answer within {seconds:g} seconds.") from None
        except TransportError as error:
            raise self._explained(error) from None
        if result.errors:
            raise _fault(result.errors)
        return dict(result.data or {})

    async def mutate(
        self, operation: str, given: Mapping[str, Any], *, seconds: float = REQUEST_SECONDS
    ) -> dict[str, Any]:
        """The payload of a mutation's one field, called with `given` as its `$input`. Raises `HubRefused`, as above."""
        payload = await self.payload(operation, given, seconds=seconds)
        for refusal in payload.get("userErrors") or ():
            raise HubRefused(refusal["code"], refusal["message"], refusal.get("field"), refusal.get("currentVersion"))
        return payload

    async def payload(
        self, operation: str, given: Mapping[str, Any], *, seconds: float = REQUEST_SECONDS
    ) -> dict[str, Any]:
        """The same where the hub refused, too, as for a dry run, whose `userErrors` are its answer."""
        data = await self.execute(operation, {"input": dict(given)}, seconds=seconds)
        payload: dict[str, Any] = next(iter(data.values()))
        return payload

    async def download(self, path: str, write: Callable[[bytes], object], *, seconds: float = DOWNLOAD_SECONDS) -> None:
        """Hand what the hub has at a path of its own to `write`, piece by piece, as it comes.

        Raises `HubUnreachable`, also when it was cut off in the midst, `HubUnauthorised` and `HubFault`.
        """
        headers = {"authorization": f"Bearer {self._token}"}
        try:
            async with (
                asyncio.timeout(seconds),
                AsyncClient(headers=headers, timeout=REQUEST_SECONDS, trust_env=not self._direct) as client,
                client.stream("GET", self.url + path) as response,
            ):
                await self._check_status(response)
                if response.status_code != OK:
                    raise _refused_download(await response.aread())
                async for piece in response.aiter_bytes():
                    write(piece)
        except (TransportError, HTTPError, TimeoutError) as error:
            raise HubUnreachable(
                f"The hub at {self.url} did not send all of it: {error or 'it took too long'}. What was written is "
                "not whole; ask again."
            ) from None

    async def follow(
        self,
        operation: str,
        variables: Mapping[str, Any],
        receive: Receive,
        *,
        after: str | None = None,
        connected: Callable[[], None] = lambda: None,
    ) -> None:
        """Hand each change of a subscription to `receive`, for ever; after a cut, go on behind the last one received.

        `connected` is called at each new connection, and when the hub could not go on where it was left: then changes
        may have been missed, and the caller looks at the state itself. Raises `HubUnauthorised` and `HubFault` when
        trying again cannot help.
        """
        cursor, backoff, refusals = after, Backoff(), 0
        while True:
            try:
                async with self._socket() as transport:
                    connected()
                    request = GraphQLRequest(operation, variable_values={**variables, "after": cursor})
                    async for result in transport.subscribe(request):
                        _stay_cancelled()
                        change = _change(result.data, result.errors)
                        receive(change)
                        cursor = change["cursor"]
                        backoff.reset()
                        refusals = 0
            except HubFault as fault:
                cursor = _cursor_after(fault, cursor)
            except TransportQueryError as error:
                cursor = _cursor_after(_fault(error.errors or [str(error)]), cursor)
            except (TransportError, OSError, TimeoutError) as error:
                # once may mean that the token's rights changed; a token that is worth nothing is refused again
                refusals += _is_refusal(error)
                if refusals > 1:
                    raise HubUnauthorised(self._unauthorised_text()) from None
            _stay_cancelled()
            await asyncio.sleep(backoff.delay())

    @asynccontextmanager
    async def _socket(self) -> AsyncIterator[WebsocketsTransport]:
        parts = urlsplit(f"{self.url}/graphql")
        scheme = "wss" if parts.scheme == "https" else "ws"
        transport = WebsocketsTransport(
            urlunsplit((scheme, parts.netloc, parts.path, "", "")),
            init_payload={"authorization": f"Bearer {self._token}"},
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            connect_timeout=CONNECT_SECONDS,
            ack_timeout=CONNECT_SECONDS,
            close_timeout=CLOSE_SECONDS,
            connect_args={"max_size": FRAME_BYTES, **({"proxy": None} if self._direct else {})},
        )
        try:
            await transport.connect()
            _stay_cancelled()
            yield transport
        finally:
            await transport.close()

    def _explained(self, error: BaseException) -> Exception:
        """The client's own error for one of the transport's."""
        cause = error.__cause__
        if isinstance(cause, (HubUnauthorised, HubUnreachable)):
            return cause
        if isinstance(cause, (ValueError, TypeError)):
            return HubFault(f"The request cannot be written as JSON: {cause}")
        if isinstance(error, (TransportServerError, TransportProtocolError)):
            return HubFault(f"What answers at {self.url}/graphql is not a hub: {str(error)[:300]}")
        return HubUnreachable(f"No hub answers at {self.url}. Start one with `make up` or `hub up`.")

    async def _check_status(self, response: Any) -> None:
        if response.status_code in UNAUTHORISED_STATUSES:
            raise HubUnauthorised(self._unauthorised_text())
        if response.status_code in AWAY_STATUSES:
            raise HubUnreachable(f"The hub at {self.url} cannot answer now (HTTP {response.status_code}). Try again.")

    def _unauthorised_text(self) -> str:
        return (
            f"The hub at {self.url} does not accept this token: it is unknown, expired or revoked. "
            "Give a valid one with --token or HUB_TOKEN."
        )


def _is_loopback(url: str) -> bool:
    """Whether the hub is on this machine, where a proxy from the environment must not come in between."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _fault(errors: list[Any]) -> HubFault:
    first = errors[0]
    if not isinstance(first, Mapping):
        return HubFault(str(first))
    extensions = first.get("extensions") or {}
    return HubFault(str(first.get("message", first)), extensions.get("code"))


def _refused_download(body: bytes) -> HubFault:
    try:
        return _fault(json.loads(body)["errors"])
    except (ValueError, LookupError, TypeError):
        return HubFault("What answers there is not a hub of this version.")


def _change(data: Mapping[str, Any] | None, errors: list[Any] | None) -> Mapping[str, Any]:
    if errors:
        raise _fault(errors)
    change = next(iter((data or {}).values()), None)
    if not isinstance(change, Mapping):
        raise HubFault("The hub sent a subscription result without a change in it.")
    return change


def _cursor_after(fault: HubFault, cursor: str | None) -> str | None:
    """Where to go on after an error of the subscription: from now on when the cursor is void. Raises the rest."""
    if fault.code == RESYNC_CODE:
        return None
    if fault.code in PASSING_CODES:
        return cursor
    raise fault


def _is_refusal(error: BaseException) -> bool:
    """Whether the hub closed the socket, or did not open it, for the token's sake."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionClosed) and cause.rcvd and cause.rcvd.code in UNAUTHORISED_CLOSES:
            return True
        if isinstance(cause, InvalidStatus) and cause.response.status_code in UNAUTHORISED_STATUSES:
            return True
        cause = cause.__cause__
    return False


def _stay_cancelled() -> None:
    """Raise the `CancelledError` again that the transport swallowed.

    It does so when it is cancelled while it closes a broken socket (it raises its own error then), and, on Python 3.11,
    when that comes just as an `asyncio.wait_for` inside it is done.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
