"""Identity: the hub makes ids, each its own; the database keeps them unique, and every mutable row has a version."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from app.services.metrics import Measurement, record_metrics
from db.queries.entities import AGENT, API_TOKEN, ASSIGNMENT, DECISION, EXECUTION, GATE, SCHEDULE, TASK
from db.session import Database
from db.tables.agents import agents
from db.tables.decisions import decisions
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.registry import metadata
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.db.test_checks import a_row
from tests.services.makers import ADMIN, a_gate, a_task, an_agent, an_execution, count, run
from tests.services.test_rules_at_every_level import State, state

__all__ = ["state"]

KEYS: Mapping[str, tuple[Table, str]] = {
    "agents": (agents, "agent_id"),
    "tasks": (tasks, "task_id"),
    "decisions": (decisions, "decision_id"),
    "workflow_executions": (workflow_executions, "execution_id"),
    "model_assignments": (model_assignments, "assignment_id"),
    "quality_gates": (quality_gates, "gate_id"),
    "resource_metrics": (resource_metrics, "metric_id"),
}
MADE_BY_THE_HUB = [name for name in KEYS if name != "agents"]


async def make(state: State, name: str) -> None:
    """One more of these, by its service."""
    database = state.database
    if name == "tasks":
        await a_task(database)
    elif name == "decisions":
        await state.decide()
    elif name == "workflow_executions":
        await an_execution(database, f"template-{new_id()}")
    elif name == "model_assignments":
        await state.assign()
    elif name == "quality_gates":
        await state.create_gate("Another")
    else:
        await run(database, record_metrics, ADMIN, [Measurement(datetime.now(UTC))])


@pytest.mark.parametrize("name", MADE_BY_THE_HUB)
async def test_each_new_entity_has_an_id_of_its_own(state: State, name: str) -> None:
    table, key = KEYS[name]
    before = await count(state.database, table)
    for _ in range(3):
        await make(state, name)
    found = await state.database.transact(lambda session: session.execute(select(table.c[key])))
    ids = {row[0] for row in found}
    assert len(ids) == before + 3
    assert all(isinstance(made, UUID) for made in ids)


async def test_a_name_that_is_taken_begins_a_new_session_and_no_second_agent(database: Database) -> None:
    first, again = await an_agent(database), await an_agent(database)
    assert (again.agent_id, again.version, again.created_at) == (first.agent_id, first.version + 1, first.created_at)
    assert await count(database, agents) == 1


@pytest.mark.parametrize("name", KEYS)
async def test_the_database_keeps_ids_unique(database: Database, name: str) -> None:
    table, key = KEYS[name]
    async with database.engine.connect() as connection:
        # foreign keys are not at issue here; this switches them off and leaves keys
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        row = a_row(table)
        await connection.execute(insert(table).values(**row))
        assert "_pkey" in (broken := await broken_key(connection, table, row)) or broken == f"pk_{name}"
        if name != "agents":
            await refuse_what_is_no_uuid(connection, table, key)
        await connection.rollback()


async def broken_key(connection: AsyncConnection, table: Table, row: Mapping[str, Any]) -> str:
    """The name of the key that a second row of this id breaks."""
    async with connection.begin_nested() as savepoint:
        with pytest.raises(IntegrityError) as refused:
            await connection.execute(insert(table).values(**row))
        await savepoint.rollback()
    cause = refused.value.orig.__cause__ if refused.value.orig else None
    assert isinstance(cause, asyncpg.UniqueViolationError)
    return str(cause.constraint_name)


async def refuse_what_is_no_uuid(connection: AsyncConnection, table: Table, key: str) -> None:
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    async with connection.begin_nested() as savepoint:
        with pytest.raises(asyncpg.InvalidTextRepresentationError, match="uuid"):
            await raw.execute(f"UPDATE {table.name} SET {key} = 'john-pm'")  # noqa: S608
        await savepoint.rollback()


async def test_a_decision_is_the_verdict_on_one_gate(state: State) -> None:
    gate = await a_gate(state.database, state.gate.workflow_execution_id)
    decision = await state.decide()
    for_both = {"decision_id": decision.decision_id}
    both = quality_gates.c.gate_id.in_([gate.gate_id, state.gate.gate_id])
    with pytest.raises(IntegrityError, match="uq_quality_gates_decision_id"):
        async with state.database.engine.begin() as connection:
            await connection.execute(quality_gates.update().where(both).values(**for_both))


def test_every_mutable_row_has_a_version_and_its_times() -> None:
    mutable = [entity.table for entity in (AGENT, TASK, DECISION, EXECUTION, ASSIGNMENT, GATE, SCHEDULE, API_TOKEN)]
    for table in mutable:
        columns = {name: table.c[name] for name in ("version", "created_at", "updated_at")}
        assert not any(column.nullable for column in columns.values()), table.name
        assert all(column.server_default is not None for column in columns.values()), table.name
        assert str(columns["version"].server_default.arg) == "1", table.name  # type: ignore[union-attr]
    versioned = {table.name for table in metadata.sorted_tables if "version" in table.c} - {"event_log"}
    assert versioned == {table.name for table in mutable}
