"""Forks: an execution that repeats another from one of its steps on, and takes the steps before that as they were."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.concurrency import limit_of
from app.domain.errors import InvalidInput
from app.domain.principals import Principal
from app.domain.rules import clean_text
from app.domain.tasks import REASON_MAX
from app.domain.workflows import TriggerType
from app.services.references import find
from app.services.turns import begin_execution
from app.services.workflow_inputs import checked_input
from app.services.workflows import triggered_by
from db.queries.entities import EXECUTION
from db.queries.steps import copy_steps, find_step, latest_step
from db.queries.templates import template_of

STEPS_MAX = 2**31 - 1


@dataclass(frozen=True)
class ForkWorkflow:
    """Run an execution again from this step on; with another input where `input_context` is given."""

    execution_id: UUID
    step: int
    input_context: Mapping[str, Any] | None = None
    reason: str = ""


async def fork_workflow(session: AsyncConnection, principal: Principal, command: ForkWorkflow) -> Row[Any]:
    """Store a pending execution of the same template version that begins with the phase of that step.

    The steps before it are copied, each with the execution that did it, whose tasks, decisions and gates later phases
    are given. They had ended before the step began, so nothing of them can change meanwhile; the original is not
    touched. Raises `InvalidInput`, `NotFound`, `AlreadyRunning`.
    """
    reason = clean_text("reason", command.reason, REASON_MAX)
    source = await find(session, EXECUTION, command.execution_id, "executionId")
    template = await template_of(session, source.workflow_name, source.template_version)
    given = command.input_context
    context = source.input_context if given is None else checked_input(given, template)
    step = await _require_step(session, command)
    values = {
        "workflow_name": source.workflow_name,
        "template_version": source.template_version,
        "trigger_type": TriggerType.MANUAL.value,
        "triggered_by": triggered_by(principal),
        "input_context": context,
        "decision_id": source.decision_id,
        "forked_from_id": source.execution_id,
        "forked_from_step": step.step_number,
    }
    detail = {
        "workflow_name": source.workflow_name,
        "template_version": source.template_version,
        "forked_from": {"execution_id": str(source.execution_id), "step": step.step_number, "phase": step.phase},
        "reason": reason,
    }
    fork = await begin_execution(session, principal, values, limit_of(template.concurrency, context), detail)
    await copy_steps(session, source.execution_id, fork.execution_id, step.step_number)
    return fork


async def _require_step(session: AsyncConnection, command: ForkWorkflow) -> Row[Any]:
    step = await find_step(session, command.execution_id, command.step) if 0 < command.step <= STEPS_MAX else None
    if step is not None:
        return step
    latest = await latest_step(session, command.execution_id)
    known = f"it has the steps 1 to {latest.step_number}" if latest is not None else "it has none yet"
    raise InvalidInput(
        f"The execution {command.execution_id} has no step {command.step}: {known}. Nothing was written.", "input.step"
    )
