"""uvicorn's protocols, opened so far that frames can be written to the transport, and a peer be cut off.

This file alone leans on what uvicorn does not document; pyproject.toml pins its minor version. `chosen_protocols` looks
whether all of it is there. If not, the server is an ASGI server like any other, and sockets are written to by `send`.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import structlog
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from graphql_schema.transport.channels import Wrapping, clipped, next_message
from graphql_schema.transport.endings import Ending

FRAMES = "hub.frames"
"""The scope's extension that writes a WebSocket's frames."""
CUT_OFF = "hub.cut_off"
"""The scope's extension that ends the connection of a request, whether its peer reads or not."""
UNSENT_BYTES = 16_384
"""That the kernel takes for one socket beyond what is on its way: a peer that stops reading is felt soon."""
CLOSE_PATIENCE = 5.0
"""Seconds for a peer to take what was written before the server shut down, or gave up pinging it."""
TEXT = 0x81
"""The first byte of a frame that is a whole text message."""

SOCKET_METHODS = ("handle_connect", "connection_made", "connection_lost", "resume_writing", "keepalive_timeout", "send")
SOCKET_ATTRIBUTES = ("transport", "writable", "close_sent", "disconnected", "loop")
HTTP_METHODS = ("on_message_begin",)
HTTP_ATTRIBUTES = ("transport", "scope")

log = structlog.get_logger(__name__)


class Protocols(NamedTuple):
    """What `uvicorn.Config` is given as `ws` and `http`."""

    ws: type[asyncio.Protocol] | str
    http: type[asyncio.Protocol] | str


PLAIN_ASGI = Protocols("websockets-sansio", "httptools")
"""uvicorn's own."""


def chosen_protocols() -> Protocols:
    """The protocols below, or uvicorn's own where this version of it is not what they lean on."""
    missing = [
        *_missing(WebSocketsSansIOProtocol, SOCKET_METHODS, SOCKET_ATTRIBUTES),
        *_missing(HttpToolsProtocol, HTTP_METHODS, HTTP_ATTRIBUTES),
    ]
    if missing:
        log.warning("sockets are served by plain ASGI: this uvicorn is not known", missing=missing)
        return PLAIN_ASGI
    return Protocols(FrameProtocol, CuttableProtocol)


def _missing(protocol: type, methods: Sequence[str], attributes: Sequence[str]) -> list[str]:
    set_by_init = protocol.__init__.__code__.co_names  # type: ignore[misc]
    return [name for name in methods if not callable(getattr(protocol, name, None))] + [
        name for name in attributes if name not in set_by_init
    ]


def frame(message: bytes) -> bytes:
    """The message as one unmasked text frame, by RFC 6455, section 5.2."""
    length = len(message)
    if length < 126:
        return bytes((TEXT, length)) + message
    if length < 65_536:
        return struct.pack("!BBH", TEXT, 126, length) + message
    return struct.pack("!BBQ", TEXT, 127, length) + message


class FrameProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that takes frames made elsewhere: the `Channel` of what runs on it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._resumed: Callable[[], None] = _nothing
        self._lost: Callable[[], None] = _nothing
        self._cutting: asyncio.TimerHandle | None = None

    # -- the channel

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close."""
        return not (self.close_sent or self.disconnected or self.transport.is_closing())

    def takes_more(self) -> bool:
        """Whether the transport's buffer is not full, and nobody closes. (uvicorn's `writable` is an event.)"""
        return self.writable.is_set() and self.is_open

    def listen(self, resumed: Callable[[], None], lost: Callable[[], None]) -> None:
        """Have it told when the buffer is empty enough again, and when the connection is gone."""
        self._resumed, self._lost = resumed, lost

    def write_frames(self, pieces: Sequence[bytes]) -> None:
        """Write whole frames."""
        self.transport.write(b"".join(pieces))

    async def close(self, ending: Ending | None, patience: float) -> None:
        """Close, and cut the peer off after so many seconds if it has not taken the close frame by then."""
        if ending is not None and self.is_open:
            self.writable.set()  # the close frame does not wait for a peer that does not read
            with contextlib.suppress(OSError, RuntimeError):
                await self.send({"type": "websocket.close", "code": ending.code, "reason": clipped(ending.reason)})
        self._cut_off_after(patience)

    def _cut_off_after(self, patience: float) -> None:
        if self.disconnected:
            return
        if self._cutting is not None:
            self._cutting.cancel()
        self._cutting = self.loop.call_later(patience, self.transport.abort)

    # -- uvicorn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with contextlib.suppress(OSError):  # a Unix socket has no such option
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def handle_connect(self, event: Request) -> None:
        """Offer the channel to the application, whose task runs only after this."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][FRAMES] = FrameChannel(self)

    def resume_writing(self) -> None:
        """The buffer is empty enough."""
        super().resume_writing()
        self._resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self._cutting is not None:
            self._cutting.cancel()
        self._lost()
        self._resumed = self._lost = _nothing  # so that nobody keeps the other alive

    def keepalive_timeout(self) -> None:
        """A ping was not answered. Such a peer may never take the close frame either."""
        was_open = self.is_open
        super().keepalive_timeout()
        if was_open:
            self._cut_off_after(CLOSE_PATIENCE)

    def shutdown(self) -> None:
        """The server ends."""
        super().shutdown()
        self._cut_off_after(CLOSE_PATIENCE)


class FrameChannel:
    """The `Channel` over a `FrameProtocol`."""

    def __init__(self, protocol: FrameProtocol) -> None:
        self._protocol = protocol
        self.listen = protocol.listen
        self.write = protocol.write_frames
        self.close = protocol.close

    @property
    def writable(self) -> bool:
        """Whether the transport's buffer is not full, and nobody closes."""
        return self._protocol.takes_more()

    def wrapping(self, operation_id: str) -> Wrapping:
        """The frames of `next` messages."""
        message = next_message(operation_id)
        return Wrapping(f"frame {operation_id}", lambda body: frame(message(body)))

    def wire(self, message: bytes) -> bytes:
        """The message as a frame."""
        return frame(message)


class CuttableProtocol(HttpToolsProtocol):
    """HTTP whose connections can be cut off: an event stream may have a peer that never reads."""

    def on_message_begin(self) -> None:
        """Offer that to the application."""
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {**scope.get("extensions", {}), CUT_OFF: self.transport.abort}


def frame_channel(scope: Scope) -> FrameChannel | None:
    """The writer of frames that this server offers, if it does."""
    channel = scope.get("extensions", {}).get(FRAMES)
    return channel if isinstance(channel, FrameChannel) else None


def cut_off(scope: Scope) -> bool:
    """End the connection of a request at once; whether this server can."""
    abort = scope.get("extensions", {}).get(CUT_OFF)
    if abort is None:
        return False
    abort()
    return True


def _nothing() -> None:
    return
