"""Transitions: no service and no statement goes a way that the machine lacks, and a refusal leaves no event."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.agents import AgentStatus
from app.domain.errors import HubError, IllegalTransition, InvalidInput
from app.domain.quality_gates import ApprovalStatus
from app.domain.workflows import ExecutionStatus
from app.services.agents import SetAgentStatus, set_agent_status
from app.services.model_assignments import (
    ActivateAssignment,
    CancelAssignment,
    activate_assignment,
    cancel_assignment,
)
from app.services.quality_gates import OpenGate, open_gate
from app.services.task_ends import CancelTask, RetryTask, cancel_task, retry_task
from app.services.tasks import StartTask, start_task
from app.services.workflows import CancelWorkflow, RetryWorkflow, cancel_workflow, retry_workflow
from db.queries.changes import transition
from db.queries.entities import AGENT, ASSIGNMENT, EXECUTION, GATE, TASK, Entity
from db.session import Database
from db.tables.events import event_log
from tests.services.makers import ADMIN, count, row_of, run
from tests.services.test_rules_at_every_level import State, state

__all__ = ["state"]

Service = Callable[[State], Awaitable[Any]]

ENTITIES = {entity.machine.name: entity for entity in (AGENT, TASK, EXECUTION, ASSIGNMENT, GATE) if entity.machine}


async def _of_agent(state: State) -> Any:
    return await run(state.database, set_agent_status, ADMIN, SetAgentStatus("james-dev", AgentStatus.ACTIVE))


async def _agent_twice(state: State) -> Any:
    command = SetAgentStatus("james-dev", AgentStatus.OFFLINE)
    return await run(state.database, set_agent_status, ADMIN, command)


async def _of_task(state: State) -> Any:
    return await run(state.database, start_task, ADMIN, StartTask(state.task.task_id, state.task.version))


async def _cancelled_task(state: State) -> Any:
    task = await row_of(state.database, TASK.table, task_id=state.task.task_id)
    return await run(state.database, cancel_task, ADMIN, CancelTask(task.task_id, task.version, "no need"))


async def _retried_task(state: State) -> Any:
    task = await row_of(state.database, TASK.table, task_id=state.task.task_id)
    return await run(state.database, retry_task, ADMIN, RetryTask(task.task_id, task.version))


async def _cancelled_execution(state: State) -> Any:
    execution = await row_of(state.database, EXECUTION.table, execution_id=state.gate.workflow_execution_id)
    command = CancelWorkflow(execution.execution_id, execution.version, "no need")
    return await run(state.database, cancel_workflow, ADMIN, command)


async def _retried_execution(state: State) -> Any:
    execution = await row_of(state.database, EXECUTION.table, execution_id=state.gate.workflow_execution_id)
    return await run(state.database, retry_workflow, ADMIN, RetryWorkflow(execution.execution_id, execution.version))


async def _cancelled_assignment(state: State) -> Any:
    row = await row_of(state.database, ASSIGNMENT.table, assignment_id=state.assignment.assignment_id)
    return await run(state.database, cancel_assignment, ADMIN, CancelAssignment(row.assignment_id, row.version))


async def _active_assignment(state: State) -> Any:
    row = await row_of(state.database, ASSIGNMENT.table, assignment_id=state.assignment.assignment_id)
    return await run(state.database, activate_assignment, ADMIN, ActivateAssignment(row.assignment_id, row.version))


async def _opened_gate(state: State) -> Any:
    return await run(state.database, open_gate, ADMIN, OpenGate(state.gate.gate_id))


async def _nothing(state: State) -> None:
    """What the state is already."""


WAYS: dict[str, tuple[Service, list[Service]]] = {
    # what leads to a status, and what is refused from there
    "agent": (_agent_twice, [_agent_twice, _of_agent]),
    "task": (_cancelled_task, [_of_task, _cancelled_task, _retried_task]),
    "workflow execution": (_cancelled_execution, [_cancelled_execution, _retried_execution]),
    "model assignment": (_cancelled_assignment, [_cancelled_assignment, _active_assignment]),
    "quality gate": (_nothing, [_opened_gate]),
}


@pytest.mark.parametrize("name", WAYS)
async def test_a_service_goes_no_way_that_the_machine_lacks(state: State, name: str) -> None:
    before, refused = WAYS[name]
    await before(state)
    events = await count(state.database, event_log)
    for way in refused:
        with pytest.raises(HubError) as error:
            await way(state)
        # a status that follows from tasks is refused before anybody asks the machine; a stale version before that
        assert isinstance(error.value, (IllegalTransition, InvalidInput)) or "version" in error.value.message
        assert await count(state.database, event_log) == events


@pytest.mark.parametrize("name", ENTITIES)
async def test_compare_and_set_goes_no_way_that_the_machine_lacks(state: State, name: str) -> None:
    """Every pair of statuses that is no transition, by the one statement with which all changes are made."""
    entity = ENTITIES[name]
    key = await any_key(state.database, entity)
    machine: Any = entity.machine
    for source in machine.transitions:
        for target in set(machine.transitions) - set(machine.allowed_from(source)):
            await placed(state.database, entity, key, source)
            before = await row(state.database, entity, key), await count(state.database, event_log)
            with pytest.raises(IllegalTransition):
                await gone(state.database, entity, key, target)
            assert (await row(state.database, entity, key), await count(state.database, event_log)) == before


async def gone(database: Database, entity: Entity, key: Any, target: Any) -> Any:
    return await database.transact(lambda session: transition(session, entity, key, target, "moved", "test"))


async def row(database: Database, entity: Entity, key: Any) -> Any:
    return await row_of(database, entity.table, **{entity.key_name: key})


async def any_key(database: Database, entity: Entity) -> Any:
    found = await database.transact(lambda session: session.execute(entity.table.select().limit(1)))
    return found.one()._mapping[entity.key_name]


async def placed(database: Database, entity: Entity, key: Any, status: Any) -> None:
    """Put the row into a status, with what its CHECKs ask of one, past all rules of the hub."""
    values: dict[str, Any] = {str(entity.status_name): status.value}
    if entity is GATE:
        approved = status is ApprovalStatus.APPROVED
        values |= {"pm_decision": "so", "approved_at": text("now()") if approved else None}
    if entity is ASSIGNMENT:
        values["failure_reason"] = "so" if status.value == "failed" else None
    if entity is TASK:
        values["assigned_agent_id"] = None if status.value == "pending" else "james-dev"
    change = entity.table.update().where(entity.key == key).values(**values)
    await database.transact(lambda session: session.execute(change))


def test_every_machine_is_tried() -> None:
    assert set(WAYS) == set(ENTITIES)
    assert ExecutionStatus.RUNNING in ENTITIES["workflow execution"].machine.transitions  # type: ignore[union-attr]
