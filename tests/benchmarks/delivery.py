"""How fast payloads go from a stream to sockets, and what a reader that stops costs. Both by themselves:

    python -m tests.benchmarks.delivery [sockets]              messages a second, by frames and by plain ASGI
    python -m tests.benchmarks.delivery stalled [seconds]      memory, the others' latency, the close code

The server is a process of its own, on one core; a bare stream in it feeds the sockets, no database is there.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

import orjson
import psutil
from rich.console import Console

from graphql_schema.streams.delivery import Payload
from graphql_schema.transport.endings import SocketLimits
from graphql_schema.transport.uvicorn_protocols import PLAIN_ASGI, Protocols, chosen_protocols
from tests.graphql.transport.conftest import serve
from tests.graphql.transport.feeding import FOLLOW, Feed
from tests.graphql.transport.raw import RawSocket

MORE = "x" * 300
"""Bytes of a payload beyond its number, about those of a task's state."""
ROUND_SECONDS = 4.0

console = Console(highlight=False)


# -- the server


async def serve_as_fast_as_it_goes(protocols: Protocols, sockets: int, joined: int) -> None:
    """Tell `joined` payloads a tick to all sockets, as soon as they have room; print what was sent."""
    feed = Feed()
    async with serve(SocketLimits(connections=10_000), feed, protocols) as served:
        _say(served.port)
        while len(feed.members) < sockets:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        begun, cpu_begun, sent = time.perf_counter(), time.process_time(), 0
        while (elapsed := time.perf_counter() - begun) < ROUND_SECONDS:
            feed.tell([_payload(number) for number in range(joined)])
            sent += joined * len(feed.members)
            await asyncio.sleep(0)
            for receiver in tuple(feed.members.values()):
                await receiver.ready()
        cpu = time.process_time() - cpu_begun
        _say({"sent": sent, "seconds": elapsed, "cpu": cpu, "members": len(feed.members)})
        os._exit(0)


async def serve_steadily(protocols: Protocols) -> None:
    """Tell one payload with the time in it every 10 ms, until the process is ended."""
    feed = Feed()
    async with serve(SocketLimits(), feed, protocols) as served:
        _say(served.port)
        while True:
            await asyncio.sleep(0.01)
            feed.tell([_payload(time.monotonic_ns(), 20)])


def _say(report: object) -> None:
    sys.stdout.write(orjson.dumps(report).decode() + "\n")
    sys.stdout.flush()


def _payload(number: int, times: int = 1) -> Payload:
    return Payload(b'{"data":{"feed":%d,"more":"%b"}}' % (number, MORE.encode() * times))


# -- the clients


class Drain(asyncio.BufferedProtocol):
    """Reads and counts bytes, nothing else."""

    buffer = memoryview(bytearray(1 << 18))

    def __init__(self) -> None:
        self.bytes = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.bytes += nbytes


async def throughput(way: str, sockets: int, joined: int) -> float:
    """Messages a second that reached the sockets."""
    with _server("fast", way, str(sockets), str(joined)) as server:
        port = _port(server)
        drains = []
        for _ in range(sockets):
            client = await RawSocket.open(port, "good")
            drain = Drain()
            client.subscribe("1", FOLLOW)
            client.transport.set_protocol(drain)
            drains.append(drain)
        report = orjson.loads(await asyncio.to_thread(server.stdout.readline))  # type: ignore[union-attr]
        assert report["members"] == sockets, report
        server.wait()
        await asyncio.sleep(0.1)
    received = sum(drain.bytes for drain in drains)
    rate = report["sent"] / report["seconds"]
    console.print(
        f"{way:7} {sockets:5} sockets, {joined:3} a tick: {rate:10,.0f} messages/s, "
        f"{report['sent'] / report['cpu']:10,.0f} a second of the server's CPU, {received / 1e6:,.0f} MB received",
        soft_wrap=True,
    )
    return float(rate)


@dataclass
class Latencies:
    """Of one phase, in milliseconds."""

    values: list[float] = field(default_factory=list)

    def note(self, message: bytes) -> None:
        """Take the time out of a payload."""
        number = orjson.loads(message).get("payload", {}).get("data", {}).get("feed")
        if number is not None:
            self.values.append((time.monotonic_ns() - number) / 1e6)

    def told(self) -> str:
        """Median and p99."""
        return f"p50 {median(self.values):.2f} ms, p99 {quantiles(self.values, n=100)[98]:.2f} ms ({len(self.values)})"


async def stalled(way: str, seconds: float, readers: int = 50) -> None:
    """Read with many for a while, then with one that stops beside them; print latencies, memory and the close code."""
    with _server("steady", way) as server:
        port, memory = _port(server), psutil.Process(server.pid)
        now = Latencies()
        clients = [await RawSocket.open(port, "good", now.note) for _ in range(readers)]
        for client in clients:
            client.subscribe("1", FOLLOW)
        stopped = await RawSocket.open(port, "good")
        await asyncio.sleep(2)
        now.values.clear()
        await asyncio.sleep(min(seconds, 20))
        console.print(f"{way}: before: {now.told()}, RSS {memory.memory_info().rss / 2**20:.1f} MiB")
        now.values.clear()
        stopped.subscribe("1", FOLLOW)
        await asyncio.sleep(0.2)
        stopped.transport.pause_reading()
        sizes = []
        for _ in range(int(seconds * 2)):
            await asyncio.sleep(0.5)
            sizes.append(memory.memory_info().rss / 2**20)
        console.print(
            f"{way}: one has not read for {seconds:.0f} s: {now.told()}, RSS {min(sizes):.1f} to {max(sizes):.1f} MiB, "
            f"at the end {sizes[-1]:.1f}"
        )
        stopped.transport.resume_reading()
        await asyncio.wait_for(stopped.gone.wait(), 10)
        console.print(f"{way}: it was closed with {stopped.close_code} {stopped.close_reason}")
        server.kill()


def _server(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", __spec__.name, *arguments], stdout=subprocess.PIPE)


def _port(server: subprocess.Popen[bytes]) -> int:
    assert server.stdout is not None
    return int(server.stdout.readline())


async def main(arguments: Sequence[str]) -> None:
    """Run what the arguments name."""
    match arguments:
        case ["fast", way, sockets, joined]:
            os.sched_setaffinity(0, {0})
            await serve_as_fast_as_it_goes(WAYS[way], int(sockets), int(joined))
        case ["steady", way]:
            os.sched_setaffinity(0, {0})
            await serve_steadily(WAYS[way])
        case ["stalled", *seconds]:
            os.sched_setaffinity(0, {1})
            await stalled("frames", float(seconds[0]) if seconds else 60.0)
        case _:
            os.sched_setaffinity(0, {1})
            number = int(arguments[0]) if arguments else 1_000
            for each in (1, 10, 50):
                for name in WAYS:
                    await throughput(name, number, each)


WAYS = {"frames": chosen_protocols(), "asgi": PLAIN_ASGI}

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
