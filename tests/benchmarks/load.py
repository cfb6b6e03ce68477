"""The load: a fixed number of connections, each with one request under way at any time, from a process of its own.

Only the standard library and plain sockets: an answer costs this client about 30 µs, so that it is not what is
measured. It still shares the machine with the server and PostgreSQL, as it does for every contender; pgbench is a
lighter client yet, which makes its figure a little better than what is left for an HTTP server to reach.

Every answer is checked: status 200, and the body byte for byte that of the first answer, whose SHA-256 the caller
gives. A server that gives groups in any order (`retold`) may have some bodies that tell the same; each is judged once.
A wrong answer ends the measurement.
"""

import hashlib
import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.cpu import Meter
from tests.benchmarks.retelling import plain_postgraphile
from tests.benchmarks.rounds import Sample

ROOT = Path(__file__).parents[2]
BUFFER = 1 << 20
"""Bytes of the largest answer, head included."""
PATIENCE = 20.0
"""Seconds without any answer after which a server is given up."""
BODIES_MAX = 100
"""How many bodies may tell the same: PostgreSQL's plans are few, and with them the orders of groups."""
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Job:
    """What to send, where, for how long (seconds), and what must come back; see `digest`."""

    host: str
    port: int
    request: str
    body_sha256: str
    connections: int
    warm_up: float
    seconds: float
    retold: bool = False


class WrongAnswer(Exception):
    """The server did not answer as it must."""


class Connection:
    """One keep-alive connection that asks the same again as soon as it has been answered."""

    def __init__(self, job: Job) -> None:
        self._request = job.request.encode()
        self._socket = socket.create_connection((job.host, job.port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(BUFFER))
        self._have = 0
        self._body = range(0)
        self.asked_at = 0.0

    def fileno(self) -> int:
        """For the selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self) -> None:
        """Send the request."""
        self._have, self._body = 0, range(0)
        self.asked_at = time.perf_counter()
        self._socket.sendall(self._request)

    def receive(self) -> bytes | None:
        """Take what has come: the body once it is whole, else None. Raises `WrongAnswer`."""
        count = self._socket.recv_into(self._buffer[self._have :])
        if not count:
            raise WrongAnswer("the server closed the connection")
        self._have += count
        if not self._body:
            self._body = self._place_of_body()
        if not self._body or self._have < self._body.stop:
            return None
        return bytes(self._buffer[self._body.start : self._body.stop])

    def _place_of_body(self) -> range:
        """Where in the buffer the body will be; an empty range while the head is not whole."""
        begin = bytes(self._buffer[: min(self._have, 4096)])
        end = begin.find(HEAD_END)
        if end < 0:
            return range(0)
        start = end + len(HEAD_END)
        return range(start, start + content_length(begin[:end]))


def content_length(head: bytes) -> int:
    """The announced length of the body. Raises `WrongAnswer` unless the status is 200 and there is a length."""
    status, *fields = head.split(b"\r\n")
    if status.split(b" ")[1] != b"200":
        raise WrongAnswer(f"the server answered {status.decode()}")
    for field in fields:
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise WrongAnswer("the answer has no content-length")


@dataclass(frozen=True)
class Load:
    """What a job came to: latencies and processor time in seconds; `answers` counts those of the warm-up too."""

    rate: float
    p50: float
    p99: float
    answers: int
    cpu: float


def measure(job: Job, meter: Meter) -> Sample:
    """Run the job in a process of its own; the meter's parties are `server` and `database`. Raises `WrongAnswer`."""
    stop = meter.start()
    load = run_apart(job)
    spent = stop({"client": load.cpu})
    costs = {f"{name}_cpu": 1000 * seconds / load.answers for name, seconds in spent.by.items()}
    return Sample(load.rate, 1000 * load.p50, 1000 * load.p99, **costs, others=spent.others)


def run_apart(job: Job) -> Load:
    """Run the job in a process of its own. Raises `WrongAnswer`."""
    command = (sys.executable, "-m", "tests.benchmarks.load")
    ended = subprocess.run(command, input=json.dumps(asdict(job)), cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        raise WrongAnswer(ended.stderr.strip().splitlines()[-1])
    return Load(**json.loads(ended.stdout))


def run(job: Job) -> Load:
    """Run the job in this process. Raises `WrongAnswer` and `OSError`."""
    cpu = time.process_time()
    connections = [Connection(job) for _ in range(job.connections)]
    try:
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection, selectors.EVENT_READ)
                connection.ask()
            latencies, answers = _drive(selector, job)
    finally:
        for connection in connections:
            connection.close()
    if not latencies:
        raise WrongAnswer(f"no answer within {job.seconds} s")
    return Load(len(latencies) / job.seconds, *percentiles(latencies), answers, time.process_time() - cpu)


def _drive(selector: selectors.BaseSelector, job: Job) -> tuple[list[float], int]:
    """Ask until the time is over; the latencies (s) of the answers after the warm-up, and the number of all."""
    begin = time.perf_counter() + job.warm_up
    end = begin + job.seconds
    latencies: list[float] = []
    judge = Judge(job)
    answers = 0
    while True:
        ready = selector.select(PATIENCE)
        if not ready:
            raise WrongAnswer(f"no answer for {PATIENCE} s")
        for key, _ in ready:
            connection: Connection = key.fileobj  # type: ignore[assignment]
            body = connection.receive()
            if body is None:
                continue
            now = time.perf_counter()
            if now >= end:
                return latencies, answers
            if now >= begin:
                latencies.append(now - connection.asked_at)
            answers += 1
            judge.require(body)
            connection.ask()


class Judge:
    """Knows the bodies that are right."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._latest = b""
        self._right: set[bytes] = set()

    def require(self, body: bytes) -> None:
        """Raise `WrongAnswer` unless the body is as it must be."""
        if body == self._latest:
            return
        if body not in self._right:
            self._learn(body)
        self._latest = body

    def _learn(self, body: bytes) -> None:
        if len(self._right) >= (BODIES_MAX if self._job.retold else 1):
            raise WrongAnswer("two answers to the same question differ")
        if digest(body, retold=self._job.retold) != self._job.body_sha256:
            raise WrongAnswer(f"this is not the expected answer: {body[:300]!r}")
        self._right.add(body)


def digest(body: bytes, *, retold: bool) -> str:
    """The SHA-256 of the body, or of what it tells, whatever the order of groups in it."""
    text = repr(plain_postgraphile(json.loads(body).get("data"))).encode() if retold else body
    return hashlib.sha256(text).hexdigest()


def percentiles(values: list[float]) -> tuple[float, float]:
    """The values that half and 99 % of all do not exceed."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2], ordered[(len(ordered) * 99 - 1) // 100]


def main() -> None:
    """Read a job from standard input, write its sample to standard output."""
    sys.stdout.write(json.dumps(asdict(run(Job(**json.load(sys.stdin))))))


if __name__ == "__main__":
    main()
