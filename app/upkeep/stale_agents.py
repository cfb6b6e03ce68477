"""Agents that fell silent: they go offline, and what they held goes back to the others."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import OFFLINE_AFTER, AgentStatus
from app.domain.errors import HubError
from app.domain.principals import SYSTEM
from app.services.tasks import release_tasks_of
from db.failures import DRIVER_ERRORS
from db.queries.changes import transition
from db.queries.entities import AGENT
from db.queries.silence import has_reported_since, keep_watch, may_sweep, silent_agents
from db.session import Database

REASON = f"no report for {OFFLINE_AFTER.total_seconds():.0f} seconds"

BATCH = 25
"""So many agents are given up at most before those that wait for their tasks, and the database, get a pause."""
PACE_SECONDS = 1.0
GAP = timedelta(seconds=20)
"""A break in the watch that is longer than this could have cost agents their reports."""

log = structlog.get_logger(__name__)


class CameBack(Exception):
    """The agent reported while it was being declared offline, so nothing is changed."""


async def run_stale_agents(database: Database, interval: float) -> None:
    """Take silent agents offline now and every `interval` seconds, until it is cancelled.

    Any number of processes may run it: one at a time does the work. A failure is logged, and tried again. After a
    break in which no process of the hub looked (the hub or its database was away) all agents have as long to report
    again as they have at any time, so that the hub's own absence takes no task from an agent that works.
    """
    while True:
        try:
            if await database.transact(lambda session: keep_watch(session, GAP, OFFLINE_AFTER)):
                await sweep_stale_agents(database)
        except (HubError, *DRIVER_ERRORS) as error:
            log.warning("silent agents could not be looked for; trying again", error=repr(error), seconds=interval)
        await asyncio.sleep(interval)


async def sweep_stale_agents(database: Database) -> list[str]:
    """Take every agent offline that has not reported for 90 seconds, and release its tasks; those agents.

    Each agent is a transaction of its own, so that one that cannot be changed does not hold up the others. Many come in
    batches with a pause between; who has reported by the time of its batch is passed over.
    """
    taken: list[str] = []
    silent: list[str] = []
    while True:
        async with database.snapshot() as session:
            silent = await silent_agents(session, OFFLINE_AFTER, silent[-1] if silent else "", BATCH)
        taken += [agent_id for agent_id in silent if await _take_offline(database, agent_id)]
        if len(silent) < BATCH:
            return taken
        await asyncio.sleep(PACE_SECONDS)


async def _take_offline(database: Database, agent_id: str) -> bool:
    async def change(session: AsyncConnection) -> bool:
        if not await may_sweep(session):
            return False
        released = await release_tasks_of(session, [agent_id], SYSTEM.name, REASON)
        detail = {"reason": REASON, "released_tasks": released}
        await transition(session, AGENT, agent_id, AgentStatus.OFFLINE, "status_changed", SYSTEM.name, detail=detail)
        # a claim that was on its way when we began is visible only now that the agent's row is ours
        await release_tasks_of(session, [agent_id], SYSTEM.name, REASON)
        if await has_reported_since(session, agent_id, OFFLINE_AFTER):
            raise CameBack(agent_id)
        return True

    try:
        return await database.transact(change)
    except (CameBack, HubError) as reason:
        log.info("an agent was not taken offline after all", agent_id=agent_id, reason=repr(reason))
        return False
