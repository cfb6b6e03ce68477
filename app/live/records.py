"""Events as those who follow the log see them, and the choice of which of them to see."""

import contextlib
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import structlog

from app.domain.events import Aggregate
from app.live.cursor import DatabaseIdentity, encode_cursor
from db.queries.events import Position

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EventRecord:
    """One event of the log. `aggregate` may be a word that this version of the hub does not know."""

    database: DatabaseIdentity
    position: Position
    aggregate: str
    entity_id: str
    event_type: str
    actor: str
    from_status: str | None
    to_status: str | None
    version: int | None
    detail: Mapping[str, Any]

    @functools.cached_property
    def cursor(self) -> str:
        """Where to go on after this event."""
        return encode_cursor(self.database, self.position)

    @property
    def occurred_at(self) -> datetime:
        """When the event's transaction began."""
        return self.position.created_at


ANY_DETAIL: tuple[Mapping[str, str | None], ...] = ({},)
"""Whatever an event tells, the empty object is part of it."""


@dataclass(frozen=True)
class EventFilter:
    """Which events to follow: of one aggregate, one entity of it, of these types; all by default.

    Of `details` at least one is part of the event's detail: its keys are there, with its values.
    """

    aggregate: Aggregate | None = None
    entity_id: str | None = None
    details: tuple[Mapping[str, str | None], ...] = ANY_DETAIL
    event_types: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.aggregate is None and (self.entity_id, self.details, self.event_types) != (None, ANY_DETAIL, None):
            raise ValueError("an entity, a detail or a type can only be followed within an aggregate")

    @property
    def details_json(self) -> list[str]:
        """The wanted parts of the detail as JSON texts."""
        return [orjson.dumps(dict(detail)).decode() for detail in self.details]

    def matches(self, event: EventRecord) -> bool:
        """Whether the event is one of those; the same judgement as that of `read_after` in SQL."""
        return (
            (self.aggregate is None or event.aggregate == self.aggregate)
            and (self.entity_id is None or event.entity_id == self.entity_id)
            and (self.event_types is None or event.event_type in self.event_types)
            and any(detail.items() <= event.detail.items() for detail in self.details)
        )


def event_record(database: DatabaseIdentity, row: asyncpg.Record) -> EventRecord:
    """The event in a row of `read_after`."""
    return EventRecord(
        database=database,
        position=Position(row["xid"], row["id"], row["created_at"]),
        aggregate=row["aggregate"],
        entity_id=row["entity_id"],
        event_type=row["event_type"],
        actor=row["actor"],
        from_status=row["from_status"],
        to_status=row["to_status"],
        version=row["version"],
        detail=_detail(row),
    )


def _detail(row: asyncpg.Record) -> Mapping[str, Any]:
    """The event's detail; PostgreSQL keeps numbers that no float holds, and one such event must not hold up the log."""
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(row["detail"])  # type: ignore[no-any-return]  # an object
    try:
        return json.loads(row["detail"], parse_int=_integer)  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        log.warning("an event's detail cannot be read, it is told without", event_id=row["id"], error=repr(error))
        return {}


def _integer(digits: str) -> int | float:
    """An integer as the other parser has it: exact as far as 64 bits go, else a float."""
    return int(digits) if len(digits) < len(str(2**63)) else float(digits)
