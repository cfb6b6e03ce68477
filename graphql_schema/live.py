"""What all subscriptions share: payloads that tell one event each, in the order of the event log, with its cursor."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar
from uuid import UUID

import strawberry

from app.domain.agents import AGENT_ID_PATTERN
from app.domain.errors import InvalidInput
from app.domain.events import Aggregate
from app.live.records import ANY_DETAIL, EventFilter, EventRecord
from app.security.policy import Permission, authorise
from graphql_schema.context import Info
from graphql_schema.scalars import JSON, Cursor

After = Annotated[
    Cursor | None,
    strawberry.argument(
        description="The `cursor` of the last payload that you have: first comes all that happened since, then what "
        "happens, each once. Without it the stream begins now. A cursor that cannot be resumed ends the subscription "
        "with the error RESYNC_REQUIRED: read the state anew, then follow without `after`."
    ),
]


@strawberry.type
class Change:
    """The fields of every payload. Not a type of the API by itself."""

    entity_id: strawberry.Private[str]
    cursor: Cursor = strawberry.field(
        description="Where to go on after this event: pass it as `after`. Later events have greater cursors, "
        "compared as strings."
    )
    event_type: str = strawberry.field(description="What happened, a past participle such as `claimed`.")
    occurred_at: datetime = strawberry.field(description="When the transaction of the event began.")
    actor: str = strawberry.field(description="Who did it: the name of a token, an agent, or `hub`.")
    from_status: str | None = strawberry.field(description="The status before, where the event changed it.")
    to_status: str | None = strawberry.field(description="The status after; null where there is no status.")
    version: int | None = strawberry.field(
        description="The entity's version after the event; null for a report, which changes no version."
    )
    detail: JSON = strawberry.field(description="What else the event tells, by its type; an object.")

    @classmethod
    def of(cls, event: EventRecord) -> Self:
        """The payload that tells an event."""
        return cls(
            entity_id=cls.subject(event),
            cursor=Cursor(event.cursor),
            event_type=event.event_type,
            occurred_at=event.occurred_at,
            actor=event.actor,
            from_status=_upper(event.from_status),
            to_status=_upper(event.to_status),
            version=event.version,
            detail=JSON(event.detail),
        )

    @staticmethod
    def subject(event: EventRecord) -> str:
        """The id of the entity that the payload shows."""
        return event.entity_id


Payload = TypeVar("Payload", bound=Change)


async def follow(
    info: Info,
    payload: type[Payload],
    aggregate: Aggregate,
    *,
    after: str | None,
    entity_id: str | None = None,
    execution_id: str | None = None,
    agent_id: str | None = None,
    details: Sequence[Mapping[str, str | None]] = ANY_DETAIL,
    event_types: frozenset[str] | None = None,
) -> AsyncGenerator[Payload, None]:
    """One payload for each matching event of the aggregate, after the cursor or from now on.

    One of `details` is part of what each event tells. Raises `Forbidden`, `InvalidInput` for a malformed id or cursor,
    `ResyncRequired`, `Unavailable`.
    """
    authorise(info.context.principal, Permission.READ)
    about = {
        "execution_id": optional(uuid_text, "executionId", execution_id),
        "agent_id": optional(agent_text, "agentId", agent_id),
    }
    given = {key: value for key, value in about.items() if value is not None}
    wanted = EventFilter(aggregate, entity_id, tuple({**detail, **given} for detail in details), event_types)
    async with info.context.tail.follow(wanted, after=None if after is strawberry.UNSET else after) as events:
        async for event in events:
            yield payload.of(event)


def uuid_text(argument: str, value: str) -> str:
    """The id as the event log spells it. Raises `InvalidInput`."""
    try:
        return str(UUID(value))
    except ValueError:
        raise InvalidInput(f"{argument} must be a UUID, it is {value[:80]!r}.", argument) from None


def agent_text(argument: str, value: str) -> str:
    """The id of an agent. Raises `InvalidInput`."""
    if not re.fullmatch(AGENT_ID_PATTERN, value):
        raise InvalidInput(
            f"{argument} must be lower-case words joined by hyphens, such as john-pm; it is {value[:80]!r}.", argument
        )
    return value


def optional(parse: Callable[[str, str], str], argument: str, value: Any) -> str | None:
    """What `parse` makes of an argument; None when it was left out or is null."""
    return None if value is None or value is strawberry.UNSET else parse(argument, value)


def _upper(status: str | None) -> str | None:
    return None if status is None else status.upper()
