"""Resource metrics: many measurements at once, all or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import check_agent_id
from app.domain.errors import Forbidden, InvalidInput, NotFound
from app.domain.ids import new_id
from app.domain.metrics import AMOUNT, BATCH_MAX, AlertLevel, check_measurement_time
from app.domain.principals import Principal
from app.domain.rules import INT32, PERCENT, SCORE, Range, bounded_list, clean_text
from db.queries.entities import AGENT, EXECUTION
from db.queries.metrics import insert_metrics, missing_subjects, now

RULES: dict[str, tuple[str, Range]] = {
    "cpu_usage": ("cpuUsage", PERCENT),
    "memory_usage": ("memoryUsage", AMOUNT),
    "disk_usage": ("diskUsage", AMOUNT),
    "network_io": ("networkIo", AMOUNT),
    "active_sessions": ("activeSessions", INT32),
    "database_connections": ("databaseConnections", INT32),
    "response_time": ("responseTime", INT32),
    "error_rate": ("errorRate", PERCENT),
    "optimization_score": ("optimizationScore", SCORE),
}


@dataclass(frozen=True)
class Measurement:
    """One measurement of an agent, or of the whole system where `agent_id` is None; see `resource_metrics`."""

    measurement_time: datetime
    agent_id: str | None = None
    execution_id: UUID | None = None
    cpu_usage: Decimal | None = None
    memory_usage: Decimal | None = None
    disk_usage: Decimal | None = None
    network_io: Decimal | None = None
    active_sessions: int | None = None
    database_connections: int | None = None
    response_time: int | None = None
    error_rate: Decimal | None = None
    optimization_score: Decimal | None = None
    optimization_suggestions: Sequence[str] = ()
    alert_level: AlertLevel = AlertLevel.NORMAL


async def record_metrics(
    session: AsyncConnection, principal: Principal, measurements: Sequence[Measurement]
) -> list[UUID]:
    """Store the measurements; their ids, in the order given.

    Raises `InvalidInput`, `Forbidden`, and `NotFound` for an unknown agent or execution; nothing is kept then.
    """
    if not measurements:
        raise InvalidInput(
            "measurements must hold at least one measurement. Nothing was written.", "input.measurements"
        )
    bounded_list("measurements", measurements, BATCH_MAX)
    clock = await now(session)
    rows = [_row(principal, index, item, clock) for index, item in enumerate(measurements)]
    await _require_subjects(session, measurements)
    await insert_metrics(session, rows, principal.name)
    return [row["metric_id"] for row in rows]


async def _require_subjects(session: AsyncConnection, measurements: Sequence[Measurement]) -> None:
    """Raise `NotFound` unless all agents and executions exist: the table has no foreign keys that would."""
    missing = await missing_subjects(
        session,
        {item.agent_id for item in measurements if item.agent_id is not None},
        {item.execution_id for item in measurements if item.execution_id is not None},
    )
    for index, item in enumerate(measurements):
        if item.agent_id in missing.agents:
            raise NotFound(AGENT.kind, item.agent_id, f"input.measurements.{index}.agentId")
        if item.execution_id in missing.executions:
            raise NotFound(EXECUTION.kind, item.execution_id, f"input.measurements.{index}.executionId")


def _row(principal: Principal, index: int, item: Measurement, clock: datetime) -> dict[str, Any]:
    place = f"measurements.{index}"
    check_measurement_time(f"{place}.measurementTime", item.measurement_time, clock)
    if item.agent_id is not None:
        check_agent_id(item.agent_id, f"{place}.agentId")
    if principal.agent_id not in (None, item.agent_id):
        raise Forbidden(
            f"This token records measurements of {principal.agent_id} only. Nothing was written.",
            f"input.{place}.agentId",
        )
    for name, (spelling, limits) in RULES.items():
        limits.check(f"{place}.{spelling}", getattr(item, name))
    bounded_list(f"{place}.optimizationSuggestions", item.optimization_suggestions, 50)
    suggestions = [
        clean_text(f"{place}.optimizationSuggestions", text, 2_000) for text in item.optimization_suggestions
    ]
    return {
        "metric_id": new_id(),
        "measurement_time": item.measurement_time,
        "agent_id": item.agent_id,
        "execution_id": item.execution_id,
        **{name: getattr(item, name) for name in RULES},
        "optimization_suggestions": suggestions,
        "alert_level": item.alert_level.value,
    }
