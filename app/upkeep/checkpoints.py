"""The task that forgets LangGraph's checkpoints of executions that ended long ago.

Rows say how an execution went, and a retry begins anew from them: of one that has ended no checkpoint is needed. The
last is kept for a while, for whoever looks with LangGraph's own tools at what happened.
"""

import asyncio

import structlog

from app.domain.errors import HubError
from db.failures import DRIVER_ERRORS
from db.queries.checkpoints import forget
from db.session import Database

KEPT_HOURS = 24
BATCH = 500
"""Executions in one transaction, which so takes some milliseconds."""

log = structlog.get_logger(__name__)


async def run_checkpoint_upkeep(database: Database, interval: float) -> None:
    """Forget old checkpoints now and every `interval` seconds, until it is cancelled.

    Any number of processes may run it: what one has deleted another no longer finds.
    """
    while True:
        try:
            count = await forget_checkpoints(database, KEPT_HOURS)
        except (HubError, *DRIVER_ERRORS) as error:
            log.warning("old checkpoints could not be deleted; trying again", error=repr(error), seconds=interval)
        else:
            if count:
                log.info("checkpoints of old executions deleted", executions=count)
        await asyncio.sleep(interval)


async def forget_checkpoints(database: Database, after_hours: int) -> int:
    """Forget those of executions that ended more than so many hours ago; of how many that was."""
    total = 0
    while True:
        count = await database.transact(lambda session: forget(session, after_hours, BATCH), frozenset())
        total += count
        if count < BATCH:
            return total
