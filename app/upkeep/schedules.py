"""The task that starts what schedules are due for."""

import asyncio

import structlog

from app.services.schedules import fire_if_due
from db.failures import DRIVER_ERRORS
from db.queries.schedules import due
from db.session import Database

AT_ONCE = 100
"""Schedules that are looked at in one go."""

log = structlog.get_logger(__name__)


async def run_schedules(database: Database, interval: float) -> None:
    """Start what is due now and every `interval` seconds, until it is cancelled.

    Any number of processes may run it: each schedule that is due is one process's, by its row's lock. A failure is
    logged, and tried again.
    """
    while True:
        try:
            fired = await fire_due(database)
        except (OSError, TimeoutError, *DRIVER_ERRORS) as error:
            log.warning("schedules could not be looked at; trying again", error=repr(error), seconds=interval)
            fired = 0
        # who is behind with many runs goes on at once
        await asyncio.sleep(0 if fired else interval)


async def fire_due(database: Database) -> int:
    """Fire each schedule that is due once; how many that were. One that cannot be fired holds up no other."""
    async with database.snapshot() as session:
        schedules = await due(session, AT_ONCE)
    fired = 0
    for schedule_id in schedules:
        try:
            fired += await database.transact(lambda session: fire_if_due(session, schedule_id))  # noqa: B023
        except Exception:
            log.exception("a schedule could not be fired; trying again", schedule_id=str(schedule_id))
    return fired
