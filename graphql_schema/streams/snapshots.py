"""What is there when a stream begins: told as events of the type `snapshot`, one for each object.

The stream follows the log from before the snapshot is read, so nothing lies between the two; what the snapshot shows
already is left out of what follows. That can come long after the snapshot: the log is read up to the oldest transaction
that still writes, the snapshot is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import Text, cast, func
from sqlalchemy.dialects.postgresql import ARRAY

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
    """The objects as payloads' events.

    `ahead`: the versions of those whose last change the stream may still come to; `until`: a transaction id from which
    on no change is part of the snapshot.
    """

    events: Sequence[EventRecord] = ()
    ahead: Mapping[str, int] = field(default_factory=dict)
    until: int = 0

    @classmethod
    async def read(cls, opening: Opening, position: Position, database: DatabaseIdentity, context: ReadContext) -> Self:
        """What is there now. Raises `InvalidInput` when it is too much, `Unavailable`."""
        statement = compile_statement(*_rows(opening))
        until, *rows = await statement.fetch(context, opening.variables)
        if len(rows) > SNAPSHOT_MAX:
            raise InvalidInput(
                f"The snapshot has more than {SNAPSHOT_MAX} objects. Narrow it by `filter`, or page through the "
                "connection and follow without a snapshot.",
                SNAPSHOT,
            )
        found = [(int(version), int(xid), id_) for version, xid, id_ in (row.split(" ", 2) for row in rows)]
        unfinished = position._replace(xid=UNFINISHED[0], id=UNFINISHED[1])
        last = len(found) - 1
        events = [
            _event(opening, database, position if at == last else unfinished, id_, version)
            for at, (version, _, id_) in enumerate(found)
        ]
        ahead = {id_: version for version, xid, id_ in found if xid >= position.xid}
        return cls(events, ahead, int(until))

    def shows(self, event: EventRecord) -> bool:
        """Whether the event's change is part of the snapshot."""
        version = self.ahead.get(event.entity_id)
        return version is not None and event.version is not None and event.version <= version

    def is_behind(self, key: tuple[int, int]) -> bool:
        """Whether nothing from this place in the log on is part of the snapshot."""
        return not self.ahead or key[0] >= self.until


def _rows(opening: Opening) -> tuple[Any, Builder]:
    """The first transaction id that had not been given out; then of all objects that the stream is about, in the order
    of their ids: the version, the transaction of its last event, and the id.
    """
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
    columns = row.entity.table.c
    told = func.concat_ws(" ", cast(row[columns.version], Text), cast(row[columns.event_xid], Text), cast(key, Text))
    found = row.source(*conditions).add_columns(told).order_by(key).limit(SNAPSHOT_MAX + 1)
    objects = func.array(found.correlate_except(*row.own).scalar_subquery(), type_=ARRAY(Text))
    return func.array_prepend(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), objects), build


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
