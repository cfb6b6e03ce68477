"""Clients that others wrote: the npm package graphql-ws, and Python's gql."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from gql import GraphQLRequest
from gql.transport.websockets import WebsocketsTransport

from tests.contracts.npm import NODE, installed
from tests.live.serving import ServedHub, serve_hub

HERE = Path(__file__).parent


@dataclass(frozen=True)
class NodeClient:
    """The npm client, installed in `folder`."""

    folder: Path

    @contextlib.asynccontextmanager
    async def follow(
        self, hub: ServedHub, query: str, variables: Mapping[str, Any], count: int
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The client's results, as they come; leaving the block kills its process, as a crash would."""
        operation = orjson.dumps({"query": query, "variables": variables}).decode()
        process = await asyncio.create_subprocess_exec(
            NODE,
            self.folder / "follow.mjs",
            hub.ws,
            hub.secret,
            operation,
            str(count),
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        assert process.stdout is not None
        try:
            yield _lines(process.stdout)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    async for line in stream:
        yield orjson.loads(line)


@pytest.fixture(scope="session")
def node_client() -> NodeClient:
    """The npm client; installed once for each state of the lock file, by whichever worker comes first."""
    folder = installed(HERE)
    # whole or not at all: another worker's test may be about to run it
    draft = folder / f".follow-{os.getpid()}"
    shutil.copy(HERE / "follow.mjs", draft)
    draft.replace(folder / "follow.mjs")
    return NodeClient(folder)


@contextlib.asynccontextmanager
async def gql_follow(
    hub: ServedHub, query: str, variables: Mapping[str, Any]
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The data that gql gets, as it comes; leaving the block cuts the connection without a goodbye."""
    transport = WebsocketsTransport(
        url=hub.ws,
        init_payload={"authorization": f"Bearer {hub.secret}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    await transport.connect()
    results = transport.subscribe(GraphQLRequest(query, variable_values=dict(variables)))
    try:
        yield _data(results)
    finally:
        _abort(transport)
        await results.aclose()
        await transport.close()


async def _data(results: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
    async for result in results:
        assert not result.errors, result.errors
        yield result.data


def _abort(transport: WebsocketsTransport) -> None:
    adapter: Any = transport.adapter
    if adapter.websocket is not None:  # the server may have been quicker
        adapter.websocket.transport.abort()


@pytest.fixture
async def hub(database_url: str) -> AsyncIterator[ServedHub]:
    """One hub that all clients of a test follow."""
    async with serve_hub(database_url) as hub:
        yield hub
