"""What waits to be sent on one connection: bounded, merged where it may be, written in one piece a tick."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from itertools import count, islice

from graphql_schema.streams.delivery import Payload
from graphql_schema.transport.channels import Channel, Wrapping
from graphql_schema.transport.endings import SocketLimits

WRITE_BYTES = 65_536
"""After so much, one write ends and the connection is asked whether it takes more."""
ROOM = 4
"""There is room while no more than this part of the bounds waits."""


class Outbox:
    """Everything for one connection goes through here, in order. `overrun` is called when the peer is too slow."""

    def __init__(self, channel: Channel, limits: SocketLimits, overrun: Callable[[], None]) -> None:
        self._channel = channel
        self._limits = limits
        self._overrun = overrun
        self._loop = asyncio.get_running_loop()
        self._fresh: list[tuple[Wrapping | None, Sequence[Payload]]] = []
        self._waiting: dict[Hashable, tuple[Wrapping | None, Payload]] = {}
        self._bytes = 0
        self._numbers = count()
        self._is_closed = False
        self._stalled: asyncio.TimerHandle | None = None
        self._room = _set_event()
        self._empty = _set_event()

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages and bytes that wait."""
        return len(self._waiting), self._bytes

    def say(self, message: bytes) -> None:
        """Send a message of the protocol itself."""
        self._add(None, [Payload(message)])

    def deliver(self, wrapping: Wrapping, payloads: Sequence[Payload]) -> None:
        """Send payloads; one that still waits is left out for a later one of the same `latest_of`."""
        self._add(wrapping, payloads)

    def drop(self, wrapping: Wrapping) -> None:
        """Send nothing more of what waits in this form."""
        self._fresh = [entry for entry in self._fresh if entry[0] is not wrapping]
        kept = {key: entry for key, entry in self._waiting.items() if entry[0] is not wrapping}
        self._bytes = sum(len(payload.body) for _, payload in kept.values())
        self._waiting = kept
        self._tell_room()
        self._watch()

    async def ready(self) -> None:
        """Return when little waits. Never at once after a delivery, so whoever goes on and on leaves others a turn."""
        if self._fresh:
            await asyncio.sleep(0)
        await self._room.wait()

    async def sent(self) -> None:
        """Return when nothing waits."""
        if self._fresh:
            await asyncio.sleep(0)
        await self._empty.wait()

    def flush(self) -> None:
        """Write what the connection takes now."""
        self._write_fresh()
        if not self._waiting:
            return
        while self._waiting and self._channel.writable:
            self._channel.write(self._take())
        self._tell_room()
        self._watch(again=True)

    def close(self) -> None:
        """Forget what waits, and take no more."""
        self._is_closed = True
        self._fresh.clear()
        self._waiting.clear()
        self._bytes = 0
        self._tell_room()
        self._watch(again=True)

    def _add(self, wrapping: Wrapping | None, payloads: Sequence[Payload]) -> None:
        if self._is_closed:
            return
        if self._fresh:
            self._fresh.append((wrapping, payloads))
        elif not self._waiting and self._channel.writable:
            # written at the end of the tick, so that all that comes in it is one write
            self._fresh.append((wrapping, payloads))
            self._loop.call_soon(self.flush)
        elif self._is_full():
            self._give_up()
        else:
            self._wait(wrapping, payloads)
            self._tell_room()
            self._watch()

    def _write_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        pieces: list[bytes] = []
        for wrapping, payloads in fresh:
            if wrapping is None:
                pieces += [self._channel.wire(payload.body) for payload in payloads]
            else:
                pieces += [wrapping.of(payload) for payload in payloads]
        if pieces and not self._waiting and self._channel.writable and sum(map(len, pieces)) <= WRITE_BYTES:
            self._channel.write(pieces)
            return
        for wrapping, payloads in fresh:
            self._wait(wrapping, payloads)

    def _wait(self, wrapping: Wrapping | None, payloads: Sequence[Payload]) -> None:
        waiting = self._waiting
        for payload in payloads:
            key = next(self._numbers) if payload.latest_of is None else (wrapping, payload.latest_of)
            # the later one stands at the end: its cursor must not overtake what waits before it
            replaced = waiting.pop(key, None)
            if replaced is not None:
                self._bytes -= len(replaced[1].body)
            waiting[key] = (wrapping, payload)
            self._bytes += len(payload.body)

    def _watch(self, *, again: bool = False) -> None:
        """Give the peer up after a patience, counted from now if `again`, while something waits for it."""
        if self._stalled is not None and (again or not self._waiting):
            self._stalled.cancel()
            self._stalled = None
        if self._waiting and self._stalled is None:
            self._stalled = self._loop.call_later(self._limits.stall_patience, self._give_up)

    def _is_full(self) -> bool:
        return len(self._waiting) > self._limits.waiting_messages or self._bytes > self._limits.waiting_bytes

    def _take(self) -> list[bytes]:
        """The next pieces to write, no longer waiting."""
        pieces: list[bytes] = []
        size = taken = 0
        for wrapping, payload in self._waiting.values():
            piece = self._channel.wire(payload.body) if wrapping is None else wrapping.of(payload)
            pieces.append(piece)
            taken += len(payload.body)
            size += len(piece)
            if size >= WRITE_BYTES:
                break
        if len(pieces) == len(self._waiting):
            self._waiting.clear()
        else:
            self._waiting = dict(islice(self._waiting.items(), len(pieces), None))
        self._bytes -= taken
        return pieces

    def _tell_room(self) -> None:
        limits = self._limits
        if len(self._waiting) * ROOM > limits.waiting_messages or self._bytes * ROOM > limits.waiting_bytes:
            self._room.clear()
        else:
            self._room.set()
        if self._waiting:
            self._empty.clear()
        else:
            self._empty.set()

    def _give_up(self) -> None:
        self.close()
        self._overrun()


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
