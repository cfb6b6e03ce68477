"""A receiver for tests: keeps what it is handed, and stands still when it is told to."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.domain.principals import Principal
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.streams.delivery import Membership, Payload
from graphql_schema.streams.hub import StreamHub
from tests.services.makers import ADMIN

PATIENCE = 20.0
"""Seconds."""


class Listener:
    """One receiver, with its place in a stream."""

    def __init__(self) -> None:
        self.payloads: list[Payload] = []
        self.errors: Sequence[Mapping[str, Any]] | None = None
        self.reading = asyncio.Event()
        self.reading.set()
        self.membership: Membership | None = None
        self._changed = asyncio.Event()

    def deliver(self, payloads: Sequence[Payload]) -> None:
        """Keep them."""
        self.payloads += payloads
        self._changed.set()

    async def ready(self) -> None:
        """Wait while the test stands still."""
        await self.reading.wait()

    def finish(self, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        """Keep the errors."""
        assert self.errors is None
        self.errors = errors
        self._changed.set()

    async def take(self, number: int) -> list[Any]:
        """The next payloads, so many, each the value of the root field."""
        async with asyncio.timeout(PATIENCE):
            while len(self.payloads) < number and self.errors is None:
                self._changed.clear()
                await self._changed.wait()
        assert self.errors is None, self.errors
        taken, self.payloads = self.payloads[:number], self.payloads[number:]
        return [next(iter(orjson.loads(payload.body)["data"].values())) for payload in taken]

    async def refusal(self) -> Sequence[Mapping[str, Any]]:
        """The errors that it ended with."""
        async with asyncio.timeout(PATIENCE):
            while self.errors is None:
                self._changed.clear()
                await self._changed.wait()
        return self.errors

    async def leave(self) -> None:
        """Leave the stream."""
        assert self.membership is not None
        await self.membership.leave()


async def listen(streams: StreamHub, query: str, *, principal: Principal = ADMIN, **variables: Any) -> Listener:
    """A receiver that has joined."""
    listener = Listener()
    listener.membership = await streams.open(GraphQLRequest(query, variables), principal, listener)
    return listener
