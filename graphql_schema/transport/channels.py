"""Where an outbox writes to: a connection that takes what it can at once, and says when it can take more."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Message, Send

from graphql_schema.outgoing import encode_json
from graphql_schema.streams.delivery import Payload
from graphql_schema.transport.endings import Ending

FRAMES_KEPT = 4
"""Forms of one payload that are kept for other sockets. Many clients call their operations by random ids: what was
made for one of these serves nobody else, and would stay as long as the payload waits for its slowest reader."""
REASON_LIMIT = 123
"""Bytes of a close reason at most, by RFC 6455."""


@dataclass(frozen=True, eq=False)
class Wrapping:
    """How the payloads of one subscription look on the wire. Equal `key`, equal form."""

    key: str
    wrap: Callable[[bytes], bytes]

    def of(self, payload: Payload) -> bytes:
        """The payload as it is written, made once for all who use the same key."""
        made = payload.frames.get(self.key)
        if made is None:
            made = self.wrap(payload.body)
            if len(payload.frames) < FRAMES_KEPT:
                payload.frames[self.key] = made
        return made


class Channel(Protocol):
    """One connection, as an outbox sees it. Nothing but `close` waits."""

    @property
    def writable(self) -> bool:
        """Whether the connection takes more now. One that is closing does not."""
        ...

    def listen(self, resumed: Callable[[], None], lost: Callable[[], None]) -> None:
        """Have it told when the connection takes more again, and when it is gone."""
        ...

    def wrapping(self, operation_id: str) -> Wrapping:
        """The form of an operation's payloads."""
        ...

    def wire(self, message: bytes) -> bytes:
        """The form of any other message."""
        ...

    def write(self, pieces: Sequence[bytes]) -> None:
        """Write these, in order. Only while `writable`; what the peer does not take at once is bounded by them."""
        ...

    async def close(self, ending: Ending | None, patience: float) -> None:
        """Tell the peer why (None: it is gone) and close; cut it off after this many seconds if it does not read."""
        ...


def next_message(operation_id: str) -> Callable[[bytes], bytes]:
    """Makes `next` messages of an operation of the bodies of its payloads."""
    head = b'{"id":%b,"type":"next","payload":' % encode_json(operation_id)
    return lambda body: b"%b%b}" % (head, body)


class AsgiChannel:
    """Writes by ASGI's `send`, stepped directly; only one that has to wait for the peer gets a task."""

    def __init__(self, send: Send, events: Callable[[Sequence[bytes]], Iterable[Message]]) -> None:
        self._send = send
        self._events = events
        self._left: deque[Message] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_lost = False
        self._resumed: Callable[[], None] = _nothing
        self._lost: Callable[[], None] = _nothing

    @property
    def writable(self) -> bool:
        """Whether no earlier `send` still waits for the peer."""
        return self._task is None and not self._is_lost

    def listen(self, resumed: Callable[[], None], lost: Callable[[], None]) -> None:
        """Have it told when more can be sent, and when nothing can any more."""
        self._resumed, self._lost = resumed, lost

    def write(self, pieces: Sequence[bytes]) -> None:
        """Send these, at once as far as the server takes them."""
        self._left.extend(self._events(pieces))
        self._go_on()

    async def stop(self) -> None:
        """Send no more, and return when nothing runs any more."""
        self._is_lost = True
        self._left.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _go_on(self) -> None:
        while self._left:
            steps = self._send(self._left.popleft()).__await__()
            try:
                awaited = next(steps)
            except StopIteration:
                continue
            except (OSError, RuntimeError):  # the server's ways to say that the connection is closed
                self._lose()
            else:
                self._task = asyncio.create_task(self._finish(_Rest(steps, awaited)), name="sending to a slow peer")
            return

    async def _finish(self, rest: "_Rest") -> None:
        try:
            await rest
        except (OSError, RuntimeError):
            self._task = None
            self._lose()
            return
        self._task = None
        self._go_on()
        if self.writable:
            self._resumed()

    def _lose(self) -> None:
        self._is_lost = True
        self._left.clear()
        self._lost()


@dataclass(frozen=True)
class _Rest:
    """The rest of a coroutine that was stepped to its first wait."""

    steps: Generator[Any, Any, None]
    awaited: Any

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self.awaited
        except BaseException:
            self.steps.close()
            raise
        yield from self.steps


class TextChannel(AsgiChannel):
    """A WebSocket of whatever server: one ASGI message for each of the protocol's."""

    def __init__(self, send: Send) -> None:
        super().__init__(send, _texts)

    def wrapping(self, operation_id: str) -> Wrapping:
        """The text of `next` messages."""
        return Wrapping(f"text {operation_id}", next_message(operation_id))

    def wire(self, message: bytes) -> bytes:
        """The message itself."""
        return message

    async def close(self, ending: Ending | None, patience: float) -> None:
        """Close; a peer that never reads is left to the server, ASGI has no way to cut it off."""
        await self.stop()
        if ending is None:
            return
        event = {"type": "websocket.close", "code": ending.code, "reason": clipped(ending.reason)}
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(patience):
                await self._send(event)


def clipped(reason: str) -> str:
    """The reason, within what a close frame may hold."""
    return reason.encode()[:REASON_LIMIT].decode(errors="ignore")


def _texts(pieces: Sequence[bytes]) -> Iterable[Message]:
    return [{"type": "websocket.send", "text": piece.decode()} for piece in pieces]


def _nothing() -> None:
    return
