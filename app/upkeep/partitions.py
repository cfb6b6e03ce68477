"""The task that keeps partitions made ahead of the clock."""

import asyncio

import structlog

from db.failures import DRIVER_ERRORS
from db.partitions import make_partitions_unless_busy
from db.session import Database

log = structlog.get_logger(__name__)


async def run_partition_upkeep(database: Database, interval: float) -> None:
    """Make missing partitions now and every `interval` seconds, until it is cancelled.

    Any number of processes may run it: whoever finds another at it leaves it to that one. A failure is logged and tried
    again after the interval; the partitions reach days ahead, so there is time to mend what is wrong.
    """
    while True:
        try:
            made = await make_partitions_unless_busy(database)
        except DRIVER_ERRORS as error:
            log.warning("partitions could not be made; trying again", error=str(error), seconds=interval)
        else:
            if made:
                log.info("partitions made", partitions=made)
        await asyncio.sleep(interval)
