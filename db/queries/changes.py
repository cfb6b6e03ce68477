"""Changes of entities: each is one statement that changes the row and writes its event, so neither exists alone."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import NotFound, StaleVersion
from app.domain.events import Aggregate, Event, Retention
from db.queries.entities import BY_AGGREGATE, Entity
from db.tables.base import Xid8
from db.tables.events import event_log

EVENT_COLUMNS = (
    "xid",
    "retention",
    "aggregate",
    "entity_id",
    "event_type",
    "from_status",
    "to_status",
    "version",
    "actor",
    "detail",
)


async def read(connection: AsyncConnection, entity: Entity, entity_id: Any, *, lock: bool = False) -> Row[Any]:
    """The entity's row; with `lock` no one else changes it until the transaction ends. Raises `NotFound`."""
    statement: Select[Any] = select(entity.table).where(entity.key == entity_id)
    chosen = statement.with_for_update(key_share=True) if lock else statement
    row: Row[Any] | None = (await connection.execute(chosen)).first()
    if row is None:
        raise NotFound(entity.kind, entity_id, f"input.{entity.argument}")
    return row


async def create(
    connection: AsyncConnection,
    entity: Entity,
    values: Mapping[str, Any],
    event_type: str,
    actor: str,
    detail: Mapping[str, Any] | None = None,
) -> Row[Any]:
    """Insert a row with its first event, and return the row."""
    columns = {name: value for name, value in values.items() if isinstance(value, ClauseElement)}
    given = {f"new_{name}": value for name, value in values.items() if name not in columns}
    known = _creation if not columns else _creation.__wrapped__
    statement = known(entity, tuple(given), tuple(columns.items()))
    told = {"told_type": event_type, "told_actor": actor, "told_detail": dict(detail or {})}
    created: Row[Any] = (await connection.execute(statement, {**given, **told})).one()
    return created


@lru_cache(maxsize=100)
def _creation(entity: Entity, given: tuple[str, ...], columns: tuple[tuple[str, Any], ...]) -> Select[Any]:
    """The statement for these columns, whose building costs more than its execution: bound values, and expressions."""
    names = [name.removeprefix("new_") for name in given]
    bound = {name: bindparam(f"new_{name}", type_=entity.table.c[name].type) for name in names}
    changed = insert(entity.table).values(**bound, **dict(columns)).returning(*entity.table.c).cte("changed")
    event = _event(
        entity,
        changed,
        bindparam("told_type", type_=Text),
        bindparam("told_actor", type_=Text),
        bindparam("told_detail", type_=JSONB),
        from_status=None,
    )
    logged = insert(event_log).from_select(EVENT_COLUMNS, event)
    return select(changed).add_cte(logged.cte("logged"))


async def transition(
    connection: AsyncConnection,
    entity: Entity,
    entity_id: Any,
    target: StrEnum,
    event_type: str,
    actor: str,
    *,
    expected_version: int | None = None,
    values: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Row[Any]:
    """Compare-and-set the status to `target`, write the event, return the row as it is now.

    Raises `NotFound`, `StaleVersion` or `IllegalTransition`; nothing is written then.
    """
    assert entity.machine is not None  # noqa: S101  (only entities with a machine have transitions)
    assert entity.status_name is not None  # noqa: S101
    status = entity.table.c[entity.status_name]
    sources = [source.value for source in entity.machine.sources_of(target)]
    statement = _change(
        entity,
        entity_id,
        status == func.any(literal(sources, type_=ARRAY(Text))),
        event_type,
        actor,
        expected_version,
        {entity.status_name: target.value, **(values or {})},
        detail,
    )
    return await _apply(connection, statement, entity, entity_id, expected_version, target)


async def amend(
    connection: AsyncConnection,
    entity: Entity,
    entity_id: Any,
    event_type: str,
    actor: str,
    *,
    expected_version: int | None = None,
    values: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> Row[Any]:
    """Change columns other than the status, with an event. Raises `NotFound` or `StaleVersion`."""
    statement = _change(entity, entity_id, true(), event_type, actor, expected_version, values, detail)
    return await _apply(connection, statement, entity, entity_id, expected_version, None)


async def append(connection: AsyncConnection, entity_id: str, event: Event) -> None:
    """Write an event that belongs to no change of a versioned row: a step, an error, a report.

    It stands behind the last change of its entity that this transaction can see; all of them, where it holds the row.
    """
    await connection.execute(
        insert(event_log).values(
            xid=next_xid(_last_xid(event.aggregate, entity_id)),
            retention=event.retention.value,
            aggregate=event.aggregate.value,
            entity_id=entity_id,
            event_type=event.type,
            from_status=event.from_status,
            to_status=event.to_status,
            actor=event.actor,
            detail=dict(event.detail),
        )
    )


def _last_xid(aggregate: Aggregate, entity_id: str) -> ColumnElement[int]:
    """The `event_xid` of an entity's row; NULL where there is none."""
    entity = BY_AGGREGATE.get(aggregate)
    if entity is None:
        return cast(null(), Xid8())
    row = select(entity.table.c.event_xid).where(entity.key == cast(literal(entity_id, Text), entity.key.type))
    return row.scalar_subquery()


def next_version(table: Table) -> dict[str, Any]:
    """The columns that every change of a versioned row moves on.

    They are computed once the row's lock is held, on the row as whoever had the lock before has left it.
    """
    return {
        "version": table.c.version + 1,
        "updated_at": func.clock_timestamp(),
        "event_xid": next_xid(table.c.event_xid),
    }


def next_xid(last: ColumnElement[int]) -> ColumnElement[int]:
    """The `xid` of an event that must not stand before the entity's last one.

    It is this transaction's id at least, so whoever waits until the events below an id are settled waits for this one.
    """
    return func.greatest(func.pg_current_xact_id(), last, type_=Xid8())


def _change(
    entity: Entity,
    entity_id: Any,
    condition: ColumnElement[bool],
    event_type: str,
    actor: str,
    expected_version: int | None,
    values: Mapping[str, Any],
    detail: Mapping[str, Any] | None,
) -> Select[Any]:
    """Lock, compare, set and log in one statement, which returns no row when the comparison fails."""
    table = entity.table
    matches = [entity.key == entity_id, condition]
    if expected_version is not None:
        matches.append(table.c.version == expected_version)
    before = (
        select(entity.key, *_status(entity, table)).where(and_(*matches)).with_for_update(key_share=True).cte("before")
    )
    changed = (
        update(table)
        .where(entity.key == before.c[entity.key_name])
        .values(**{**values, **next_version(table)})
        .returning(*table.c)
        .cte("changed")
    )
    from_status = select(before.c[entity.status_name]).scalar_subquery() if entity.status_name else None
    event = _event(
        entity,
        changed,
        literal(event_type),
        literal(actor),
        literal(dict(detail or {}), JSONB),
        from_status=from_status,
    )
    logged = insert(event_log).from_select(EVENT_COLUMNS, event)
    return select(changed).add_cte(logged.cte("logged"))


def _event(
    entity: Entity,
    changed: Any,
    event_type: ColumnElement[str],
    actor: ColumnElement[str],
    detail: ColumnElement[Any],
    *,
    from_status: Any,
) -> Select[Any]:
    return select(
        changed.c.event_xid,
        literal(Retention.AUDIT.value),
        literal(entity.aggregate.value),
        cast(changed.c[entity.key_name], Text),
        event_type,
        from_status if from_status is not None else literal(None, Text),
        changed.c[entity.status_name] if entity.status_name else literal(None, Text),
        changed.c.version,
        actor,
        detail,
    )


def _status(entity: Entity, table: Any) -> list[Any]:
    return [table.c[entity.status_name]] if entity.status_name else []


async def _apply(
    connection: AsyncConnection,
    statement: Select[Any],
    entity: Entity,
    entity_id: Any,
    expected_version: int | None,
    target: StrEnum | None,
) -> Row[Any]:
    """Run a change; where it changed nothing, raise the error that says why."""
    row: Row[Any] | None = (await connection.execute(statement)).first()
    if row is not None:
        return row
    current = await read(connection, entity, entity_id, lock=True)
    if expected_version is not None and current.version != expected_version:
        raise StaleVersion(entity.kind, entity_id, expected_version, current.version)
    if target is not None and entity.machine is not None and entity.status_name is not None:
        entity.machine.require(type(target)(current._mapping[entity.status_name]), target)
    # somebody made it possible after we had compared; the row is ours now, so this time it holds
    changed: Row[Any] = (await connection.execute(statement)).one()
    return changed
