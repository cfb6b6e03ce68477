"""PostgreSQL is restarted amid writers and subscribers: nothing that was acknowledged is lost or told twice."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from db.embedded import EmbeddedServer
from db.session import Database
from tests.acceptance.processes import api, data_folder
from tests.acceptance.test_live_failover import FOLLOW, RENAME, Change, addresses_of, prepare
from tests.contracts.conftest import gql_follow
from tests.services.makers import an_agent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WRITERS, SUBSCRIBERS = 4, 5
BACK_WITHIN = 10.0
"""Seconds, the promise of the hub; what it took is part of the failure."""
LAST = "last-agent"


@dataclass
class Load:
    """Writers that send each change until it is acknowledged, under one key; and what was acknowledged."""

    http: httpx.AsyncClient
    url: str
    acknowledged: list[Change] = field(default_factory=list)
    stopped: bool = False

    async def write(self, agent_id: str) -> None:
        """Change one agent again and again until stopped."""
        version = 1
        while not self.stopped:
            version = await self.change(agent_id, version)
            await asyncio.sleep(0.01)

    async def change(self, agent_id: str, version: int) -> int:
        """One change; the version after it."""
        given = {"agentId": agent_id, "expectedVersion": version, "agentName": f"Agent {version}"}
        body = {"query": RENAME, "variables": {"input": {**given, "idempotencyKey": f"{agent_id} {version}"}}}
        while True:
            try:
                answer = (await self.http.post(self.url, json=body)).json()
                payload = (answer.get("data") or {}).get("agentUpdate")
            except httpx.TransportError:
                payload = None
            if payload is not None and payload["agent"] is not None:
                assert payload["userErrors"] == []
                self.acknowledged.append((agent_id, payload["agent"]["version"]))
                return int(payload["agent"]["version"])
            codes = [error["code"] for error in payload["userErrors"]] if payload is not None else ["UNAVAILABLE"]
            assert codes == ["UNAVAILABLE"], codes
            await asyncio.sleep(0.05)


@asynccontextmanager
async def served(database: Database) -> AsyncIterator[Any]:
    """`hub serve` on the test's database."""
    with data_folder() as folder:
        variables = await prepare(database, folder)
        with api(folder, "serve", **variables) as process:
            yield addresses_of(folder, [process])[0]


async def follow(address: Any, seen: list[Change], begun: asyncio.Event) -> None:
    """One subscription on one socket, until the last change."""
    async with gql_follow(address, FOLLOW, {}) as results:
        async for result in results:
            change = result["agentStateChanged"]
            agent_id = change["agent"]["agentId"]
            begun.set()
            if agent_id == LAST and change["eventType"] == "updated":
                return
            if change["eventType"] == "updated" and agent_id.startswith("writer-"):
                seen.append((agent_id, change["version"]))


async def until(url: str, status: int) -> float:
    """Seconds until `/readyz` answers so."""
    began = time.monotonic()
    async with httpx.AsyncClient() as http, asyncio.timeout(60):
        while True:
            try:
                if (await http.get(url, timeout=5)).status_code == status:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)


async def test_a_restart_under_load_costs_nothing(postgres: EmbeddedServer, database: Database) -> None:
    # the tests' databases do without, for speed; a crash must lose nothing that was acknowledged here
    name = database.url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    for place in range(WRITERS):
        await an_agent(database, f"writer-{place}")
    await an_agent(database, LAST)
    async with served(database) as address, httpx.AsyncClient(timeout=20) as http:
        http.headers["authorization"] = f"Bearer {address.secret}"
        load, ready = Load(http, address.http), address.http.replace("/graphql", "/readyz")
        seen: list[list[Change]] = [[] for _ in range(SUBSCRIBERS)]
        begun = [asyncio.Event() for _ in range(SUBSCRIBERS)]
        following = [asyncio.create_task(follow(address, *each)) for each in zip(seen, begun, strict=True)]
        await asyncio.sleep(1)  # subscriptions without `after` begin when they have come through
        writing = [asyncio.create_task(load.write(f"writer-{place}")) for place in range(WRITERS)]
        await asyncio.gather(*[event.wait() for event in begun])
        starts = [changes[0] for changes in seen]
        before = len(load.acknowledged)
        red = asyncio.create_task(until(ready, 503))
        restarted_at = time.monotonic()
        await asyncio.to_thread(postgres.restart, immediate=True)
        await red
        await until(ready, 200)
        back = time.monotonic() - restarted_at
        while len(load.acknowledged) < before + 100:  # noqa: ASYNC110  (many writers bring it about)
            await asyncio.sleep(0.02)
        load.stopped = True
        await asyncio.gather(*writing)
        await load.change(LAST, 1)
        async with asyncio.timeout(60):
            await asyncio.gather(*following)
    assert back < BACK_WITHIN, f"the hub was back after {back:.1f} s"
    wanted = {(agent_id, version) for agent_id, version in load.acknowledged if agent_id != LAST}
    for changes, start in zip(seen, starts, strict=True):
        assert [change for change, times in Counter(changes).items() if times > 1] == []
        first: dict[str, int] = {}
        for agent_id, version in changes:
            first.setdefault(agent_id, version)
        # all that was acknowledged from this subscriber's first change of an agent on
        assert {(agent_id, version) for agent_id, version in wanted if version >= first[agent_id]} == set(changes)
        for agent_id, version in first.items():
            versions = [later for name, later in changes if name == agent_id]
            assert versions == list(range(version, version + len(versions)))
        assert start == changes[0]
