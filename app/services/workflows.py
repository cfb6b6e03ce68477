"""Workflow executions: start and cancel; the engine does the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import UnknownTemplate
from app.domain.ids import new_id
from app.domain.principals import Principal
from app.domain.rules import NAME_MAX, bounded_json, clean_text, required_text
from app.domain.workflows import EXECUTION_MACHINE, ExecutionStatus, TriggerType
from app.services.tasks import cancel_open_tasks
from db.queries.changes import create, read, transition
from db.queries.entities import EXECUTION
from db.queries.templates import latest_version, template_names
from db.tables.workflows import workflow_executions


@dataclass(frozen=True)
class StartWorkflow:
    """Run a template with this input."""

    workflow_name: str
    input_context: Mapping[str, Any] = field(default_factory=dict)
    trigger_type: TriggerType = TriggerType.MANUAL
    decision_id: UUID | None = None


async def start_workflow(session: AsyncConnection, principal: Principal, command: StartWorkflow) -> Row[Any]:
    """Store a pending execution of the template's latest version; a worker takes it up at once.

    Raises `UnknownTemplate`, `InvalidInput`.
    """
    clean_text("workflowName", command.workflow_name, NAME_MAX)
    version = await latest_version(session, command.workflow_name)
    if version is None:
        names = ", ".join(await template_names(session)) or "none yet"
        raise UnknownTemplate(
            f"There is no workflow template {command.workflow_name!r}; there are: {names}.", "input.workflowName"
        )
    values = {
        "execution_id": new_id(),
        "workflow_name": command.workflow_name,
        "template_version": version,
        "trigger_type": command.trigger_type.value,
        "triggered_by": principal.agent_id or principal.name,
        "input_context": bounded_json("inputContext", dict(command.input_context)),
        "decision_id": command.decision_id,
    }
    detail = {"workflow_name": command.workflow_name, "template_version": version}
    return await create(session, EXECUTION, values, "started", principal.name, detail)


@dataclass(frozen=True)
class CancelWorkflow:
    """Stop an execution for good."""

    execution_id: UUID
    expected_version: int
    reason: str


async def cancel_workflow(session: AsyncConnection, principal: Principal, command: CancelWorkflow) -> Row[Any]:
    """Cancel the execution and its open tasks, and take the fence from the worker that has it.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    reason = required_text("reason", clean_text("reason", command.reason, 2_000))
    execution = await read(session, EXECUTION, command.execution_id)
    EXECUTION_MACHINE.require(ExecutionStatus(execution.execution_status), ExecutionStatus.CANCELLED)
    await cancel_open_tasks(session, command.execution_id, principal.name, reason)
    values = {
        "fence": workflow_executions.c.fence + 1,
        "lease_owner": None,
        "lease_until": None,
        "completed_at": func.clock_timestamp(),
        "last_activity": func.clock_timestamp(),
    }
    cancelled = await transition(
        session,
        EXECUTION,
        command.execution_id,
        ExecutionStatus.CANCELLED,
        "cancelled",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail={"reason": reason},
    )
    # a worker may have added tasks between the first sweep and the moment the fence was taken from it
    await cancel_open_tasks(session, command.execution_id, principal.name, reason)
    return cancelled
