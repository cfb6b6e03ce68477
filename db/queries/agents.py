"""Agents and their reports."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.agents import agent_reports, agents


async def find_agent(connection: AsyncConnection, agent_id: str) -> Row[Any] | None:
    """The agent's row, or None."""
    return (await connection.execute(select(agents).where(agents.c.agent_id == agent_id))).first()


def known_agent(agent_id: str | None) -> Any:
    """An expression: the id if there is such an agent, else null; for columns that link to one where they can."""
    return select(agents.c.agent_id).where(agents.c.agent_id == agent_id).scalar_subquery()


async def touch_report(connection: AsyncConnection, agent_id: str) -> None:
    """Note that the agent is alive now."""
    statement = upsert(agent_reports).values(agent_id=agent_id)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["agent_id"], set_={"last_activity": func.clock_timestamp()})
    )


# One statement for any number of reports, at most one for each agent. A key is taken when it was observed later than
# the one that is stored; an observation from the future counts as of now. Times are compared as fixed-width UTC text.
MERGE_REPORTS = text(
    """
    WITH given AS (
        SELECT report.agent_id, report.resource_utilization, report.performance_metrics, report.observed, report.actor
        FROM jsonb_to_recordset(:reports) AS report(
            agent_id text, resource_utilization jsonb, performance_metrics jsonb, observed jsonb, actor text)
        JOIN agents USING (agent_id)
    ), clock AS (
        SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS now
    ), capped AS (
        SELECT given.agent_id, given.resource_utilization, given.performance_metrics, given.actor, (
            SELECT coalesce(jsonb_object_agg(key, least(value, clock.now)), '{}')
            FROM jsonb_each_text(given.observed), clock) AS observed
        FROM given
    ), merged AS (
        INSERT INTO agent_reports AS stored
            (agent_id, resource_utilization, performance_metrics, observed, last_activity)
        SELECT agent_id, resource_utilization, performance_metrics, observed, clock_timestamp() FROM capped
        ON CONFLICT (agent_id) DO UPDATE SET
            resource_utilization = stored.resource_utilization || (
                SELECT coalesce(jsonb_object_agg(key, value), '{}')
                FROM jsonb_each(excluded.resource_utilization)
                WHERE coalesce(stored.observed ->> ('resource_utilization.' || key), '')
                    < (excluded.observed ->> ('resource_utilization.' || key))),
            performance_metrics = stored.performance_metrics || (
                SELECT coalesce(jsonb_object_agg(key, value), '{}')
                FROM jsonb_each(excluded.performance_metrics)
                WHERE coalesce(stored.observed ->> ('performance_metrics.' || key), '')
                    < (excluded.observed ->> ('performance_metrics.' || key))),
            observed = stored.observed || (
                SELECT coalesce(jsonb_object_agg(key, value), '{}')
                FROM jsonb_each_text(excluded.observed)
                WHERE coalesce(stored.observed ->> key, '') < value),
            last_activity = excluded.last_activity
        RETURNING agent_id
    ), logged AS (
        INSERT INTO event_log (retention, aggregate, entity_id, event_type, actor, detail)
        SELECT 'report', 'agent', agent_id, 'reported', actor,
            jsonb_build_object('resource_utilization', resource_utilization,
                               'performance_metrics', performance_metrics)
        FROM given
    )
    SELECT agent_id FROM merged
    """
).bindparams(bindparam("reports", type_=JSONB))


async def merge_reports(connection: AsyncConnection, reports: Sequence[dict[str, Any]]) -> set[str]:
    """Merge the reports key by key, the newest observation winning; the agents that are known.

    Each report: agent_id, actor, resource_utilization, performance_metrics (objects), observed (time by
    "section.key").
    """
    result = await connection.execute(MERGE_REPORTS, {"reports": list(reports)})
    return set(result.scalars())
