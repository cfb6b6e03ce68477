"""Figures of measurements over intervals: what a decision's evidence says."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Integer, Text, bindparam, column, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.metrics import resource_metrics

METRIC = resource_metrics.c
FIGURES = tuple(
    figure.name
    for figure in (
        METRIC.cpu_usage,
        METRIC.memory_usage,
        METRIC.disk_usage,
        METRIC.network_io,
        METRIC.active_sessions,
        METRIC.database_connections,
        METRIC.response_time,
        METRIC.error_rate,
        METRIC.optimization_score,
    )
)
TIMES = ARRAY(DateTime(timezone=True))

# an average has four decimals: the largest figures have eleven digits before the point, and fifteen digits every
# reader of JSON keeps
_SPREAD = """
    '{name}', CASE WHEN count({name}) > 0 THEN jsonb_build_object(
        'min', trim_scale(min({name})::numeric),
        'avg', trim_scale(round(avg({name}), 4)),
        'max', trim_scale(max({name})::numeric)) END"""
_SPREADS = ",".join(_SPREAD.format(name=name) for name in FIGURES)
_COLUMNS = ", ".join(FIGURES)

# each window is read by itself, by the index on its agent or on its execution, whose partitions are pruned by its times
FIGURES_OF = (
    text(
        f"""
    SELECT summed.measurements, summed.figures
    FROM unnest(:agents, :executions, :starts, :ends) WITH ORDINALITY
        AS given(agent_id, execution_id, since, until, number)
    CROSS JOIN LATERAL (
        SELECT count(*) AS measurements, jsonb_strip_nulls(jsonb_build_object('count', count(*), {_SPREADS})) AS figures
        FROM (
            (SELECT {_COLUMNS} FROM resource_metrics AS of_agent
             WHERE of_agent.agent_id = given.agent_id AND measurement_time BETWEEN given.since AND given.until
               AND (given.execution_id IS NULL OR of_agent.execution_id = given.execution_id))
            UNION ALL
            (SELECT {_COLUMNS} FROM resource_metrics AS of_execution
             WHERE given.agent_id IS NULL AND of_execution.execution_id = given.execution_id
               AND measurement_time BETWEEN given.since AND given.until)
            LIMIT :most
        ) AS measured
    ) AS summed
    ORDER BY given.number
    """  # noqa: S608  (names of columns of our own)
    )
    .bindparams(
        bindparam("agents", type_=ARRAY(Text)),
        bindparam("executions", type_=ARRAY(PG_UUID(as_uuid=True))),
        bindparam("starts", type_=TIMES),
        bindparam("ends", type_=TIMES),
        bindparam("most", type_=Integer),
    )
    .columns(column("measurements", Integer), column("figures", JSONB))
)


class Window(NamedTuple):
    """The measurements of an agent, of an execution, or of an agent within an execution, both ends included."""

    agent_id: str | None
    execution_id: UUID | None
    start: datetime
    end: datetime


async def figures_of(connection: AsyncConnection, windows: Sequence[Window], most: int) -> Sequence[Row[Any]]:
    """For each window, in order, how many `measurements` were read and their `figures`, in one statement.

    Figures are `{"count": n, "cpu_usage": {"min": x, "avg": y, "max": z}, …}`; one that no measurement has is left
    out. Numbers are exact: minimum and maximum as they were measured, the average rounded half up to four decimals.
    At most `most` measurements of a window are read.
    """
    given = {
        "agents": [window.agent_id for window in windows],
        "executions": [window.execution_id for window in windows],
        "starts": [window.start for window in windows],
        "ends": [window.end for window in windows],
        "most": most,
    }
    rows: Sequence[Row[Any]] = (await connection.execute(FIGURES_OF, given)).all()
    return rows
