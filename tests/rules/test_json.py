"""JSON attributes: what they may hold is said by one schema each, and the database takes nothing that is no JSON."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

from app.domain.agents import AgentRole
from app.domain.errors import HubError, InvalidInput
from app.domain.json_schemas import SCHEMAS
from app.domain.model_assignments import ModelChoice, Provider
from app.domain.quality_gates import GateType
from app.services.agents import RegisterAgent, register_agent
from app.services.evidence import Evidence
from app.services.gate_creation import CreateGate, create_gate
from app.services.tasks import CompleteTask, CreateTask, complete_task, create_task
from app.services.workflows import StartWorkflow, start_workflow
from db.session import Database
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.registry import metadata
from tests.db.test_checks import a_row
from tests.services.makers import ADMIN, count, run
from tests.services.test_decisions import HOUR
from tests.services.test_rules_at_every_level import State, state

__all__ = ["state"]

DEEP: Any = 1
for _ in range(33):
    DEEP = {"a": DEEP}
TABLES = {"agents.resource_utilization": "agent_reports", "agents.performance_metrics": "agent_reports"}
"""Where a schema's attribute is stored, if not in its aggregate's table."""
WITHOUT_SCHEMA = {
    "workflow_executions.output": "the output schema of its template, if it has one",
    "workflow_signals.payload": "the schema of the phase that awaits it, if it has one",
    "agent_reports.observed": "times that the hub writes",
    "decisions.context_data": "sealed, so it is stored as bytes",
    "event_log.detail": "what the hub writes of its own changes",
    "idempotency_keys.result": "what the hub answered",
    "quality_gates.evidence": "what the hub computes of results and checks",
    "resource_metrics.optimization_suggestions": "a list of texts by its type in the API; its CHECK says so too",
    "workflow_schedules.input_context": "what its executions are given: their schema is asked",
    "workflow_errors.detail": "what the engine writes",
    "workflow_steps.outcome": "what the engine writes",
    "workflow_templates.spec": "app/domain/templates.py says what a template is",
}


def test_every_schema_is_of_a_column_and_every_json_column_has_its_schema_or_its_reason() -> None:
    places = {f"{TABLES.get(name, name.split('.')[0])}.{name.split('.')[1]}" for name in SCHEMAS}
    columns = {f"{t.name}.{c.name}" for t in metadata.sorted_tables for c in t.c if isinstance(c.type, JSONB)}
    assert columns - places == set(WITHOUT_SCHEMA) - {"decisions.context_data"}
    assert places - columns == {"decisions.context_data"}


async def _evidence(state: State, value: Any) -> Any:
    return await state.decide(evidence=[Evidence(**HOUR, snapshot=value, agent_id="james-dev")])


async def _execution(state: State, value: Any) -> Any:
    return await run(state.database, start_workflow, ADMIN, StartWorkflow("plain", value))


async def _task(state: State, value: Any) -> Any:
    return await run(state.database, create_task, ADMIN, CreateTask("Build it", input=value))


async def _result(state: State, value: Any) -> Any:
    return await run(state.database, complete_task, ADMIN, CompleteTask(state.task.task_id, state.task.version, value))


async def _gate(state: State, value: Any) -> Any:
    command = CreateGate(state.gate.workflow_execution_id, "Another", GateType.SECURITY_CHECK, value)
    return await run(state.database, create_gate, ADMIN, command)


async def _agent(state: State, value: Any) -> Any:
    command = RegisterAgent("james-dev", AgentRole.DEVELOPER, extension_config=value)
    return await run(state.database, register_agent, ADMIN, command)


async def _fallbacks(state: State, value: Any) -> Any:
    return await state.assign(fallbacks=value)


BROKEN: Mapping[str, tuple[Any, Any]] = {
    "agents.extension_config": (_agent, DEEP),
    "decisions.context_data": (lambda state, value: state.decide(context_data=value), DEEP),
    "decisions.agent_assignments": (lambda state, value: state.decide(agent_assignments=value), {"james-dev": 5}),
    "decisions.resource_optimization": (lambda state, value: state.decide(resource_optimization=value), DEEP),
    "decision_evidence.snapshot": (_evidence, DEEP),
    "tasks.input": (_task, {"a": "\x00"}),
    "tasks.result": (_result, {"a": float("nan")}),
    "workflow_executions.input_context": (_execution, {"a": 2**64}),
    "quality_gates.validation_criteria": (_gate, {"verdict_by": "nobody"}),
    "model_assignments.fallback_chain": (_fallbacks, [ModelChoice(Provider.ZAI_GLM, "m")] * 11),
}
ELSEWHERE = {
    "agents.resource_utilization": "tests/services/test_agent_reports_bounds.py",
    "agents.performance_metrics": "tests/services/test_agent_reports_bounds.py",
    "quality_gates.automated_checks": "tests/services/test_gate_changes.py::test_bad_checks",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_service_stores_no_json_that_breaks_its_schema(state: State, name: str) -> None:
    service, value = BROKEN[name]
    events = await count(state.database, event_log)
    with pytest.raises(HubError) as refused:
        await service(state, value)
    assert isinstance(refused.value, InvalidInput)
    assert refused.value.field is not None
    assert await count(state.database, event_log) == events


def test_every_schema_is_tried() -> None:
    assert set(BROKEN) | set(ELSEWHERE) == set(SCHEMAS)


@pytest.mark.parametrize("value", ["", "{", "{'a': 1}", "NaN", '{"a": "\\u0000"}', "[1,]"])
async def test_the_database_takes_no_text_that_is_no_json(database: Database, value: str) -> None:
    columns = [(t, c) for t in metadata.sorted_tables for c in t.c if isinstance(c.type, JSONB)]
    async with database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        for table, column in columns:
            with pytest.raises((asyncpg.InvalidTextRepresentationError, asyncpg.UntranslatableCharacterError)):
                await raw.execute(f"INSERT INTO {table.name} ({column.name}) VALUES ('{quoted(value)}')")  # noqa: S608
    assert len(columns) == len({(table.name, column.name) for table, column in columns}) > 15


def quoted(value: str) -> str:
    return value.replace("'", "''")


async def test_a_decision_has_its_context(database: Database) -> None:
    async with database.engine.connect() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        with pytest.raises(IntegrityError, match="context_data_sealed"):
            await connection.execute(decisions.insert().values(**{**a_row(decisions), "context_data_sealed": None}))
        await connection.rollback()
