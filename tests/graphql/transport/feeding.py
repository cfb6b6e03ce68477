"""A stream that tells its members what a test wants them to hear."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.principals import Principal
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.streams.delivery import Payload, Receiver

FOLLOW = "subscription { feed }"


@dataclass
class Feed:
    """All subscriptions are members of this one stream."""

    members: dict[object, Receiver] = field(default_factory=dict)

    def takes(self, request: GraphQLRequest) -> bool:
        return request.query.startswith("subscription")

    async def open(self, request: GraphQLRequest, principal: Principal, receiver: Receiver) -> "Member":
        member = Member(self)
        self.members[member] = receiver
        return member

    async def close(self) -> None:
        self.members.clear()

    def tell(self, payloads: Sequence[Payload]) -> None:
        for receiver in tuple(self.members.values()):
            receiver.deliver(payloads)

    def finish(self, *errors: dict[str, Any]) -> None:
        for receiver in tuple(self.members.values()):
            receiver.finish(errors)


@dataclass(eq=False)
class Member:
    feed: Feed

    async def leave(self) -> None:
        self.feed.members.pop(self, None)


def numbered(number: int, size: int = 0, latest_of: str | None = None) -> Payload:
    """A payload that carries a number, and as many bytes more."""
    return Payload(b'{"data":{"feed":%d,"more":"%b"}}' % (number, b"x" * size), latest_of)
