"""A client of graphql-transport-ws that says exactly what it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.graphql.transport.conftest import Served

PROTOCOL = Subprotocol("graphql-transport-ws")
INIT = {"type": "connection_init", "payload": {"authorization": "Bearer good"}}


class Socket:
    """A client that says exactly what it is told to."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, *messages: object) -> None:
        for message in messages:
            await self.connection.send(message if isinstance(message, (str, bytes)) else orjson.dumps(message).decode())

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            text = await self.connection.recv()
        assert isinstance(text, str)
        message: dict[str, Any] = orjson.loads(text)
        return message

    async def hear_all(self, number: int) -> list[dict[str, Any]]:
        return [await self.hear() for _ in range(number)]

    async def _drop_everything(self) -> None:
        while True:
            await self.connection.recv()

    async def closed_with(self) -> tuple[int, str]:
        """Code and reason with which the server closes; whatever it says before is dropped."""
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed) as caught:
                await self._drop_everything()
        close = caught.value.rcvd
        assert close is not None
        return close.code, close.reason


@contextlib.asynccontextmanager
async def dial(served: Served, *subprotocols: str) -> AsyncIterator[Socket]:
    offered = [Subprotocol(name) for name in subprotocols] or [PROTOCOL]
    async with connect(served.ws, subprotocols=offered, max_size=None, close_timeout=1) as connection:
        yield Socket(connection)


@contextlib.asynccontextmanager
async def welcomed(served: Served) -> AsyncIterator[Socket]:
    async with dial(served) as socket:
        await socket.say(INIT)
        assert await socket.hear() == {"type": "connection_ack"}
        yield socket


def subscribe(operation_id: object, query: str, **more: object) -> dict[str, object]:
    return {"type": "subscribe", "id": operation_id, "payload": {"query": query, **more}}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  (what holds has no event)
            await asyncio.sleep(0.01)
