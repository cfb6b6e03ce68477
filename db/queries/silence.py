"""Agents that have not reported for long, by the database's clock."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Interval, Text, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import ONLINE
from db.tables.agents import agent_reports, agents

SWEEP_LOCK = 0x687562736C6E74
"""Key of the advisory lock ("hubslnt") that lets one process at a time look for silent agents."""


async def may_sweep(connection: AsyncConnection) -> bool:
    """Take the lock for the rest of the transaction; False when another process has it."""
    return bool((await connection.execute(select(func.pg_try_advisory_xact_lock(SWEEP_LOCK)))).scalar())


async def silent_agents(connection: AsyncConnection, after: timedelta) -> list[str]:
    """The agents that are online though they last reported longer ago than `after`, by id."""
    last_seen = func.coalesce(agent_reports.c.last_activity, agents.c.updated_at)
    statement = (
        select(agents.c.agent_id)
        .outerjoin(agent_reports, agent_reports.c.agent_id == agents.c.agent_id)
        .where(agents.c.status == func.any(literal([status.value for status in ONLINE], ARRAY(Text))))
        .where(last_seen < _ago(after))
        .order_by(agents.c.agent_id)
    )
    return list((await connection.execute(statement)).scalars())


async def has_reported_since(connection: AsyncConnection, agent_id: str, after: timedelta) -> bool:
    """Whether the agent reported within `after`; a report that comes later waits until the transaction ends."""
    statement = select(agent_reports.c.last_activity >= _ago(after)).where(agent_reports.c.agent_id == agent_id)
    return bool((await connection.execute(statement.with_for_update(key_share=True))).scalar())


def _ago(after: timedelta) -> Any:
    return func.clock_timestamp() - literal(after, Interval)
