"""The language of subscriptions: which events a stream tells, and by which arguments it is narrowed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import Column
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from app.domain.agents import AGENT_ID_PATTERN
from app.domain.errors import InvalidInput
from app.domain.events import Aggregate
from app.live.records import ANY_DETAIL, EventFilter, EventRecord
from graphql_schema.planner.builder import Rights
from graphql_schema.planner.entities import STREAM
from graphql_schema.planner.fields import argument
from graphql_schema.scalars import Cursor

AFTER = "after"
SNAPSHOT = "snapshot"
MIN_INTERVAL = "minInterval"
INTERVAL_MAX = 60_000
"""Milliseconds."""

Details = Sequence[Mapping[str, str | None]]
Keeps = Callable[[EventRecord], bool]
"""Which of the wanted events are told; judged once a stream."""


@dataclass(frozen=True)
class Narrowing:
    """An argument that names whose events to tell: `parse` reads it, or raises `InvalidInput`.

    The named one is the event's entity, or with `details` at least one of what that makes of it is part of the event's
    detail. `column` is where a row of the subject names the same, for the snapshot.
    """

    argument: str
    parse: Callable[[str, str], str]
    description: str
    column: Column[Any] | None = None
    details: Callable[[str], Details] | None = None


@dataclass(frozen=True)
class StreamPlan:
    """Which events a subscription tells.

    `snapshots` says that the stream can begin with what is there; `merges` that of several events of one entity the
    latest may stand for all: of one entity, or of those whose detail `merged_by` is equal, whose subjects' figures the
    payload's field `merged` then tells together. `least_interval`, in seconds, holds where none is asked for.
    """

    aggregate: Aggregate | None
    narrowings: tuple[Narrowing, ...] = ()
    event_types: frozenset[str] | None = None
    snapshots: bool = True
    merges: bool = True
    least_interval: float = 0.0
    merged_by: str | None = None
    arguments: tuple[StrawberryArgument, ...] = ()

    def keeps(self, given: Mapping[str, Any], rights: Rights) -> Keeps:
        """Which of the wanted events are told to whom has these rights."""
        return lambda _event: True

    def merge_key(self, event: EventRecord) -> str:
        """What the latest event stands for."""
        return event.entity_id if self.merged_by is None else str(event.detail.get(self.merged_by))

    def wanted(self, given: Mapping[str, Any]) -> EventFilter:
        """The events that the arguments ask for. Raises `InvalidInput`."""
        entity_id, details = None, list(ANY_DETAIL)
        for narrowing in self.narrowings:
            value = given.get(narrowing.argument)
            if value is None:
                continue
            name = narrowing.parse(narrowing.argument, str(value))
            if narrowing.details is None:
                entity_id = name
            else:
                details = [{**one, **other} for one in details for other in narrowing.details(name)]
        return EventFilter(self.aggregate, entity_id, tuple(details), self.event_types)


class StreamField(StrawberryField):
    """A field of Subscription; streams answer it, never graphql-core."""

    @property
    def is_basic_field(self) -> bool:
        return False

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: Any) -> Any:
        """Raise: what runs operations must hand subscriptions to the streams."""
        raise LookupError("subscriptions are answered by graphql_schema.streams")


def stream(plan: StreamPlan, *, description: str) -> Any:
    """A subscription with this plan; its type is the payload's."""
    made = StreamField(is_subscription=True, description=description, metadata={STREAM: plan})
    made.init = made.repr = made.compare = False
    made.arguments = [
        *[argument(_snake(each.argument), strawberry.ID | None, each.description) for each in plan.narrowings],
        *plan.arguments,
        *_common(plan),
    ]
    return made


def _common(plan: StreamPlan) -> list[StrawberryArgument]:
    resumed = argument(
        AFTER,
        Cursor | None,
        "The `cursor` of the last payload that you have: first comes all that happened since, then what happens, each "
        "once. Without it the stream begins now. A cursor that cannot be resumed ends the subscription with the error "
        "RESYNC_REQUIRED: read the state anew, then follow without `after`.",
    )
    interval = argument(
        _snake(MIN_INTERVAL),
        int | None,
        "Milliseconds between two payloads of one entity at least, up to 60,000: of what happens meanwhile only the "
        "latest is told. Without it every event is told.",
    )
    snapshot = argument(
        SNAPSHOT,
        bool | None,
        "Whether the stream begins with what is there now: a payload of the type `snapshot` for each object, then the "
        "changes since, without a gap. Has no effect together with `after`.",
    )
    return [resumed, *([interval] if plan.merges else []), *([snapshot] if plan.snapshots else [])]


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


def told_as(detail: str) -> Callable[[str], Details]:
    """Narrows to events whose detail has the given value under this key."""
    return lambda value: ({detail: value},)


def of_execution(description: str, column: Column[Any] | None = None) -> Narrowing:
    """The argument `executionId`."""
    return Narrowing("executionId", uuid_text, description, column, told_as("execution_id"))


def of_agent(description: str, column: Column[Any] | None = None) -> Narrowing:
    """The argument `agentId`."""
    return Narrowing("agentId", agent_text, description, column, told_as("agent_id"))


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda found: "_" + found[1].lower(), name)
