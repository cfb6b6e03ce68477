"""`python -m tests.benchmarks.long_execution`: an execution of 10,000 steps, read, exported, drawn and watched.

It has no peer, so it is no part of `make bench`: what it shows is that nothing grows with the number of steps but the
export, and that the server's memory does not grow with what is sent.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import psutil
from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.domain.principals import SYSTEM, Role
from app.live.hints import HintSender
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from db.migrate import migrate
from db.queries.boundaries import Boundary, EndedStep, NextStep, write
from db.session import Database
from tests.benchmarks.fanout_contenders import serving_hub
from tests.benchmarks.long_steps import PHASES, seed_steps
from tests.benchmarks.stage import Served, Stage, open_stage

STEPS = 10_000
CLIENTS = 20
SECONDS = 30
A_SECOND = 10
REQUESTS = 100

STEP = "stepNumber phase attempt stepStatus outcome startedAt completedAt"
PAGE = f"""query ($id: ID!, $first: Int, $after: Cursor, $last: Int) {{ workflow(executionId: $id) {{
    executionPath(first: $first, after: $after, last: $last) {{
        nodes {{ {STEP} }} pageInfo {{ hasNextPage endCursor }} }} }} }}"""
DRAWN = """query ($id: ID!) { workflow(executionId: $id) { template { phases }
    phases { phase running completed failed total lastStep durationMs } } }"""
TOLD = """subscription ($id: ID!) { workflowProgress(executionId: $id) {
    cursor eventType stepNumber phase attempt occurredAt } }"""
SHOWN = """subscription ($id: ID!) { workflowProgress(executionId: $id, minInterval: 500) {
    cursor eventType stepNumber execution { executionStatus currentPhase
        phases { phase running completed failed total }
        executionPath(last: 20) { nodes { stepNumber phase attempt stepStatus } } } } }"""


@dataclass
class Watched:
    """What one client got."""

    messages: int = 0
    size: int = 0


@dataclass
class Bench:
    """A hub with its execution."""

    console: Console
    database: Database
    served: Served
    secret: str
    execution_id: UUID
    steps: int = STEPS
    rss: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.served.host}:{self.served.port}"

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.served.pid)

    def note_memory(self) -> float:
        """MiB that the server has, kept for the greatest."""
        self.rss.append(self.process.memory_info().rss / 2**20)
        return self.rss[-1]

    def tell(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


async def main() -> None:
    """Measure, and print what was found."""
    console = Console(highlight=False)
    with open_stage() as stage:
        await migrate(stage.url)
        async with _bench(console, stage) as bench:
            await _pages(bench)
            await _export(bench)
            for name, document in (("told alone", TOLD), ("shown each half second", SHOWN)):
                await _watch(bench, name, document)


@asynccontextmanager
async def _bench(console: Console, stage: Stage) -> AsyncIterator[Bench]:
    database, secret = Database(stage.url, pool_size=2, read_pool_size=1), new_secret()
    hints = HintSender(database)
    await database.open()
    await hints.start()
    try:
        token = CreateToken("viewer", Role.VIEWER, secret)
        await database.transact(lambda session: create_token(session, SYSTEM, token))
        execution_id = await seed_steps(database, STEPS)
        with serving_hub(stage, stage.url, {}) as served:
            yield Bench(console, database, served, secret, execution_id)
    finally:
        await hints.stop()
        await database.close()


async def _pages(bench: Bench) -> None:
    headers = {"authorization": f"Bearer {bench.secret}", "cache-control": "no-cache"}
    async with httpx.AsyncClient(base_url=f"http://{bench.address}", headers=headers, timeout=20) as http:

        async def ask(query: str, **variables: Any) -> bytes:
            body = {"query": query, "variables": {"id": str(bench.execution_id), **variables}}
            answer = await http.post("/graphql", json=body)
            assert b'"errors"' not in answer.content, answer.text
            return answer.content

        cursor = None
        for _ in range(STEPS // 200):
            path = json.loads(await ask(PAGE, first=100, after=cursor))["data"]["workflow"]["executionPath"]
            cursor = path["pageInfo"]["endCursor"]
        places: Mapping[str, dict[str, Any]] = {
            "the first 100 steps": {"query": PAGE, "first": 100},
            "100 steps in the midst": {"query": PAGE, "first": 100, "after": cursor},
            "the last 20 steps": {"query": PAGE, "last": 20},
            "the phases": {"query": DRAWN},
        }
        for name, asked in places.items():
            size, times = 0, []
            for _ in range(REQUESTS):
                began = time.perf_counter()
                size = len(await ask(**asked))
                times.append(time.perf_counter() - began)
            times.sort()
            bench.tell(
                f"{name}: p50 {times[REQUESTS // 2] * 1e3:.1f} ms, p95 {times[REQUESTS * 95 // 100] * 1e3:.1f} ms, "
                f"{size:,} bytes"
            )


async def _export(bench: Bench) -> None:
    before, began, size = bench.note_memory(), time.perf_counter(), 0
    headers = {"authorization": f"Bearer {bench.secret}"}
    path = f"http://{bench.address}/executions/{bench.execution_id}/history.json"
    async with httpx.AsyncClient(timeout=60) as http, http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        async for piece in response.aiter_bytes():
            size += len(piece)
            bench.note_memory()
    bench.tell(
        f"the history: {size:,} bytes in {time.perf_counter() - began:.2f} s, the server at most "
        f"{max(bench.rss) - before:.1f} MiB larger than before"
    )


async def _watch(bench: Bench, name: str, document: str) -> None:
    bench.rss.clear()
    watched = [Watched() for _ in range(CLIENTS)]
    ready = asyncio.Semaphore(0)
    clients = [asyncio.create_task(_client(bench, document, each, ready)) for each in watched]
    try:
        for _ in clients:
            await ready.acquire()
        await asyncio.sleep(1)
        before, spent = bench.note_memory(), sum(bench.process.cpu_times()[:2])
        took = await _grow(bench)
        await asyncio.sleep(1)
        after, spent = bench.note_memory(), sum(bench.process.cpu_times()[:2]) - spent
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    messages, size = [each.messages for each in watched], sum(each.size for each in watched)
    bench.tell(
        f"{name}: {CLIENTS} clients, {A_SECOND * SECONDS} steps in {took:.0f} s: {min(messages)} to {max(messages)} "
        f"messages each, {size / max(1, sum(messages)):,.0f} bytes a message; the server has {before:.1f} MiB before, "
        f"{after:.1f} after, {max(bench.rss):.1f} at most, and spent {spent:.1f} s"
    )


async def _client(bench: Bench, document: str, watched: Watched, ready: asyncio.Semaphore) -> None:
    async with connect(
        f"ws://{bench.address}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")], max_size=2**20
    ) as socket:
        await _say(socket, type="connection_init", payload={"token": bench.secret})
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        asked = {"query": document, "variables": {"id": str(bench.execution_id)}}
        await _say(socket, type="subscribe", id="1", payload=asked)
        ready.release()
        async for message in socket:
            watched.messages += 1
            watched.size += len(message)


async def _say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def _grow(bench: Bench) -> float:
    """Ten steps a second; how long it took in all."""
    began = time.perf_counter()
    for number in range(A_SECOND * SECONDS):
        await asyncio.sleep(max(0.0, began + number / A_SECOND - time.perf_counter()))
        await bench.database.transact(lambda session: _step(bench, session))
        bench.steps += 1
        if number % A_SECOND == 0:
            bench.note_memory()
    return time.perf_counter() - began


async def _step(bench: Bench, session: Any) -> None:
    """The last step ends, the next one begins."""
    last = bench.steps
    told = {"step_number": last, "phase": PHASES[(last - 1) % len(PHASES)], "attempt": 1 + (last - 1) // len(PHASES)}
    begins = NextStep(last + 1, PHASES[last % len(PHASES)])
    assert await write(session, Boundary(bench.execution_id, 1, "hub", ended=EndedStep(last, {}, told), begins=begins))


if __name__ == "__main__":
    asyncio.run(main())
