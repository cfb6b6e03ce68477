"""Agents that have not reported for long, by the database's clock."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Interval, Text, case, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import ONLINE
from db.tables.agents import agent_reports, agents
from db.tables.upkeep import upkeep

SWEEP_LOCK = 0x687562736C6E74
"""Key of the advisory lock ("hubslnt") that lets one process at a time look for silent agents."""


async def may_sweep(connection: AsyncConnection) -> bool:
    """Take the lock for the rest of the transaction; False when another process has it."""
    return bool((await connection.execute(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK)))).scalar())


async def keep_watch(connection: AsyncConnection, gap: timedelta, after: timedelta) -> bool:
    """Note that somebody looks now; whether the hub has watched for `after` without a break longer than `gap`.

    What agents could not say while nobody was there to hear it is no silence of theirs.
    """
    now = func.clock_timestamp()
    broken = upkeep.c.looked_at < _ago(gap)
    statement = upsert(upkeep).values(name="silent agents", watched_since=now, looked_at=now)
    changed = {"watched_since": case((broken, now), else_=upkeep.c.watched_since), "looked_at": now}
    noted = statement.on_conflict_do_update(index_elements=["name"], set_=changed)
    return bool((await connection.execute(noted.returning(upkeep.c.watched_since <= _ago(after)))).scalar())


async def silent_agents(connection: AsyncConnection, after: timedelta, behind: str, most: int) -> list[str]:
    """The agents that are online though they last reported longer ago than `after`, by id: `most`, those `behind` one.

    `behind` is an agent's id, or empty for the first.
    """
    last_seen = func.coalesce(agent_reports.c.last_activity, agents.c.updated_at)
    statement = (
        select(agents.c.agent_id)
        .outerjoin(agent_reports, agent_reports.c.agent_id == agents.c.agent_id)
        .where(agents.c.status == func.any(literal([status.value for status in ONLINE], ARRAY(Text))))
        .where(last_seen < _ago(after), agents.c.agent_id > behind)
        .order_by(agents.c.agent_id)
        .limit(most)
    )
    return list((await connection.execute(statement)).scalars())


async def has_reported_since(connection: AsyncConnection, agent_id: str, after: timedelta) -> bool:
    """Whether the agent reported within `after`; a report that comes later waits until the transaction ends."""
    statement = select(agent_reports.c.last_activity >= _ago(after)).where(agent_reports.c.agent_id == agent_id)
    return bool((await connection.execute(statement.with_for_update(key_share=True))).scalar())


def _ago(after: timedelta) -> Any:
    return func.clock_timestamp() - literal(after, Interval)
