"""Who fans out: the hub, whose events are committed to its log, and the peers, which are told over HTTP."""

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import insert, text, update

from app.domain.agents import AgentRole
from app.domain.events import Aggregate, Retention
from app.domain.principals import SYSTEM, Role
from app.live.hints import CHANNEL
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.services.agents import RegisterAgent, register_agent
from db.session import Database
from db.tables import events
from db.tables.agents import agent_reports
from tests.benchmarks.stage import Served, Stage

SUBSCRIPTION = """
subscription Follow {
  agentStateChanged {
    cursor eventType occurredAt fromStatus toStatus version
    agent { agentId agentName agentRole status capabilities }
  }
}
"""
TOKENS = 20
"""Tokens of one role that the sockets share, since a hub may bound the sockets of one token."""
ALIVE = timedelta(days=1)
"""How far ahead the agents last reported, so that upkeep finds none of them silent."""


class Publisher(Protocol):
    """What makes a server send."""

    def prepare(self, count: int) -> None:
        """Make ready so many events."""
        ...

    def publish(self) -> float:
        """Let them happen; when that began, in seconds since the epoch."""
        ...


@dataclass(frozen=True)
class Seeded:
    """What is in the database: the agents, the tokens of viewers, and one that may write."""

    agents: Sequence[str]
    viewers: Sequence[str]
    writer: str


def seed(url: str, agents: int) -> Seeded:
    """Fill the migrated database."""
    return asyncio.run(_seed(url, [f"agent-{number:03}" for number in range(agents)]))


async def _seed(url: str, agents: Sequence[str]) -> Seeded:
    viewers, writer, database = [new_secret() for _ in range(TOKENS)], new_secret(), Database(url)
    tokens = [CreateToken(f"viewer-{number}", Role.VIEWER, secret) for number, secret in enumerate(viewers)]
    commands = [RegisterAgent(agent_id, AgentRole.DEVELOPER, capabilities=["python", "sql"]) for agent_id in agents]
    reported = update(agent_reports).values(last_activity=datetime.now(UTC) + ALIVE)
    try:
        for token in [*tokens, CreateToken("writer", Role.ADMIN, writer)]:
            await database.transact(lambda session: create_token(session, SYSTEM, token))  # noqa: B023
        for command in commands:
            await database.transact(lambda session: register_agent(session, SYSTEM, command))  # noqa: B023
        await database.transact(lambda session: session.execute(reported))
    finally:
        await database.close()
    return Seeded(agents, viewers, writer)


def openings(tokens: Sequence[str]) -> list[list[str]]:
    """What a socket says first, for each token."""
    subscribe = json.dumps({"id": "1", "type": "subscribe", "payload": {"query": SUBSCRIPTION}})
    return [
        [json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}), subscribe]
        for token in tokens
    ]


@contextlib.contextmanager
def serving_hub(stage: Stage, url: str, environment: Mapping[str, str]) -> Iterator[Served]:
    """`hub serve` on a database, with further settings."""
    settings = {"HUB_DATABASE_URL": url, "HUB_DATA_DIR": str(stage.folder), "HUB_PORT": "0", **environment}
    with stage.serving("app.main", "serve", environment=settings) as served:
        yield served


class EventLog:
    """Commits events in one transaction, each of another agent, with the hint that another replica would send."""

    def __init__(self, runner: asyncio.Runner, url: str, agents: Sequence[str]) -> None:
        self._runner = runner
        self._database = Database(url, pool_size=2)
        self._connection = self._database.engine.connect()
        self._agents = agents
        self._version = 1
        runner.run(self._start())

    async def _start(self) -> None:
        await self._connection.start()

    def prepare(self, count: int) -> None:
        self._runner.run(self._write(count))

    def publish(self) -> float:
        began = time.time()
        self._runner.run(self._commit())
        return began

    async def _write(self, count: int) -> None:
        self._version += 1
        told: dict[str, Any] = {"retention": Retention.AUDIT.value, "aggregate": Aggregate.AGENT.value}
        told |= {"event_type": "updated", "actor": "bench", "version": self._version, "detail": {}}
        rows = [{**told, "entity_id": agent_id} for agent_id in self._agents[:count]]
        await self._connection.execute(insert(events.event_log), rows)
        await self._connection.execute(text(f"NOTIFY {CHANNEL}"))

    async def _commit(self) -> None:
        await self._connection.commit()

    def close(self) -> None:
        """Give back the connection."""
        self._runner.run(self._close())

    async def _close(self) -> None:
        await self._connection.close()
        await self._database.close()


@contextlib.contextmanager
def event_log(url: str, agents: Sequence[str]) -> Iterator[EventLog]:
    """The hub's publisher."""
    with asyncio.Runner() as runner:
        log = EventLog(runner, url, agents)
        try:
            yield log
        finally:
            log.close()


class Poster:
    """Tells a peer over HTTP what to broadcast: the very message that the hub sent."""

    def __init__(self, served: Served, message: str) -> None:
        self._connection = http.client.HTTPConnection(served.host, served.port, timeout=20)
        self._message = message.encode()
        self._count = 0

    def prepare(self, count: int) -> None:
        self._count = count
        # anew, since servers close connections that were idle while others were measured
        self._connection.close()
        self._connection.connect()

    def publish(self) -> float:
        began = time.time()
        self._connection.request("POST", f"/publish?count={self._count}", self._message)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.NO_CONTENT:
            raise http.client.HTTPException(f"the peer answered {answer.status}")
        return began

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
