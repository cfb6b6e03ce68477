"""The load of the reports: two hundred agents over HTTP that report every second, and a few that work meanwhile."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks.load import HEAD_END, PATIENCE, WrongAnswer, content_length
from tests.benchmarks.stage import Served

REPORT = "mutation ($input: AgentReportInput!) { agentReport(input: $input) { userErrors { code } } }"
WORK = {
    "taskCreate": "task { taskId version }",
    "taskClaim": "task { taskId version }",
    "taskStart": "task { taskId version }",
    "taskComplete": "task { taskId version }",
    "agentUpdate": "agent { version }",
}
FIGURES = {
    "resourceUtilization": {"cpu_percent": 12.5, "rss_mb": 211.0, "threads": 9, "disk_mb": 40_960, "network_mbps": 0.5},
    "performanceMetrics": {
        "tasks_completed": 41,
        "tasks_failed": 1,
        "mean_seconds": 74.2,
        "queue": 3,
        "uptime": 86_400,
    },
}


@dataclass
class Tally:
    """What came back: seconds that each report took, and how each transition ended, by code, `OK` for a success."""

    latencies: list[float] = field(default_factory=list)
    transitions: Counter[str] = field(default_factory=Counter)


class Client:
    """One keep-alive connection to the hub."""

    def __init__(self, served: Served, token: str, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self._head = (
            f"POST /graphql HTTP/1.1\r\nHost: {served.host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )
        self._reader, self._writer = streams

    async def ask(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The payload of a mutation. Raises `WrongAnswer`."""
        body = json.dumps({"query": query, "variables": {"input": given}})
        self._writer.write(f"{self._head}{len(body.encode())}\r\n\r\n{body}".encode())
        head = await self._reader.readuntil(HEAD_END)
        answer = json.loads(await self._reader.readexactly(content_length(head[: -len(HEAD_END)])))
        if "errors" in answer:
            raise WrongAnswer(str(answer["errors"])[:500])
        (payload,) = answer["data"].values()
        found: dict[str, Any] = payload
        return found

    async def do(self, mutation: str, **given: Any) -> tuple[str, dict[str, Any]]:
        """How a mutation ended, and its payload."""
        kind = f"{mutation[0].upper()}{mutation[1:]}Input"
        called = f"{mutation}(input: $input) {{ {WORK[mutation]} userErrors {{ code }} }}"
        payload = await self.ask(f"mutation ($input: {kind}!) {{ {called} }}", given)
        errors = payload["userErrors"]
        return (errors[0]["code"] if errors else "OK"), payload


@contextlib.asynccontextmanager
async def clients(served: Served, token: str, number: int) -> AsyncIterator[list[Client]]:
    """So many connections."""
    streams = [await asyncio.open_connection(served.host, served.port) for _ in range(number)]
    try:
        yield [Client(served, token, pair) for pair in streams]
    finally:
        for _, writer in streams:
            writer.close()


async def every_second(
    agents: Sequence[str], rounds: int, *, spread: bool, report: Callable[[int, str], Awaitable[None]]
) -> list[float]:
    """Let each agent report so many times, a second apart, all at once or spread over it; what each took, in seconds.

    A report that is late does not delay the agent's next one by more than itself.
    """
    latencies: list[float] = []
    begin = time.perf_counter() + 0.1

    async def one(index: int, agent_id: str) -> None:
        offset = index / len(agents) if spread else 0.0
        for turn in range(rounds):
            await asyncio.sleep(max(0.0, begin + offset + turn - time.perf_counter()))
            asked = time.perf_counter()
            await report(index, agent_id)
            latencies.append(time.perf_counter() - asked)

    async with asyncio.timeout(rounds + PATIENCE), asyncio.TaskGroup() as group:
        for index, agent_id in enumerate(agents):
            group.create_task(one(index, agent_id))
    return latencies


async def over_http(
    served: Served, token: str, agents: Sequence[str], rounds: int, *, spread: bool, workers: int
) -> Tally:
    """The agents report to the hub; so many of them work on tasks meanwhile, and as many others are renamed."""
    tally = Tally()
    async with clients(served, token, len(agents) + 2 * workers) as all_of_them:

        async def report(index: int, agent_id: str) -> None:
            given = {"agentId": agent_id, "observedAt": datetime.now(UTC).isoformat(), **FIGURES}
            payload = await all_of_them[index].ask(REPORT, given)
            if payload["userErrors"]:
                raise WrongAnswer(f"a report was refused: {payload['userErrors']}")

        rest = zip(agents, all_of_them[len(agents) :], strict=False)
        others = [
            asyncio.create_task((_work if index < workers else _rename)(client, agent_id, tally))
            for index, (agent_id, client) in enumerate(rest)
        ]
        tally.latencies = await every_second(agents, rounds, spread=spread, report=report)
        for other in others:
            other.cancel()
        ended = await asyncio.gather(*others, return_exceptions=True)
    failures = [error for error in ended if isinstance(error, Exception)]
    if failures:
        raise failures[0]
    return tally


async def _work(client: Client, agent_id: str, tally: Tally) -> None:
    """Create, claim, start and complete tasks, each step with the version that the one before it gave."""
    while True:
        outcome, payload = await client.do("taskCreate", title="Work", requiredCapabilities=[agent_id])
        tally.transitions[outcome] += 1
        for mutation, given in (
            ("taskClaim", {"agentId": agent_id}),
            ("taskStart", {}),
            ("taskComplete", {"result": 1}),
        ):
            task = payload["task"]
            versioned = {"taskId": task["taskId"], "expectedVersion": task["version"]}
            outcome, payload = await client.do(mutation, **versioned, **given)
            tally.transitions[outcome] += 1
            if outcome != "OK":
                break


async def _rename(client: Client, agent_id: str, tally: Tally) -> None:
    """Change an agent time and again, each time with the version that the last change gave; reports lie between."""
    version = 1
    while True:
        outcome, payload = await client.do(
            "agentUpdate", agentId=agent_id, expectedVersion=version, agentName="Renamed"
        )
        tally.transitions[outcome] += 1
        if outcome == "OK":
            version = payload["agent"]["version"]
        await asyncio.sleep(0.25)
