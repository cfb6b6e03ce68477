"""The same change of many rows at once: one statement for all, with an event each, as in db/queries/changes.py."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Text, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Retention
from db.queries.changes import EVENT_COLUMNS, next_version
from db.queries.entities import Entity
from db.tables.events import event_log


async def lock_all(connection: AsyncConnection, entity: Entity, ids: Sequence[Any]) -> dict[Any, Row[Any]]:
    """The rows of these ids, by id; nobody else changes them until the transaction ends. Locked in the order of ids."""
    statement = (
        select(entity.table)
        .where(entity.key == func.any(literal(list(ids), ARRAY(entity.key.type))))
        .order_by(entity.key)
        .with_for_update(key_share=True)
    )
    return {row._mapping[entity.key_name]: row for row in await connection.execute(statement)}


async def transition_all(
    connection: AsyncConnection,
    entity: Entity,
    rows: Sequence[Row[Any]],
    target: StrEnum,
    event_type: str,
    actor: str,
    *,
    values: Mapping[str, Any] | None = None,
    details: Mapping[str, Mapping[str, Any]],
) -> Sequence[Row[Any]]:
    """Move rows that are locked, and may go there, to `target`; the rows as they are then, in the order of their ids.

    `details` are those of the events, by id as text.
    """
    assert entity.machine is not None  # noqa: S101  (only entities with a machine have transitions)
    assert entity.status_name is not None  # noqa: S101
    table, status = entity.table, entity.table.c[entity.status_name]
    ids = literal([row._mapping[entity.key_name] for row in rows], ARRAY(entity.key.type))
    sources = literal([source.value for source in entity.machine.sources_of(target)], ARRAY(Text))
    before = (
        select(entity.key, status.label("was"))
        .where(entity.key == func.any(ids), status == func.any(sources))
        .cte("before")
    )
    changed = (
        update(table)
        .where(entity.key == before.c[entity.key_name])
        .values(
            **{
                **(values or {}),
                entity.status_name: target.value,
                **next_version(table),
            }
        )
        .returning(*table.c)
        .cte("changed")
    )
    key = changed.c[entity.key_name]
    logged = insert(event_log).from_select(
        EVENT_COLUMNS,
        select(
            changed.c.event_xid,
            literal(Retention.AUDIT.value),
            literal(entity.aggregate.value),
            cast(key, Text),
            literal(event_type),
            before.c.was,
            changed.c[entity.status_name],
            changed.c.version,
            literal(actor),
            literal(details, JSONB).op("->", return_type=JSONB())(cast(key, Text)),
        )
        .join_from(changed, before, key == before.c[entity.key_name])
        .order_by(key),
    )
    statement = select(changed).order_by(key).add_cte(logged.cte("logged"))
    return (await connection.execute(statement)).all()
