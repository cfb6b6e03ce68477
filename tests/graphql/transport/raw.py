"""A WebSocket client that costs little, for tests with very many of them, and that can be rude.

It masks with a key of zeros, which leaves the payload as it is, and takes frames apart only to count them.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, Self

import orjson

HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
RESET = struct.pack("ii", 1, 0)
CLOSE, PING = 8, 9


def masked_frame(message: object) -> bytes:
    """A client's text frame."""
    body = orjson.dumps(message)
    length = struct.pack("!B", 0x80 | len(body)) if len(body) < 126 else struct.pack("!BH", 0x80 | 126, len(body))
    return b"\x81" + length + bytes(4) + body


class RawSocket(asyncio.Protocol):
    """One connection. `frames` counts what came; `on_frame` is given each text frame's payload."""

    def __init__(self, on_frame: Callable[[bytes], None] | None = None) -> None:
        self.frames = 0
        self.bytes = 0
        self.close_code: int | None = None
        self.close_reason = ""
        self.gone = asyncio.Event()
        self.came = asyncio.Event()
        self.transport: Any = None
        self._on_frame = on_frame
        self._left = bytearray()
        self._upgraded = asyncio.Event()

    @classmethod
    async def open(cls, port: int, secret: str, on_frame: Callable[[bytes], None] | None = None) -> Self:
        """Connect and be acknowledged."""
        self = cls(on_frame)
        connection = socket.socket()
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        await asyncio.get_running_loop().create_connection(lambda: self, sock=connection)
        init = {"type": "connection_init", "payload": {"token": secret}}
        self.transport.write(HANDSHAKE)
        await self._upgraded.wait()
        self.transport.write(masked_frame(init))
        await self.came_first()
        return self

    async def came_first(self) -> None:
        """Return when there is an answer, be it that the connection is closed."""
        async with asyncio.timeout(20):
            while not self.frames and not self.gone.is_set():
                self.came.clear()
                await self.came.wait()

    def subscribe(self, operation_id: str, query: str, **variables: object) -> None:
        payload = {"query": query, "variables": variables}
        self.transport.write(masked_frame({"type": "subscribe", "id": operation_id, "payload": payload}))

    async def until(self, frames: int, seconds: float = 20) -> None:
        """Return when so many frames have come."""
        async with asyncio.timeout(seconds):
            while self.frames < frames:
                self.came.clear()
                await self.came.wait()

    def reset(self) -> None:
        """End the connection by a RST."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    # -- the protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._left += data
        self.bytes += len(data)
        if not self._upgraded.is_set():
            head, separator, rest = bytes(self._left).partition(b"\r\n\r\n")
            if not separator:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded.set()
            self._left = bytearray(rest)
        self._take_frames()
        self.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self.came.set()

    def _take_frames(self) -> None:
        left, at = self._left, 0
        while len(left) - at >= 2:
            opcode, length, start = left[at] & 15, left[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(left[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(left[at + 2 : at + 10], "big"), at + 10
            if len(left) < start + length or len(left) < start:
                break
            self._take(opcode, bytes(left[start : start + length]) if self._on_frame or opcode >= CLOSE else b"")
            at = start + length
        del left[:at]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            self.close_code, self.close_reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
            self.transport.write(b"\x88\x80" + bytes(4))
            self.transport.close()
        elif opcode == PING:
            self.transport.write(bytes((0x8A, 0x80 | len(payload))) + bytes(4) + payload)
        elif opcode == 1:
            self.frames += 1
            if self._on_frame is not None:
                self._on_frame(payload)
