"""Gates whose verdict is overdue: a human is told, and the gate goes on waiting."""

import asyncio
from uuid import UUID

import structlog

from app.domain.errors import HubError
from app.services.gate_changes import escalate_overdue
from db.failures import DRIVER_ERRORS
from db.queries.quality_gates import overdue
from db.session import Database

AT_ONCE = 100
"""Gates of one sweep; the rest follow in the next."""

log = structlog.get_logger(__name__)


async def run_overdue_gates(database: Database, interval: float) -> None:
    """Escalate overdue gates now and every `interval` seconds, until it is cancelled.

    Any number of processes may run it: each gate is escalated once. A failure is logged, and tried again.
    """
    while True:
        try:
            await sweep_overdue_gates(database)
        except (HubError, *DRIVER_ERRORS) as error:
            log.warning("overdue gates could not be looked for; trying again", error=repr(error), seconds=interval)
        await asyncio.sleep(interval)


async def sweep_overdue_gates(database: Database) -> list[UUID]:
    """Escalate every gate whose verdict is overdue, each in a transaction of its own; those gates."""
    async with database.snapshot() as session:
        late = await overdue(session, AT_ONCE)
    return [gate_id for gate_id in late if await _escalate(database, gate_id)]


async def _escalate(database: Database, gate_id: UUID) -> bool:
    return await database.transact(lambda session: escalate_overdue(session, gate_id)) is not None
