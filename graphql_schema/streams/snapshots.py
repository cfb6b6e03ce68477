"""What is there when a stream begins: told as events of the type `snapshot`, one for each object.

The stream follows the log from before the snapshot is read, so nothing lies between the two; what the snapshot shows
already is left out of what follows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import Text, cast, func

from app.domain.errors import InvalidInput, ResyncRequired
from app.live.cursor import DatabaseIdentity, decode_cursor
from app.live.records import EventRecord
from db.queries.events import Position
from graphql_schema.planner.builder import Builder, object_type
from graphql_schema.planner.entities import Row
from graphql_schema.planner.filters import conditions_of
from graphql_schema.planner.keys import parser_of
from graphql_schema.planner.plan import ReadContext, compile_statement
from graphql_schema.planner.selection import Selection
from graphql_schema.streams.declaring import SNAPSHOT, Narrowing
from graphql_schema.streams.opening import Opening
from graphql_schema.streams.rendering import subject_of

SNAPSHOT_MAX = 10_000
"""Objects."""
UNFINISHED = (0, 1)
"""The place in the log that cursors name before the last of a snapshot: whoever has such a one must start anew."""
HUB = "hub"


@dataclass(frozen=True)
class Snapshot:
    """The objects' ids with their versions, as payloads' events."""

    versions: Mapping[str, int]
    events: Sequence[EventRecord] = field(default=())

    @classmethod
    async def read(cls, opening: Opening, position: Position, database: DatabaseIdentity, context: ReadContext) -> Self:
        """What is there now. Raises `InvalidInput` when it is too much, `Unavailable`."""
        statement = compile_statement(*_rows(opening))
        rows: Sequence[str] = await statement.fetch(context, opening.variables)
        if len(rows) > SNAPSHOT_MAX:
            raise InvalidInput(
                f"The snapshot has more than {SNAPSHOT_MAX} objects. Narrow it by `filter`, or page through the "
                "connection and follow without a snapshot.",
                SNAPSHOT,
            )
        versions = {id_: int(version) for version, id_ in (row.split(" ", 1) for row in rows)}
        unfinished = position._replace(xid=UNFINISHED[0], id=UNFINISHED[1])
        last = len(versions) - 1
        events = [
            _event(opening, database, position if at == last else unfinished, id_, version)
            for at, (id_, version) in enumerate(versions.items())
        ]
        return cls(versions, events)

    def shows(self, event: EventRecord) -> bool:
        """Whether the event's change is part of the snapshot."""
        version = self.versions.get(event.entity_id)
        return version is not None and event.version is not None and event.version <= version


def _rows(opening: Opening) -> tuple[Any, Builder]:
    """The ids and versions of all objects that the stream is about, in the order of their ids."""
    before = opening.build
    selection = Selection(before.selection.schema, before.selection.fragments, before.selection.decisions)
    build = Builder(selection, before.rights, before.entities)
    subject = subject_of(selection.schema, object_type(opening.root))
    if subject is None:
        raise LookupError(f"{opening.root.name} has no subject, so no snapshot")
    type_ = subject.type
    row = build.row(type_)
    narrowings = [each for each in opening.plan.narrowings if opening.given.get(each.argument) is not None]
    conditions = [
        *[_narrowed(build, row, narrowing, opening) for narrowing in narrowings],
        *conditions_of(build, opening.root, (opening.root.key,), type_).on(row),
    ]
    key = row[row.entity.key[0]]
    version = row[row.entity.table.c.version]
    told = func.concat(cast(version, Text), " ", cast(key, Text))
    found = row.source(*conditions).add_columns(told).order_by(key).limit(SNAPSHOT_MAX + 1)
    return func.array(found.correlate_except(*row.own).scalar_subquery()), build


def _narrowed(build: Builder, row: Row, narrowing: Narrowing, opening: Opening) -> Any:
    column = narrowing.column if narrowing.column is not None else row.entity.key[0]
    source = opening.root.argument(narrowing.argument)
    return row[column] == build.bind(source, parser_of(column), column.type)


def _event(
    opening: Opening, database: DatabaseIdentity, position: Position, entity_id: str, version: int
) -> EventRecord:
    aggregate = str(opening.plan.aggregate)
    return EventRecord(database, position, aggregate, entity_id, SNAPSHOT, HUB, None, None, version, {})


def refuse_unfinished(after: str | None) -> None:
    """Raise `ResyncRequired` for a cursor from the midst of a snapshot, and `InvalidInput` for what is no cursor."""
    if after is not None and decode_cursor(after)[1].key == UNFINISHED:
        raise ResyncRequired(
            "The cursor is from the midst of a snapshot, which cannot be gone on with. Subscribe again with "
            "`snapshot: true`, without `after`."
        )
