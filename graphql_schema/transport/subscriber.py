"""The receiver of one subscription: hands its payloads to the outbox of a connection."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.principals import Principal
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.streams.delivery import Payload, Streams
from graphql_schema.transport.channels import Wrapping
from graphql_schema.transport.outbox import Outbox

Errors = Sequence[Mapping[str, Any]]


class Subscriber:
    """Takes what a stream delivers until it ends, or until nobody wants it any more."""

    def __init__(self, outbox: Outbox, wrapping: Wrapping) -> None:
        self._outbox = outbox
        self._wrapping = wrapping
        self._finished: asyncio.Future[Errors] = asyncio.get_running_loop().create_future()

    def deliver(self, payloads: Sequence[Payload]) -> None:
        """Take what a tick of the stream brought."""
        if not self._finished.done():
            self._outbox.deliver(self._wrapping, payloads)

    async def ready(self) -> None:
        """Return when the connection has room."""
        await self._outbox.ready()

    def finish(self, errors: Errors = ()) -> None:
        """The stream ended."""
        if not self._finished.done():
            self._finished.set_result(errors)

    async def follow(self, streams: Streams, request: GraphQLRequest, principal: Principal) -> Errors:
        """Be a member of the stream until it ends; the errors that it ended with.

        Cancelled, it leaves the stream, and what was not sent yet is dropped.
        """
        membership = await streams.open(request, principal, self)
        try:
            return await self._finished
        except asyncio.CancelledError:
            self._finished.cancel()
            self._outbox.drop(self._wrapping)
            raise
        finally:
            await membership.leave()
