"""A replica of the API is killed while four writers commit in the reverse order of their writes: no change is lost.

Clients of both replicas, of several makes, follow the same subscription. Those of the killed one go on by their cursor
on the other, and in the end all have seen every acknowledged change once, in one order, each agent's versions rising.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from gql.transport.exceptions import TransportError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import Role
from app.engine.catalogue import sync_templates
from app.live.hints import HintSender
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from db.queries.changes import amend
from db.queries.entities import AGENT
from db.session import Database
from tests.acceptance.processes import Process, api, data_folder
from tests.contracts.conftest import NodeClient, gql_follow
from tests.services.makers import ADMIN, an_agent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FOLLOW = """
subscription ($after: Cursor) {
  agentStateChanged(after: $after) { cursor eventType version agent { agentId } }
}
"""
RENAME = """
mutation ($input: AgentUpdateInput!) {
  agentUpdate(input: $input) { agent { version } userErrors { code } }
}
"""
WRITERS = 4
AGENTS_EACH = 5
SHARED, START, END = "shared-agent", "start-agent", "end-agent"
PATIENCE = 0.2
"""Seconds that a writer waits for another, so that two which lock each other out go on all the same."""
CUT_OFF = (TransportError, OSError, asyncio.IncompleteReadError)
EVERYTHING_TAKES = 60.0

Change = tuple[str, int]
"""An agent and its version after the change."""


class OutOfOrder(AssertionError):
    """A client saw a version of an agent after a later one."""


@dataclass(frozen=True)
class Address:
    """Where a replica is, and a token for it; what the clients take for a served hub."""

    http: str
    secret: str

    @property
    def ws(self) -> str:
        return self.http.replace("http", "ws", 1)


@dataclass
class Replicas:
    """Two processes of the API on one database."""

    processes: Sequence[Process]
    addresses: Sequence[Any]


async def prepare(database: Database, folder: Path) -> dict[str, str]:
    """The variables for processes on the test's database, which gets the templates and an administrator's token."""
    secret = new_secret()
    await database.transact(sync_templates)
    await database.transact(lambda session: create_token(session, ADMIN, CreateToken("admin", Role.ADMIN, secret)))
    (folder / "admin.token").write_text(secret)
    return {"HUB_DATABASE_URL": database.url, "HUB_MASTER_KEY": "5" * 64}


def addresses_of(folder: Path, replicas: Sequence[Process]) -> list[Any]:
    """Where they are, once they are ready."""
    secret = (folder / "admin.token").read_text()
    return [Address(f"{replica.wait_until_ready()}/graphql", secret) for replica in replicas]


@asynccontextmanager
async def two_replicas(database: Database) -> AsyncIterator[Replicas]:
    """`hub serve`, twice."""
    with data_folder() as folder:
        variables = await prepare(database, folder)
        with api(folder, "serve", **variables) as first, api(folder, "serve", **variables) as second:
            yield Replicas([first, second], addresses_of(folder, [first, second]))


# -- writers


@dataclass
class Writers:
    """What was acknowledged, and how many rounds ended in the reverse order of their writes."""

    database: Database
    hints: HintSender
    tangled: bool
    acknowledged: list[Change] = field(default_factory=list)
    reversed_rounds: int = 0

    async def write(self, rounds: int) -> None:
        """Four transactions a round, which overlap; a tangled one goes on to an agent that all of them change."""
        for number in range(rounds):
            begun, ended = ([asyncio.Event() for _ in range(WRITERS)] for _ in range(2))
            order: list[int] = []
            await asyncio.gather(*(self._transact(place, number, begun, ended, order) for place in range(WRITERS)))
            self.reversed_rounds += order == [3, 2, 1, 0]

    async def _transact(
        self, place: int, number: int, begun: list[asyncio.Event], ended: list[asyncio.Event], order: list[int]
    ) -> None:
        if place:
            await _wait_for(begun[place - 1])
        async with self.database.engine.begin() as session:
            changes = [await rename(session, agent_of(place, number))]
            begun[place].set()
            await _wait_for(begun[-1])
            if place + 1 < WRITERS:
                await _wait_for(ended[place + 1])
            if self.tangled:
                changes.append(await rename(session, SHARED))
        order.append(place)
        ended[place].set()
        self.hints.hint()
        self.acknowledged += changes

    async def write_by_http(self, place: int, count: int, replicas: Replicas) -> None:
        """Mutations to the first replica, and to the other when it is gone: sent again there, with the same key."""
        agent_id, version, served = f"http-{place}", 1, iter(replicas.addresses)
        address = next(served)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {address.secret}"}, timeout=20) as http:
            for number in range(count):
                change = {"agentId": agent_id, "expectedVersion": version, "agentName": f"Agent {number}"}
                body = {"query": RENAME, "variables": {"input": {**change, "idempotencyKey": f"{place} {number}"}}}
                try:
                    answer = await http.post(address.http, json=body)
                except httpx.TransportError:
                    address = next(served)
                    answer = await http.post(address.http, json=body)
                payload = answer.json()["data"]["agentUpdate"]
                assert payload["userErrors"] == []
                version = payload["agent"]["version"]
                self.acknowledged.append((agent_id, version))
                await asyncio.sleep(0.02)


def agent_of(place: int, number: int) -> str:
    """Each writer has some agents of its own."""
    return f"writer-{place}-{number % AGENTS_EACH}"


async def rename(session: AsyncConnection, agent_id: str) -> Change:
    row = await amend(session, AGENT, agent_id, "updated", "test", values={"agent_name": "anew"})
    return agent_id, row.version


async def _wait_for(event: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(event.wait(), PATIENCE)
    except TimeoutError:
        return


@asynccontextmanager
async def writers(database: Database, *, tangled: bool) -> AsyncIterator[Writers]:
    """The writers, with all their agents."""
    for agent_id in [SHARED, START, END, *(f"http-{place}" for place in range(2))]:
        await an_agent(database, agent_id)
    for place in range(WRITERS):
        for number in range(AGENTS_EACH):
            await an_agent(database, agent_of(place, number))
    hints = HintSender(database)
    await hints.start()
    try:
        yield Writers(database, hints, tangled)
    finally:
        await hints.stop()


# -- readers


@dataclass
class Reader:
    """A client that begins on one replica and goes on at the next when it is cut off; `piece`: or after so many."""

    addresses: Sequence[Any]
    start: str
    npm: NodeClient | None = None
    piece: int | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    connected: bool = False
    moves: int = 0

    async def read(self) -> None:
        """Follow until the last change."""
        places = iter(self.addresses)
        address = next(places)
        while True:
            after = {"after": self.seen[-1]["cursor"] if self.seen else self.start}
            try:
                if await self._follow(address, after):
                    return
            except CUT_OFF:
                address = next(places)
                self.moves += 1

    async def _follow(self, address: Any, after: dict[str, str]) -> bool:
        """Whether the end was reached; False when it was time for another connection."""
        follow = gql_follow(address, FOLLOW, after) if self.npm is None else self.npm.follow(address, FOLLOW, after, -1)
        async with follow as results:
            async for result in results:
                if "error" in result:
                    raise ConnectionResetError(result)
                change = result.get("data", result)["agentStateChanged"]
                self.connected = True
                agent_id = change["agent"]["agentId"]
                if change["eventType"] != "updated" or agent_id == START:
                    continue
                if agent_id == END:
                    return True
                self.seen.append(change)
                if self.piece and len(self.seen) % self.piece == 0:
                    return False
        raise ConnectionResetError

    @property
    def changes(self) -> list[Change]:
        """What was seen, in order."""
        return [(change["agent"]["agentId"], change["version"]) for change in self.seen]


async def start_cursor(database: Database, hints: HintSender, address: Any) -> str:
    """A place in the log that everything the writers write comes after."""
    async with gql_follow(address, FOLLOW, {}) as results:
        first = asyncio.ensure_future(anext(results))
        while not first.done():
            await database.transact(lambda session: rename(session, START))
            hints.hint()
            await asyncio.wait([first], timeout=0.3)
        return str(first.result()["agentStateChanged"]["cursor"])


async def all_connected(writing: Writers, readers: Sequence[Reader]) -> None:
    """Change something until every reader has heard of a change."""
    while not all(reader.connected for reader in readers):
        await writing.database.transact(lambda session: rename(session, START))
        writing.hints.hint()
        await asyncio.sleep(0.1)


async def kill_amid(process: Process, writing: Writers, after: int) -> int:
    """SIGKILL once so many changes are acknowledged; how many were when it was dead."""
    while len(writing.acknowledged) < after:  # noqa: ASYNC110  (many writers bring it about)
        await asyncio.sleep(0.005)
    await asyncio.to_thread(process.kill)
    return len(writing.acknowledged)


def check(reader: Reader, acknowledged: Sequence[Change]) -> None:
    """Every acknowledged change was seen, once, and cursors and versions rise. Raises `OutOfOrder` for the last."""
    assert [change for change, times in Counter(reader.changes).items() if times > 1] == []
    assert set(reader.changes) == set(acknowledged)
    cursors = [change["cursor"] for change in reader.seen]
    assert cursors == sorted(set(cursors))
    versions: dict[str, list[int]] = defaultdict(list)
    for agent_id, version in reader.changes:
        versions[agent_id].append(version)
    wrong = {agent_id: found for agent_id, found in versions.items() if found != sorted(found)}
    if wrong:
        raise OutOfOrder(wrong)


@pytest.mark.parametrize(
    ("tangled", "rounds"),
    [
        pytest.param(False, 250, id="each writer has its own agents"),
        pytest.param(
            True,
            60,
            id="all writers change one agent too",
        ),
    ],
)
async def test_a_killed_replica_costs_no_change(
    database: Database, node_client: NodeClient, *, tangled: bool, rounds: int
) -> None:
    async with two_replicas(database) as replicas, writers(database, tangled=tangled) as writing:
        async with asyncio.timeout(EVERYTHING_TAKES):
            both, second = replicas.addresses, replicas.addresses[1:]
            start = await start_cursor(database, writing.hints, both[0])
            readers = [
                Reader(both, start),
                Reader(both, start, npm=node_client),
                Reader(both, start, piece=150),
                Reader(second, start),
                Reader(second, start, npm=node_client),
            ]
            async with asyncio.TaskGroup() as group:
                for reader in readers:
                    group.create_task(reader.read())
                await all_connected(writing, readers)
                killing = group.create_task(kill_amid(replicas.processes[0], writing, rounds * WRITERS * 2 // 5))
                await asyncio.gather(
                    killing,
                    writing.write(rounds),
                    *(writing.write_by_http(place, rounds * 2 // 5, replicas) for place in range(2)),
                )
                await database.transact(lambda session: rename(session, END))
                writing.hints.hint()
    expected = rounds * WRITERS * (1 + tangled) + 2 * (rounds * 2 // 5)
    assert killing.result() < expected * 3 // 4
    assert writing.reversed_rounds > rounds // 2, "the writers did not overlap, so this showed little"
    assert [reader.moves for reader in readers] == [1, 1, 1, 0, 0]
    for reader in readers:
        check(reader, writing.acknowledged)
    assert all(reader.changes == readers[0].changes for reader in readers)
    assert len(writing.acknowledged) == len(set(writing.acknowledged)) == expected
