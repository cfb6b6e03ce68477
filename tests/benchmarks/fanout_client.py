"""A crowd of sockets in a process of its own: it opens them, then counts and times what they receive, as it is told.

Its standard input brings a `Job` and then commands, each a line of JSON; each is answered by a line, and `await` by
two: at once, so that what is awaited may be sent, and when all of it is there. The end of the input ends it.
"""

import json
import os
import resource
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.fanout_frames import Reader, open_socket
from tests.benchmarks.load import PATIENCE, WrongAnswer

CHUNK = 1 << 16
INPUT = 0
"""The descriptor of the standard input."""


@dataclass(frozen=True)
class Job:
    """How many sockets to open, where, and what each says first: `openings` are dealt out in turn."""

    host: str
    port: int
    path: str
    sockets: int
    openings: Sequence[Sequence[str]]


class Connection:
    """One socket and what it has received: when (seconds since the epoch), and the numbers of the messages."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.rest = b""
        self.count = 0
        self.arrivals: list[tuple[float, tuple[int, ...]]] = []

    def forget(self) -> None:
        """Begin anew."""
        self.count = 0
        self.arrivals = []


class Crowd:
    """All sockets, and one loop that reads them."""

    def __init__(self, job: Job) -> None:
        self._reader = Reader()
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._expected, self._arrived = 0, 0
        self.last_at = self.first_at = 0.0
        for number in range(job.sockets):
            opening = job.openings[number % len(job.openings)] if job.openings else ()
            connected = open_socket(job.host, job.port, job.path, opening)
            self._connections[connected.fileno()] = Connection(connected)
            self._poll.register(connected, select.EPOLLIN)

    def listen(self) -> None:
        """Heed the standard input too: `turn` then tells when a command waits there."""
        self._poll.register(INPUT, select.EPOLLIN)

    def close(self) -> None:
        """Close all sockets."""
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()

    def forget(self) -> None:
        """Begin anew to count."""
        self._reader.forget()
        for connection in self._connections.values():
            connection.forget()
        self._expected = self._arrived = 0
        self.last_at = self.first_at = 0.0

    def turn(self, patience: float) -> bool:
        """Read whatever is there, or wait for it; whether a command waits."""
        commanded = False
        for descriptor, _ in self._poll.poll(patience, len(self._connections) + 1):
            if descriptor == INPUT:
                commanded = True
            else:
                self._receive(self._connections[descriptor])
        return commanded

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise WrongAnswer("the server closed a socket without a word")
        chunk = self._reader.read(connection.rest + data if connection.rest else data)
        connection.rest = chunk.rest
        if chunk.replies:
            connection.socket.send(chunk.replies)
        if chunk.numbers:
            self._count(connection, chunk.numbers)

    def _count(self, connection: Connection, numbers: tuple[int, ...]) -> None:
        before = connection.count
        now = self.last_at = time.time()
        self.first_at = self.first_at or now
        connection.count += len(numbers)
        connection.arrivals.append((now, numbers))
        if before < self._expected <= connection.count:
            self._arrived += 1

    # -- the commands

    def receive(self, each: int) -> dict[str, Any]:
        """Read until every socket has so many messages. Raises `WrongAnswer` when they do not come, or more do."""
        cpu, self._expected = time.process_time(), each
        deadline = time.monotonic() + PATIENCE
        while self._arrived < len(self._connections):
            seen = self.last_at
            if self.turn(1.0) or time.monotonic() > deadline:
                raise WrongAnswer(f"{len(self._connections) - self._arrived} sockets did not get {each} messages")
            if self.last_at != seen:
                deadline = time.monotonic() + PATIENCE
        total = sum(connection.count for connection in self._connections.values())
        if total != each * len(self._connections):
            raise WrongAnswer(f"{total} messages came to {len(self._connections)} sockets, {each} were sent to each")
        answer = {"first": self.first_at, "last": self.last_at, "cpu": time.process_time() - cpu}
        self.forget()
        return answer

    def settle(self, quiet: float, longest: float) -> dict[str, Any]:
        """Read until nothing has come for `quiet` seconds, but no longer than `longest`; what it was, by sockets."""
        began = time.time()
        while time.time() < min(began + longest, max(began, self.last_at) + quiet):
            if self.turn(quiet / 4):
                break
        return {"least": min(c.count for c in self._connections.values()), "sample": self._sample()}

    def _sample(self) -> str | None:
        return self._reader.bodies[0].decode() if self._reader.bodies else None

    def report(self) -> dict[str, Any]:
        """All since the last `forget`: the messages, when each arrived anywhere, and in which orders by how many."""
        arrivals: list[list[float]] = [[] for _ in self._reader.bodies]
        orders: Counter[tuple[int, ...]] = Counter()
        for connection in self._connections.values():
            orders[tuple(number for _, numbers in connection.arrivals for number in numbers)] += 1
            for moment, numbers in connection.arrivals:
                for number in numbers:
                    arrivals[number].append(moment)
        return {
            "bodies": [body.decode() for body in self._reader.bodies],
            "arrivals": arrivals,
            "orders": [[list(order), count] for order, count in orders.items()],
        }


def allow_many_files() -> None:
    """As many open files as this process, and those that it starts, may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Serve the commands on the standard input."""
    allow_many_files()
    # unbuffered, so that what `poll` says of it is true
    with os.fdopen(INPUT, "rb", buffering=0) as commands:
        job = Job(**json.loads(commands.readline()))
        crowd = Crowd(job)
        _say({"sockets": job.sockets})
        crowd.listen()
        while True:
            if not crowd.turn(PATIENCE):
                continue
            line = commands.readline()
            if not line:
                break
            _obey(crowd, json.loads(line))
        crowd.close()


def _obey(crowd: Crowd, command: dict[str, Any]) -> None:
    match command:
        case {"await": int(each)}:
            crowd.forget()
            _say({"each": each})
            _say(crowd.receive(each))
        case {"settle": quiet, "longest": longest}:
            _say(crowd.settle(quiet, longest))
        case {"forget": _}:
            crowd.forget()
            _say({"cpu": time.process_time()})
        case {"report": _}:
            _say(crowd.report() | {"cpu": time.process_time()})
        case _:
            raise LookupError(f"there is no command {command}")


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
