"""All streams of a process: what is asked the same by viewers of the same rights is one."""

import asyncio
from dataclasses import dataclass

from graphql import GraphQLError

from app.domain.errors import HubError
from app.domain.principals import Principal
from graphql_schema.context import HubContext
from graphql_schema.endpoint import MakeContext
from graphql_schema.errors import typed_error
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.outgoing import describe_error, masked
from graphql_schema.schema import HubSchema
from graphql_schema.streams.delivery import Membership, Receiver
from graphql_schema.streams.opening import Opening, Refused, is_subscription, opening_of
from graphql_schema.streams.rendering import make_renderer
from graphql_schema.streams.shared import Member, SharedStream

StreamKey = tuple[object, ...]


class StreamHub:
    """Opens subscriptions, and owns the streams behind them."""

    def __init__(self, schema: HubSchema, context_for: MakeContext) -> None:
        self._schema = schema
        self._context_for = context_for
        self._streams: dict[StreamKey, SharedStream] = {}

    @property
    def streams(self) -> int:
        """How many streams run."""
        return len(self._streams)

    @property
    def members(self) -> int:
        """How many receivers they have together."""
        return sum(stream.size for stream in self._streams.values())

    @property
    def renderings(self) -> int:
        """How many payloads the streams that run now have rendered for all their members together."""
        return sum(stream.renderings for stream in self._streams.values())

    def takes(self, request: GraphQLRequest) -> bool:
        """Whether the request runs a subscription."""
        return is_subscription(self._schema, request)

    async def open(self, request: GraphQLRequest, principal: Principal, receiver: Receiver) -> Membership:
        """Start a subscription for a receiver. What is wrong with the request is told by `receiver.finish`."""
        try:
            opening = opening_of(self._schema, request, principal)
            stream = await self._stream(opening, self._context_for(principal))
            return _Joined(self, opening.key, stream, stream.join(receiver, opening))
        except Refused as refused:
            receiver.finish([describe_error(error) for error in refused.errors])
        except HubError as error:
            receiver.finish([describe_error(typed_error(error))])
        except GraphQLError as error:
            receiver.finish([describe_error(error)])
        except Exception as defect:
            receiver.finish([masked(defect)])
        return _Nowhere()

    async def close(self) -> None:
        """End all streams. Receivers hear nothing."""
        streams, self._streams = tuple(self._streams.values()), {}
        await asyncio.gather(*[stream.stop() for stream in streams])

    async def _stream(self, opening: Opening, context: HubContext) -> SharedStream:
        stream = self._streams.get(opening.key)
        if stream is None:
            renderer = make_renderer(opening.build, opening.root)
            stream = SharedStream(opening, renderer, context.tail, context)
            # nothing waits between the look and this, so there is one stream of a key
            self._streams[opening.key] = stream
            try:
                await stream.start(self._ended)
            except BaseException:
                self._streams.pop(opening.key, None)
                raise
        return stream

    def _ended(self, stream: SharedStream) -> None:
        for key, known in tuple(self._streams.items()):
            if known is stream:
                del self._streams[key]

    async def left(self, key: StreamKey, stream: SharedStream, member: Member) -> None:
        """Remove a member; a stream without members ends."""
        await stream.leave(member)
        if not stream.size and self._streams.get(key) is stream:
            del self._streams[key]
            await stream.stop()


@dataclass(frozen=True, eq=False)
class _Joined:
    hub: StreamHub
    key: StreamKey
    stream: SharedStream
    member: Member

    async def leave(self) -> None:
        await self.hub.left(self.key, self.stream, self.member)


class _Nowhere:
    """The place of a receiver whose request was refused."""

    async def leave(self) -> None:
        return
