"""The task that deletes idempotency keys which are not remembered any more."""

import asyncio

import structlog

from db.failures import DRIVER_ERRORS
from db.queries.access import delete_old_keys
from db.session import Database

BATCH = 1_000
"""Keys in one transaction."""

log = structlog.get_logger(__name__)


async def run_key_upkeep(database: Database, interval: float) -> None:
    """Delete them now and every `interval` seconds, until it is cancelled. Any number of processes may run it."""
    while True:
        try:
            deleted = await sweep_keys(database)
        except DRIVER_ERRORS as error:
            log.warning("old idempotency keys could not be deleted; trying again", error=repr(error), seconds=interval)
        else:
            if deleted:
                log.info("old idempotency keys deleted", keys=deleted)
        await asyncio.sleep(interval)


async def sweep_keys(database: Database) -> int:
    """Delete all that are older than a week, some at a time; how many there were."""
    deleted = 0
    while True:
        found = await database.transact(lambda session: delete_old_keys(session, BATCH), frozenset())
        deleted += found
        if found < BATCH:
            return deleted
