"""The payloads of subscriptions: each tells one event, with its cursor, and shows what the event is about.

A field of a payload is either told by the event itself, or is the event's subject: the entity, planned like a read.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from app.live.records import EventRecord
from graphql_schema.planner.entities import SUBJECT_TYPE
from graphql_schema.scalars import JSON, Cursor

TOLD = "told"
"""The entry of a field's metadata with the function that reads its value from the event, ready for JSON."""
SUBJECT = "subject"
"""The entry of a field's metadata with the function that reads the entity's id from the event."""

Told = Callable[[EventRecord], Any]


def told(read: Told, *, description: str) -> Any:
    """A field whose value the event tells, as its JSON form."""
    return _field(description, {TOLD: read})


def subject(type_name: str, read: Callable[[EventRecord], str] | None = None, *, description: str) -> Any:
    """The field that shows what the event is about: an entity of the GraphQL type `type_name`, null when it is gone.

    `read` takes its id from the event; by default it is the event's entity.
    """
    return _field(description, {SUBJECT: read or _entity_id, SUBJECT_TYPE: type_name})


def _field(description: str, metadata: dict[str, Any]) -> StrawberryField:
    made = StrawberryField(description=description, metadata=metadata)
    made.init = made.repr = made.compare = False
    return made


def _entity_id(event: EventRecord) -> str:
    return event.entity_id


def _upper(status: str | None) -> str | None:
    return None if status is None else status.upper()


@strawberry.type
class Change:
    """The fields of every payload. Not a type of the API by itself."""

    cursor: Cursor = told(
        lambda event: event.cursor,
        description="Where to go on after this event: pass it as `after`. Later events have greater cursors, "
        "compared as strings.",
    )
    event_type: str = told(
        lambda event: event.event_type, description="What happened, a past participle such as `claimed`."
    )
    occurred_at: datetime = told(
        lambda event: event.occurred_at.isoformat(), description="When the transaction of the event began."
    )
    actor: str = told(lambda event: event.actor, description="Who did it: the name of a token, an agent, or `hub`.")
    from_status: str | None = told(
        lambda event: _upper(event.from_status), description="The status before, where the event changed it."
    )
    to_status: str | None = told(
        lambda event: _upper(event.to_status), description="The status after; null where there is no status."
    )
    version: int | None = told(
        lambda event: event.version,
        description="The entity's version after the event; null for a report, which changes no version.",
    )
    detail: JSON = told(lambda event: event.detail, description="What else the event tells, by its type; an object.")
