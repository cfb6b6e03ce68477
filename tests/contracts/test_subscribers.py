"""Subscription clients of the wide world, each as its manual says: they read, follow, resume, and are told errors.

urql and Apollo read over HTTP and follow over a socket of graphql-ws; graphql-sse does both by Server-Sent Events.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from app.services.agents import UpdateAgent, update_agent
from tests.contracts.npm import NODE, installed
from tests.contracts.test_clients import start_cursor
from tests.live.serving import ServedHub
from tests.services.makers import ADMIN, an_agent, run

HERE = Path(__file__).parent
AGENT = "james-dev"
READ = "query Read($id: ID!) { agent(agentId: $id) { agentId version } }"
FOLLOW = """
subscription Follow($id: ID, $after: Cursor) {
  agentStateChanged(agentId: $id, after: $after) { cursor eventType version agent { agentId agentRole } }
}
"""
CHANGES = 6
SECONDS = 30
NPM_CLIENTS = ("graphql-ws", "graphql-sse", "urql", "apollo")

Results = AsyncIterator[dict[str, Any]]


@pytest.fixture(scope="session")
def script() -> Path:
    """The script that runs the npm clients, beside their packages. Skips where these cannot be had."""
    try:
        folder = installed(HERE / "subscribers")
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Node's packages cannot be had here, so no npm client was tried: {error}")
    # whole or not at all: another worker's test may be about to run it
    draft = folder / f".subscribe-{os.getpid()}"
    shutil.copy(HERE / "subscribers" / "subscribe.mjs", draft)
    return draft.replace(folder / "subscribe.mjs")


@contextlib.asynccontextmanager
async def by_npm(script: Path, client: str, hub: ServedHub, follow: Mapping[str, Any]) -> AsyncIterator[Results]:
    """What an npm client prints: first what it read, then each result of its subscription."""
    operations = [{"query": READ, "variables": {"id": AGENT}}, {"query": FOLLOW, "variables": follow}]
    process = await asyncio.create_subprocess_exec(
        NODE,
        script,
        client,
        hub.http.removeprefix("http://"),
        hub.secret,
        *(orjson.dumps(operation).decode() for operation in operations),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS):
            yield _lines(process.stdout)
    finally:
        process.stdin.close()  # which ends it
        await process.communicate()


async def _lines(stream: asyncio.StreamReader) -> Results:
    async for line in stream:
        yield orjson.loads(line)


@contextlib.asynccontextmanager
async def by_gql(hub: ServedHub, follow: Mapping[str, Any]) -> AsyncIterator[Results]:
    """The same by Python's gql, reading and following over one socket."""
    transport = WebsocketsTransport(url=hub.ws, init_payload={"authorization": f"Bearer {hub.secret}"})
    async with (
        asyncio.timeout(SECONDS),
        Client(transport=transport) as session,
        # closed before the session, which would otherwise wait for the server to complete the subscription
        contextlib.aclosing(_of_session(session, follow)) as results,
    ):
        yield results


async def _of_session(session: Any, follow: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    yield {"data": await session.execute(GraphQLRequest(READ, variable_values={"id": AGENT}))}
    try:
        async with contextlib.aclosing(
            session.subscribe(GraphQLRequest(FOLLOW, variable_values=dict(follow)))
        ) as results:
            async for data in results:
                yield {"data": data}
    except TransportQueryError as error:
        yield {"errors": error.errors}


@contextlib.asynccontextmanager
async def following(
    client: str, request: pytest.FixtureRequest, hub: ServedHub, follow: Mapping[str, Any]
) -> AsyncIterator[Results]:
    """The results that one of the clients gets."""
    if client == "graphql-sse":
        await _require_event_streams(hub)
    made = by_gql(hub, follow) if client == "gql" else by_npm(request.getfixturevalue("script"), client, hub, follow)
    async with made as results:
        yield results


async def _require_event_streams(hub: ServedHub) -> None:
    headers = {"authorization": f"Bearer {hub.secret}", "accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=SECONDS) as http,
        http.stream("POST", hub.http, json={"query": FOLLOW}) as answer,
    ):
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            pytest.skip("POST /graphql does not answer text/event-stream yet, so graphql-sse was not tried")


async def rename(hub: ServedHub, version: int) -> None:
    """A change of the agent, which has this version."""
    await run(hub.database, update_agent, ADMIN, UpdateAgent(AGENT, version, agent_name=f"James {version}"))


def change(result: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a result. Apollo's `__typename` is its own business."""
    assert "errors" not in result, result
    found = dict(result["data"]["agentStateChanged"])
    found.pop("__typename", None)
    found["agent"].pop("__typename", None)
    return found


@pytest.mark.parametrize("client", [*NPM_CLIENTS, "gql"])
async def test_a_client_reads_follows_and_resumes(client: str, hub: ServedHub, request: pytest.FixtureRequest) -> None:
    await an_agent(hub.database, AGENT)
    await an_agent(hub.database, "maria-qa")
    seen: list[dict[str, Any]] = []
    after = await start_cursor(hub)
    for part in (range(2, 4), range(4, CHANGES + 2)):
        async with following(client, request, hub, {"id": AGENT, "after": after}) as results:
            read = (await anext(results))["data"]["agent"]
            assert (read["agentId"], read["version"]) == (AGENT, part.start - 1)
            for version in part:
                await rename(hub, version - 1)
                seen.append(change(await anext(results)))
            after = seen[-1]["cursor"]
    assert [found["version"] for found in seen] == list(range(2, CHANGES + 2))
    assert [found["cursor"] for found in seen] == sorted({found["cursor"] for found in seen})
    assert all(found["eventType"] == "updated" for found in seen)
    assert all(found["agent"] == {"agentId": AGENT, "agentRole": "DEVELOPER"} for found in seen)


@pytest.mark.parametrize("client", [*NPM_CLIENTS, "gql"])
async def test_a_client_is_told_what_is_wrong(client: str, hub: ServedHub, request: pytest.FixtureRequest) -> None:
    await an_agent(hub.database, AGENT)
    async with following(client, request, hub, {"id": AGENT, "after": "no cursor"}) as results:
        assert "data" in await anext(results)
        (error,) = (await anext(results))["errors"]
    assert error["extensions"] == {"code": "INVALID_INPUT", "field": "after"}
    assert error["message"].startswith("This is no cursor of the hub")
