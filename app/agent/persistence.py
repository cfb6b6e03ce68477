"""Saying a thing until the hub has heard it, through cuts of the network."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from app.client.backoff import Backoff
from app.client.errors import HubUnreachable

Said = TypeVar("Said")


async def persist(say: Callable[[], Awaitable[Said]], stopping: asyncio.Event, log: FilteringBoundLogger) -> Said:
    """What `say` returns; while the hub is not reachable it is said again, with growing pauses.

    It must be repeatable (an idempotency key, or a read). Once `stopping` is set it is tried one last time, and then
    `HubUnreachable` is raised.
    """
    backoff = Backoff()
    while True:
        last = stopping.is_set()
        try:
            return await say()
        except HubUnreachable as error:
            if last:
                raise
            log.warning("hub not reachable, trying again", reason=str(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(backoff.delay()):
                await stopping.wait()
