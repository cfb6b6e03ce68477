"""Measurements: every figure within its range, of agents and executions that exist, all stored or none."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from app.domain.errors import Forbidden, HubError, InvalidInput, NotFound
from app.domain.ids import new_id
from app.services.metrics import RULES, Measurement, record_metrics
from db.session import Database
from db.tables.events import event_log
from db.tables.metrics import resource_metrics
from tests.services.makers import ADMIN, agent_principal, an_agent, an_execution, count, row_of, run

OUTSIDE: dict[str, list[Any]] = {
    "cpu_usage": [Decimal("-0.01"), Decimal("100.01"), Decimal("NaN")],
    "memory_usage": [Decimal(-1), Decimal("1e11"), Decimal("Infinity")],
    "disk_usage": [Decimal(-1), Decimal("1e11")],
    "network_io": [Decimal(-1), Decimal("1e11")],
    "active_sessions": [-1, 2**31],
    "database_connections": [-1, 2**31],
    "response_time": [-1, 2**31],
    "error_rate": [Decimal("-0.01"), Decimal("100.01")],
    "optimization_score": [Decimal("-0.01"), Decimal("10.01"), Decimal("NaN")],
}


def now() -> datetime:
    return datetime.now(UTC)


async def refused(database: Database, error: type[HubError], bad: Measurement, principal: Any = ADMIN) -> str | None:
    """The field at fault of a batch with one bad measurement, of which nothing must be kept."""
    before = [await count(database, table) for table in (resource_metrics, event_log)]
    with pytest.raises(error) as caught:
        await run(database, record_metrics, principal, [Measurement(now(), "james-dev"), bad])
    assert [await count(database, table) for table in (resource_metrics, event_log)] == before
    return caught.value.field


@pytest.mark.parametrize("name", RULES)
async def test_each_figure_has_its_range(database: Database, name: str) -> None:
    await an_agent(database)
    spelling, limits = RULES[name]
    for value in OUTSIDE[name]:
        bad = Measurement(now(), "james-dev", **{name: value})
        assert await refused(database, InvalidInput, bad) == f"input.measurements.1.{spelling}"
    ends: list[Any] = [end for end in (limits.low, limits.high) if end is not None]
    good = [Measurement(now(), "james-dev", **{name: end}) for end in ends]
    ids = await run(database, record_metrics, ADMIN, good)
    for metric_id, end in zip(ids, ends, strict=True):
        assert getattr(await row_of(database, resource_metrics, metric_id=metric_id), name) == end


async def test_times_and_suggestions(database: Database) -> None:
    await an_agent(database)
    for bad, field in [
        (Measurement(now() - timedelta(days=90), "james-dev"), "measurementTime"),
        (Measurement(now() + timedelta(minutes=6), "james-dev"), "measurementTime"),
        (Measurement(now(), "james-dev", optimization_suggestions=["x"] * 51), "optimizationSuggestions"),
        (Measurement(now(), "james-dev", optimization_suggestions=["x" * 2_001]), "optimizationSuggestions"),
        (Measurement(now(), "james-dev", optimization_suggestions=["\x00"]), "optimizationSuggestions"),
        (Measurement(now(), "James"), "agentId"),
    ]:
        assert await refused(database, InvalidInput, bad) == f"input.measurements.1.{field}"


async def test_what_they_are_of_must_exist_and_be_ones_own(database: Database) -> None:
    await an_agent(database)
    await an_agent(database, "jane-dev")
    execution = await an_execution(database)
    field = "input.measurements.1"
    assert await refused(database, NotFound, Measurement(now(), "no-one")) == f"{field}.agentId"
    assert await refused(database, NotFound, Measurement(now(), "james-dev", new_id())) == f"{field}.executionId"
    james = agent_principal("james-dev")
    for other in ("jane-dev", None):
        assert await refused(database, Forbidden, Measurement(now(), other), james) == f"{field}.agentId"
    await run(database, record_metrics, james, [Measurement(now(), "james-dev", execution.execution_id)])
    assert await count(database, resource_metrics) == 1


async def test_references_are_looked_up_once_for_all(database: Database) -> None:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    for number in range(20):
        await an_agent(database, f"dev-{number}")
    execution = await an_execution(database)
    batch = [Measurement(now(), f"dev-{number}", execution.execution_id) for number in range(20)]
    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        await run(database, record_metrics, ADMIN, batch)
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    # the clock, the references, the measurements, the events
    assert len(seen) == 4
