"""What clients see of a PostgreSQL that goes away and comes back: a 503, and subscriptions that go on by themselves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from structlog.typing import EventDict
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.domain.errors import Unavailable
from db.embedded import EmbeddedServer
from graphql_schema.outgoing import INTERNAL
from tests.live.events import eventually
from tests.live.serving import ServedHub, serve_hub
from tests.services.makers import a_task


@pytest.fixture
async def hub(postgres: EmbeddedServer, database_url: str) -> AsyncIterator[ServedHub]:
    """On a database that keeps what it acknowledged through a crash; the other tests' do without."""
    name = database_url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    async with serve_hub(database_url) as hub:
        yield hub


async def stop(postgres: EmbeddedServer) -> None:
    await asyncio.to_thread(postgres._pg_ctl, "-w", "-D", str(postgres.pgdata), "-m", "immediate", "stop")


async def start(postgres: EmbeddedServer) -> None:
    await asyncio.to_thread(postgres.restart, immediate=True)


async def test_requests_get_503_while_the_database_is_away_and_work_when_it_is_back(
    postgres: EmbeddedServer, hub: ServedHub, logged: list[EventDict]
) -> None:
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {hub.secret}"}, timeout=30) as client:

        async def ask() -> httpx.Response:
            return await client.post(hub.http, json={"query": "{ tasks { nodes { title } } }"})

        assert (await ask()).json() == {"data": {"tasks": {"nodes": []}}}
        await stop(postgres)
        for _ in range(3):
            answer = await ask()
            assert answer.status_code == 503, answer.text
            assert answer.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE"}
        await asyncio.sleep(3.2)  # the token is not cached any more
        answer = await ask()
        assert answer.status_code == 503, answer.text
        await start(postgres)

        async def works() -> bool:
            return (await ask()).status_code == 200

        await eventually(works)
    assert not [entry for entry in logged if INTERNAL in str(entry) or "masked" in entry["event"]]


async def test_a_subscription_goes_on_after_a_restart_without_the_clients_doing(
    postgres: EmbeddedServer, hub: ServedHub
) -> None:
    subscribe = {
        "type": "subscribe",
        "id": "1",
        "payload": {"query": "subscription { taskChanged { task { title } } }"},
    }
    async with connect(hub.ws, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:

        async def hear() -> dict[str, Any]:
            async with asyncio.timeout(15):
                message: dict[str, Any] = orjson.loads(await socket.recv())
            return message

        await socket.send(orjson.dumps({"type": "connection_init", "payload": {"token": hub.secret}}).decode())
        assert await hear() == {"type": "connection_ack"}
        await socket.send(orjson.dumps(subscribe).decode())
        await eventually(lambda: hub.tail.followers == 1)
        await a_task(hub.database, "before")
        assert (await hear())["payload"] == {"data": {"taskChanged": {"task": {"title": "before"}}}}
        await stop(postgres)
        await asyncio.sleep(5.5)  # the token was asked about in the meantime, and nobody could tell
        assert not hub.tail.is_alive
        await start(postgres)

        async def writes() -> bool:
            try:
                await a_task(hub.database, "after")
            except Unavailable:
                return False
            return True

        await eventually(writes)
        assert (await hear())["payload"] == {"data": {"taskChanged": {"task": {"title": "after"}}}}
        await eventually(lambda: hub.tail.is_alive)
