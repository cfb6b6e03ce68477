"""Agents and their reports."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Integer, Interval, Text, bindparam, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import OBSERVED_WITHIN
from app.domain.json_schemas import KEYS_MAX
from db.tables.agents import agent_messages, agent_reports, agents


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


async def unknown_agents(connection: AsyncConnection, agent_ids: Collection[str]) -> set[str]:
    """Those of the ids that name no agent."""
    if not agent_ids:
        return set()
    known = select(agents.c.agent_id).where(agents.c.agent_id == func.any(literal(sorted(agent_ids), ARRAY(Text))))
    return set(agent_ids) - set((await connection.execute(known)).scalars())


async def insert_message(connection: AsyncConnection, values: Mapping[str, Any]) -> Row[Any]:
    """Store a message."""
    return (await connection.execute(insert(agent_messages).values(**values).returning(*agent_messages.c))).one()


# One statement for any number of reports, at most one for each agent. A key is taken when it was observed later than
# the one that is stored; an observation from the future counts as of now. Times are compared as fixed-width UTC text.
MERGE_REPORTS = text(
    """
    WITH clock AS (
        SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS now,
            to_char((now() - :within) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS oldest
    ), given AS (
        SELECT report.agent_id, report.resource_utilization, report.performance_metrics, report.actor,
            least(report.observed_at, clock.now) AS observed_at, report.observed_at < clock.oldest AS is_too_old
        FROM clock, jsonb_to_recordset(:reports) AS report(
            agent_id text, resource_utilization jsonb, performance_metrics jsonb, observed_at text, actor text)
        JOIN agents USING (agent_id)
    ), accepted AS (
        SELECT agent_id, resource_utilization, performance_metrics, actor, (
            SELECT coalesce(jsonb_object_agg(name, observed_at), '{}') FROM (
                SELECT 'resource_utilization.' || jsonb_object_keys(resource_utilization)
                UNION ALL SELECT 'performance_metrics.' || jsonb_object_keys(performance_metrics)
            ) AS names(name)) AS observed
        FROM given WHERE NOT is_too_old
    ), merged AS (
        INSERT INTO agent_reports AS stored
            (agent_id, resource_utilization, performance_metrics, observed, last_activity)
        SELECT agent_id, resource_utilization, performance_metrics, observed, clock_timestamp() FROM accepted
        ORDER BY agent_id
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
        RETURNING agent_id, (SELECT count(*) FROM jsonb_object_keys(observed)) AS keys
    ), logged AS (
        INSERT INTO event_log (retention, aggregate, entity_id, event_type, actor, detail)
        SELECT 'report', 'agent', agent_id, 'reported', actor,
            jsonb_build_object('resource_utilization', resource_utilization,
                               'performance_metrics', performance_metrics)
        FROM accepted
    )
    SELECT agent_id, given.is_too_old, coalesce(merged.keys, 0) AS keys FROM given LEFT JOIN merged USING (agent_id)
    """
).bindparams(bindparam("reports", type_=JSONB), bindparam("within", type_=Interval))

# Rarely run: of each section the keys that were observed last stay, so that what is kept of an agent is bounded.
TRIM_REPORTS = text(
    """
    WITH ranked AS (
        SELECT agent_id, name, row_number() OVER (
            PARTITION BY agent_id, split_part(name, '.', 1) ORDER BY observed_at DESC, name) AS place
        FROM agent_reports, jsonb_each_text(observed) AS each(name, observed_at)
        WHERE agent_id = ANY(:agent_ids)
    ), gone AS (
        SELECT agent_id, array_agg(name) AS names,
            array_agg(substr(name, length('resource_utilization.') + 1))
                FILTER (WHERE name LIKE 'resource_utilization.%') AS resources,
            array_agg(substr(name, length('performance_metrics.') + 1))
                FILTER (WHERE name LIKE 'performance_metrics.%') AS performance
        FROM ranked WHERE place > :most GROUP BY agent_id
    )
    UPDATE agent_reports AS stored SET
        resource_utilization = resource_utilization - coalesce(gone.resources, '{}'),
        performance_metrics = performance_metrics - coalesce(gone.performance, '{}'),
        observed = observed - gone.names
    FROM gone WHERE gone.agent_id = stored.agent_id
    """
).bindparams(bindparam("agent_ids", type_=ARRAY(Text)), bindparam("most", type_=Integer))


class Merged(NamedTuple):
    """The agents of a batch of reports that are known, and those of them whose report was too old to be taken."""

    known: set[str]
    too_old: set[str]


async def merge_reports(connection: AsyncConnection, reports: Sequence[dict[str, Any]]) -> Merged:
    """Merge the reports key by key, the newest observation winning, in one statement; at most one for each agent.

    Each report: agent_id, actor, resource_utilization, performance_metrics (objects), observed_at (UTC text of fixed
    width). When a section comes to more than 200 keys, those go that were observed first.
    """
    given = {"reports": list(reports), "within": OBSERVED_WITHIN}
    rows = (await connection.execute(MERGE_REPORTS, given)).all()
    large = [row.agent_id for row in rows if row.keys > KEYS_MAX]
    if large:
        await connection.execute(TRIM_REPORTS, {"agent_ids": large, "most": KEYS_MAX})
    return Merged({row.agent_id for row in rows}, {row.agent_id for row in rows if row.is_too_old})
