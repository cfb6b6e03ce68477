"""Between streams and transports: what a stream hands on, and who takes it.

A stream renders each payload once, whoever takes it; a transport wraps these same bytes for its client. Streams push:
nothing that a receiver does may hold a stream up, so a receiver keeps what it cannot send at once within its own
bounds, or gives up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.domain.principals import Principal
from graphql_schema.incoming import GraphQLRequest


@dataclass(frozen=True)
class Payload:
    """One execution result of a subscription, rendered.

    `body` is its JSON text. Where `latest_of` is not None, the subscription merges: a payload that still waits may be
    left out for a later one of the same key, which stands where it came: cursors must not overtake each other, since
    whoever is cut off resumes by the last one. `frames` is for transports: what they made of the body for one operation
    id, shared by all sockets that use this id.
    """

    body: bytes
    latest_of: str | None = None
    frames: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)


class Receiver(Protocol):
    """Who takes the payloads of one subscription. All but `ready` return at once, and none raises."""

    def deliver(self, payloads: Sequence[Payload]) -> None:
        """Take what a tick of the stream brought, in order."""
        ...

    async def ready(self) -> None:
        """Return when what was delivered is mostly sent, so that one who catches up does not overrun its bounds."""
        ...

    def finish(self, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        """The subscription ended, with these errors (described, ready to be sent) or without; nothing follows."""
        ...


class Membership(Protocol):
    """One receiver's place in a stream."""

    async def leave(self) -> None:
        """Take no more, and return when nothing runs for this receiver any more. May be called twice."""
        ...


class Streams(Protocol):
    """What opens subscriptions for the transports."""

    def takes(self, request: GraphQLRequest) -> bool:
        """Whether the request runs a subscription. One that cannot be parsed does not."""
        ...

    async def open(self, request: GraphQLRequest, principal: Principal, receiver: Receiver) -> Membership:
        """Start a subscription operation for a receiver: by its document, variables and the rights of who asks.

        What is wrong with the request is told by `receiver.finish`; nothing is raised but defects.
        """
        ...

    async def close(self) -> None:
        """End all streams. Receivers hear nothing: their transports close them."""
        ...
