"""Metrics: bulk insert with an event each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Retention
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.metrics import resource_metrics


async def now(connection: AsyncConnection) -> datetime:
    """The hub's clock, which is PostgreSQL's."""
    clock: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return clock


async def missing_agents(connection: AsyncConnection, agent_ids: Collection[str]) -> set[str]:
    """Those of the ids that name no agent."""
    if not agent_ids:
        return set()
    known = select(agents.c.agent_id).where(agents.c.agent_id == func.any(literal(sorted(agent_ids), ARRAY(Text))))
    return set(agent_ids) - set((await connection.execute(known)).scalars())


async def insert_metrics(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], actor: str) -> None:
    """Insert the measurements and one short-lived event for each."""
    await connection.execute(insert(resource_metrics), [dict(row) for row in rows])
    await connection.execute(insert(event_log), [_event(row, actor) for row in rows])


def _event(row: Mapping[str, Any], actor: str) -> dict[str, Any]:
    execution_id = row["execution_id"]
    return {
        "retention": Retention.REPORT.value,
        "aggregate": Aggregate.METRICS.value,
        "entity_id": str(row["metric_id"]),
        "event_type": "recorded",
        "actor": actor,
        "detail": {
            "agent_id": row["agent_id"],
            "execution_id": str(execution_id) if execution_id else None,
            "measurement_time": row["measurement_time"].isoformat(),
            "alert_level": row["alert_level"],
        },
    }
