"""Just enough of RFC 6455 and of graphql-transport-ws for a load client: a handshake, frames out, frames in.

A chunk, which is what one `recv` brought, is taken apart once: servers that send the same bytes to every socket
are recognised by one look-up a chunk, so that counting costs this client less than the kernel's part of receiving.
"""

import base64
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.load import HEAD_END, PATIENCE, WrongAnswer

FINAL = 0x80
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CHUNKS_KEPT = 2_000
"""Chunks that are remembered at most, each up to 64 KiB."""
SILENT_TYPES = frozenset({"connection_ack", "pong"})


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame, masked as a client's must be; by a key of zeros, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((FINAL | opcode, 0x80 | size))
    else:
        head = bytes((FINAL | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    return head + bytes(4) + payload


def open_socket(host: str, port: int, path: str, opening: Sequence[str]) -> socket.socket:
    """A connected socket that has said all of `opening`; the first message, if any, was answered.

    Raises `WrongAnswer` when the server refuses.
    """
    connected = socket.create_connection((host, port), timeout=PATIENCE)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    connected.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    head = _read_until(connected, HEAD_END)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise WrongAnswer(f"the server refused the socket: {head.splitlines()[0].decode()}")
    for number, message in enumerate(opening):
        connected.sendall(client_frame(message.encode()))
        if number == 0:
            _await_acknowledgement(connected)
    connected.setblocking(False)
    return connected


def _read_until(connected: socket.socket, end: bytes) -> bytes:
    """What the server says up to `end`; it says nothing further unasked."""
    read = b""
    while end not in read:
        more = connected.recv(4096)
        if not more:
            raise WrongAnswer("the server closed the connection in the handshake")
        read += more
    return read


def _await_acknowledgement(connected: socket.socket) -> None:
    answer = connected.recv(4096)
    if b'"connection_ack"' not in answer:
        raise WrongAnswer(f"the server did not acknowledge the connection: {answer[:200]!r}")


@dataclass(frozen=True)
class Chunk:
    """What is in a chunk: the numbers of its messages, frames to answer with, and the begin of an unfinished frame."""

    numbers: tuple[int, ...]
    replies: bytes
    rest: bytes


@dataclass
class Reader:
    """Takes chunks apart, and gives each distinct message a number from 0: its place in `bodies`."""

    bodies: list[bytes] = field(default_factory=list)
    _numbers: dict[bytes, int | None] = field(default_factory=dict)
    _chunks: dict[bytes, Chunk] = field(default_factory=dict)

    def forget(self) -> None:
        """Begin anew."""
        self.bodies.clear()
        self._numbers.clear()
        self._chunks.clear()

    def read(self, chunk: bytes) -> Chunk:
        """What is in it. Raises `WrongAnswer` for a close frame, an error, or the end of a subscription."""
        known = self._chunks.get(chunk)
        if known is None:
            if len(self._chunks) >= CHUNKS_KEPT:
                self._chunks.clear()
            known = self._chunks[chunk] = self._taken_apart(chunk)
        return known

    def _taken_apart(self, chunk: bytes) -> Chunk:
        numbers: list[int] = []
        replies, end = b"", 0
        for opcode, begin, end in frames(chunk):
            payload = chunk[begin:end]
            if opcode == TEXT:
                number = self._number(payload)
                if number is not None:
                    numbers.append(number)
                elif json.loads(payload)["type"] == "ping":
                    replies += client_frame(b'{"type":"pong"}')
            elif opcode == PING:
                replies += client_frame(payload, PONG)
            elif opcode != PONG:
                raise WrongAnswer(f"the server closed a socket: {int.from_bytes(payload[:2], 'big')} {payload[2:]!r}")
        return Chunk(tuple(numbers), replies, chunk[end:])

    def _number(self, body: bytes) -> int | None:
        """The message's number; None when it carries no result."""
        if body not in self._numbers:
            kind = json.loads(body)["type"]
            if kind == "next" and b'"errors"' not in body:
                self._numbers[body] = len(self.bodies)
                self.bodies.append(body)
            elif kind in SILENT_TYPES or kind == "ping":
                self._numbers[body] = None
            else:
                raise WrongAnswer(f"the server sent no result: {body[:300]!r}")
        return self._numbers[body]


def frames(chunk: bytes) -> Iterator[tuple[int, int, int]]:
    """Opcode, begin and end of the payload of each whole frame. Raises `WrongAnswer` for a fragment."""
    place, size = 0, len(chunk)
    while place + 2 <= size:
        first, length = chunk[place], chunk[place + 1]
        if not first & FINAL:
            raise WrongAnswer("the server sent a message in fragments, which this client does not read")
        begin = place + 2
        if length == 126:
            begin = place + 4
            length = int.from_bytes(chunk[place + 2 : begin], "big")
        elif length == 127:
            begin = place + 10
            length = int.from_bytes(chunk[place + 2 : begin], "big")
        place = begin + length
        if place > size or begin > size:
            return
        yield first & 0x0F, begin, place
