"""The crowd of sockets as the benchmark sees it: a process that is told what to await, and answers what it counted."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.load import ROOT, WrongAnswer
from tests.benchmarks.stage import Served


@dataclass(frozen=True)
class Received:
    """What so many messages to each socket came to: seconds since the epoch, and the client's processor time (s)."""

    first: float
    last: float
    cpu: float


@dataclass(frozen=True)
class Recorded:
    """Each distinct message, when it arrived at each socket, and the orders in which sockets got them.

    An order names messages by their place in `bodies`, and comes with the number of sockets that had it. `cpu` is the
    client's processor time, in seconds, since `forget`.
    """

    bodies: Sequence[str]
    arrivals: Sequence[Sequence[float]]
    orders: Sequence[tuple[Sequence[int], int]]
    cpu: float


class Crowd:
    """The sockets of one server."""

    def __init__(self, process: "subprocess.Popen[str]", size: int) -> None:
        self._process = process
        self._cpu = 0.0
        self.size = size

    def receive(self, each: int, send: Callable[[], None]) -> Received:
        """Call `send`, once the crowd is ready, and wait for so many messages at each socket. Raises `WrongAnswer`."""
        self._ask({"await": each})
        send()
        return Received(**self._hear())

    def settle(self, quiet: float = 0.3, longest: float = 60.0) -> tuple[int, str | None]:
        """Wait until nothing comes for so long (s): the least messages that a socket has since, and the first one."""
        answer = self._ask({"settle": quiet, "longest": longest})
        return answer["least"], answer["sample"]

    def forget(self) -> None:
        """Begin anew to record."""
        self._cpu = self._ask({"forget": True})["cpu"]

    def recorded(self) -> Recorded:
        """What came since `forget`."""
        answer = self._ask({"report": True})
        orders = [(order, count) for order, count in answer["orders"]]
        return Recorded(answer["bodies"], answer["arrivals"], orders, answer["cpu"] - self._cpu)

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        return _exchange(self._process, command)

    def _hear(self) -> dict[str, Any]:
        return _heard(self._process)


@contextlib.contextmanager
def gathered(served: Served, path: str, size: int, openings: Sequence[Sequence[str]]) -> Iterator[Crowd]:
    """So many sockets, opened. They close with the block. Raises `WrongAnswer`."""
    job = {"host": served.host, "port": served.port, "path": path, "sockets": size, "openings": openings}
    with subprocess.Popen(
        (sys.executable, "-m", "tests.benchmarks.fanout_client"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C is for us alone; the end of its input ends it
        start_new_session=True,
    ) as process:
        _exchange(process, job)
        yield Crowd(process, size)


def _exchange(process: "subprocess.Popen[str]", command: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
    return _heard(process)


def _heard(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        raise WrongAnswer((process.stderr.read().strip() or "the client ended").splitlines()[-1])
    answer: dict[str, Any] = json.loads(line)
    return answer
