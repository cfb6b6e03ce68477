"""Metrics: bulk insert with an event each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Column, bindparam, exists, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Retention
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.metrics import resource_metrics
from db.tables.workflows import workflow_executions


async def now(connection: AsyncConnection) -> datetime:
    """The hub's clock, which is PostgreSQL's."""
    clock: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return clock


class Missing(NamedTuple):
    """Those of the ids that name nothing."""

    agents: set[str]
    executions: set[UUID]


def _absent(column: Column[Any], ids: str) -> Any:
    """An expression: the array of those of the bound ids that are not in the column."""
    wanted = func.unnest(bindparam(ids, type_=ARRAY(column.type))).table_valued("id").render_derived(name="wanted")
    known = exists().where(column == wanted.c.id)
    return func.array(select(wanted.c.id).where(~known).scalar_subquery(), type_=ARRAY(column.type)).label(ids)


MISSING = select(_absent(agents.c.agent_id, "agents"), _absent(workflow_executions.c.execution_id, "executions"))


async def missing_subjects(
    connection: AsyncConnection, agent_ids: Collection[str], execution_ids: Collection[UUID]
) -> Missing:
    """Which of the ids name no agent, or no execution; in one statement."""
    if not agent_ids and not execution_ids:
        return Missing(set(), set())
    given = {"agents": sorted(agent_ids), "executions": sorted(execution_ids)}
    row = (await connection.execute(MISSING, given)).one()
    return Missing(set(row.agents), set(row.executions))


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
