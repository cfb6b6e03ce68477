"""Writing events and collecting them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Retention
from app.live.records import EventRecord
from db.session import Database
from db.tables.events import event_log

EVERYTHING_TAKES = 20.0
"""Seconds after which a test that waits for events has failed."""


async def write_in(
    session: AsyncConnection,
    entity_id: str,
    aggregate: Aggregate = Aggregate.TASK,
    detail: Mapping[str, Any] | None = None,
    event_type: str = "created",
) -> None:
    """One event, in a transaction of the caller's; nothing of that id needs to be there."""
    values = {"retention": Retention.AUDIT.value, "aggregate": aggregate.value, "entity_id": entity_id}
    values |= {"event_type": event_type, "actor": "test"}
    await session.execute(insert(event_log).values(**values, detail=dict(detail or {})))


async def write(
    database: Database,
    *entity_ids: str,
    aggregate: Aggregate = Aggregate.TASK,
    detail: Mapping[str, Any] | None = None,
    event_type: str = "created",
) -> None:
    """One event for each id, each in a transaction of its own."""
    for entity_id in entity_ids:

        async def work(session: AsyncConnection, entity_id: str = entity_id) -> None:
            await write_in(session, entity_id, aggregate, detail, event_type)

        await database.transact(work)


async def take(events: AsyncIterator[EventRecord], number: int) -> list[EventRecord]:
    """The next events, so many; the test fails when they do not come."""
    taken: list[EventRecord] = []
    async with asyncio.timeout(EVERYTHING_TAKES):
        while len(taken) < number:
            taken.append(await anext(events))
    return taken


async def ids(events: AsyncIterator[EventRecord], number: int) -> list[str]:
    """The entity ids of the next events."""
    return [event.entity_id for event in await take(events, number)]


async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return once it holds; the test fails when it never does."""
    async with asyncio.timeout(EVERYTHING_TAKES):
        while True:
            verdict = holds()
            if verdict if isinstance(verdict, bool) else await verdict:
                return
            await asyncio.sleep(0.02)


async def nothing_comes(events: AsyncIterator[EventRecord], seconds: float) -> bool:
    """Whether no event comes for so long."""
    try:
        async with asyncio.timeout(seconds):
            await anext(events)
    except TimeoutError:
        return True
    return False
