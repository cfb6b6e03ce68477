"""From a commit to a thousand sockets: how long it takes, and whether each event comes once and in order.

One writer renames agents over HTTP, at a steady pace and in turn. Each message is timed since three moments, all by
this machine's clock: when PostgreSQL wrote the commit (`track_commit_timestamp`), which the aims are about; when the
event's transaction began, which the event itself tells; and when the writer had the hub's answer, which may be later
than the message.
"""

import asyncio
import contextlib
import http.client
import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import asyncpg
from rich.console import Console

from db.embedded import EmbeddedServer
from tests.benchmarks.cpu import Meter
from tests.benchmarks.fanout_contenders import Seeded
from tests.benchmarks.fanout_crowd import Crowd, Recorded
from tests.benchmarks.live_figures import AtMost
from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.report import Figure
from tests.benchmarks.stage import Served

AIMS = {50: 15.0, 95: 30.0, 99: 50.0}
"""Milliseconds that so many per cent of the messages should stay within (DESIGN.md §9)."""
RENAME = """
mutation Rename($input: AgentUpdateInput!) {
  agentUpdate(input: $input) { agent { version } userErrors { message } }
}
"""
COMMITTED = """
SELECT entity_id, version, pg_xact_commit_timestamp(xid::xid) AS at FROM event_log
WHERE aggregate = 'agent' AND pg_xact_commit_timestamp(xid::xid) IS NOT NULL
"""
LONGEST_WAIT = 20.0
"""Seconds after the last event in which all have to be there."""

COMMIT, BEGIN, ANSWER = "since the commit", "since the begin of the transaction", "since the answer to the writer"

Change = tuple[str, int]
"""An agent and its version after the change."""


@dataclass(frozen=True)
class Deliveries:
    """What came of the changes: latencies in ms, sorted, by clock; and how many messages came wrong, by kind."""

    latencies: Mapping[str, Sequence[float]]
    lost: int
    repeated: int
    disordered: int

    @property
    def expected(self) -> int:
        """How many messages should have come."""
        return len(self.latencies[BEGIN]) - self.repeated + self.lost


@dataclass(frozen=True)
class Load:
    """How many events a second, and for how many seconds."""

    pace: float = 10.0
    seconds: float = 15.0


def commit_to_socket(
    console: Console, served: Served, url: str, crowd: Crowd, seeded: Seeded, meter: Meter, load: Load
) -> list[Figure]:
    """Measure. Raises `WrongAnswer`."""
    with contextlib.closing(Writer(served, seeded)) as writer:
        before = writer.write(Load(load.pace, 1.0))
        crowd.settle(longest=LONGEST_WAIT)
        crowd.forget()
        stop, began = meter.start(), time.monotonic()
        answered = writer.write(load)
        crowd.settle(longest=LONGEST_WAIT)
    elapsed = time.monotonic() - began
    recorded = crowd.recorded()
    spent = stop({"client": recorded.cpu})
    found = judge(without(recorded, before), answered, asyncio.run(_commit_times(url)))
    shares = ", ".join(f"{name} {100 * cpu / elapsed:.0f} %" for name, cpu in spent.by.items())
    console.print(
        f"    {len(answered)} events to {crowd.size} sockets: {found.lost} messages lost, {found.repeated} repeated, "
        f"{found.disordered} out of order; of a core: {shares}; others took {spent.others:.0f} % of the machine",
        soft_wrap=True,
    )
    for clock, values in found.latencies.items():
        told = ", ".join(f"p{per_cent} {percentile(values, per_cent):.1f} ms" for per_cent in AIMS)
        console.print(f"    {clock}: {told}", soft_wrap=True)
    return figures(found, f"commit to {crowd.size:,} sockets, {load.pace:g} events/s")


def keep_commit_times(postgres: EmbeddedServer) -> None:
    """Let the server note when each transaction is committed. It restarts."""
    postgres.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    postgres.restart(immediate=False)


async def _commit_times(url: str) -> dict[Change, float]:
    """When each change of an agent was committed, in seconds since the epoch."""
    connection = await asyncpg.connect(url)
    try:
        return {(row["entity_id"], row["version"]): row["at"].timestamp() for row in await connection.fetch(COMMITTED)}
    finally:
        await connection.close()


class Writer:
    """Renames agents in turn, over one connection."""

    def __init__(self, served: Served, seeded: Seeded) -> None:
        self._connection = http.client.HTTPConnection(served.host, served.port, timeout=LONGEST_WAIT)
        self._token = seeded.writer
        self._versions = {agent_id: self._version(agent_id) for agent_id in seeded.agents[:10]}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def write(self, load: Load) -> dict[Change, float]:
        """Each change, and when it was answered, in seconds since the epoch. Raises `WrongAnswer`."""
        answered: dict[Change, float] = {}
        begin, agents = time.monotonic(), list(self._versions)
        for number in range(max(1, round(load.pace * load.seconds))):
            time.sleep(max(0.0, begin + number / load.pace - time.monotonic()))
            agent_id = agents[number % len(agents)]
            change = {"agentId": agent_id, "expectedVersion": self._versions[agent_id], "agentName": f"Agent {number}"}
            payload = self._ask(RENAME, {"input": change})["agentUpdate"]
            now = time.time()
            if payload["userErrors"]:
                raise WrongAnswer(f"the change was refused: {payload['userErrors']}")
            self._versions[agent_id] = payload["agent"]["version"]
            answered[agent_id, self._versions[agent_id]] = now
        return answered

    def _version(self, agent_id: str) -> int:
        data = self._ask("query ($id: ID!) { agent(agentId: $id) { version } }", {"id": agent_id})
        return int(data["agent"]["version"])

    def _ask(self, query: str, variables: Mapping[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        body = json.dumps({"query": query, "variables": variables})
        self._connection.request("POST", "/graphql", body, headers)
        answer = json.loads(self._connection.getresponse().read())
        if "errors" in answer:
            raise WrongAnswer(f"the hub answered {answer['errors']}")
        return answer["data"]


# -- judging


@dataclass(frozen=True)
class _Message:
    """One of the distinct messages."""

    change: Change
    cursor: str
    began: float


def judge(recorded: Recorded, answered: Mapping[Change, float], committed: Mapping[Change, float]) -> Deliveries:
    """Hold what every socket got against what was answered. A message is out of order when its cursor or its agent's
    version is not above that of the one before it at this socket."""
    messages = [_message(body) for body in recorded.bodies]
    lost = repeated = disordered = 0
    for order, sockets in recorded.orders:
        got = Counter(messages[number].change for number in order)
        lost += sockets * len(answered.keys() - got.keys())
        repeated += sockets * (got.total() - len(got) + len(got.keys() - answered.keys()))
        disordered += sockets * _disordered([messages[number] for number in order])
    moments_of = {COMMIT: committed, BEGIN: {message.change: message.began for message in messages}, ANSWER: answered}
    latencies = {
        clock: sorted(
            1000 * (moment - since[message.change])
            for message, moments in zip(messages, recorded.arrivals, strict=True)
            if message.change in since
            for moment in moments
        )
        for clock, since in moments_of.items()
    }
    return Deliveries(latencies, lost, repeated, disordered)


def without(recorded: Recorded, changes: Collection[Change]) -> Recorded:
    """The record without late messages of changes that were made before it began."""
    late = {number for number, body in enumerate(recorded.bodies) if _message(body).change in changes}
    return replace(
        recorded,
        arrivals=[[] if number in late else moments for number, moments in enumerate(recorded.arrivals)],
        orders=[([number for number in order if number not in late], count) for order, count in recorded.orders],
    )


def _message(body: str) -> _Message:
    (change,) = json.loads(body)["payload"]["data"].values()
    began = datetime.fromisoformat(change["occurredAt"]).timestamp()
    return _Message((change["agent"]["agentId"], change["version"]), change["cursor"], began)


def _disordered(messages: Sequence[_Message]) -> int:
    wrong = sum(later.cursor <= earlier.cursor for earlier, later in pairwise(messages))
    latest: dict[str, int] = {}
    for message in messages:
        agent_id, version = message.change
        wrong += version <= latest.get(agent_id, 0)
        latest[agent_id] = max(version, latest.get(agent_id, 0))
    return wrong


def figures(found: Deliveries, name: str) -> list[Figure]:
    """The figures of what was delivered."""
    if not found.latencies[COMMIT]:
        raise WrongAnswer("no message came")
    right = found.expected - found.lost - found.repeated - found.disordered
    return [
        *(
            AtMost(f"{name}, p{per_cent}", percentile(found.latencies[COMMIT], per_cent), "ms", "the limit", limit, 1.0)
            for per_cent, limit in AIMS.items()
        ),
        Figure(f"{name}, once and in order", right, "messages", "all of them", found.expected, 1.0),
    ]


def percentile(ordered: Sequence[float], per_cent: int) -> float:
    """The value that so many per cent of all do not exceed; of nothing, infinity."""
    return ordered[(len(ordered) * per_cent - 1) // 100] if ordered else float("inf")
