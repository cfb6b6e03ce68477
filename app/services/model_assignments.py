"""Model assignments: which model was given which task, what it cost in the end, and which one stands in for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import check_agent_id
from app.domain.errors import ClaimLost, InvalidInput
from app.domain.ids import new_id
from app.domain.json_schemas import FALLBACK_CHAIN, check_json
from app.domain.model_assignments import (
    AMOUNT_USED,
    REASON_MAX,
    AssignmentReason,
    AssignmentStatus,
    ModelChoice,
    Provider,
    chosen,
    exact_cost,
    fallback_chain,
)
from app.domain.principals import Principal
from app.domain.rules import NAME_MAX, SCORE, TEN_POINT, clean_text, required_text
from app.services.assignment_ends import assignment_detail
from app.services.references import Reference, find, require_known
from app.services.tasks import held_task
from db.queries.changes import create, read, transition
from db.queries.entities import AGENT, ASSIGNMENT, DECISION, TASK

RECORDABLE = (AssignmentStatus.PENDING, AssignmentStatus.ACTIVE)


@dataclass(frozen=True)
class RecordAssignment:
    """A model was chosen for an agent's task; None as complexity takes the task's own.

    `fallbacks` are the models to be tried if it fails, in order.
    """

    agent_id: str
    task_id: UUID
    provider_name: Provider
    model_name: str
    assignment_reason: AssignmentReason
    task_complexity: int | None = None
    estimated_cost: Decimal | None = None
    decision_id: UUID | None = None
    assignment_status: AssignmentStatus = AssignmentStatus.ACTIVE
    fallbacks: Sequence[ModelChoice] = ()


async def record_assignment(session: AsyncConnection, principal: Principal, command: RecordAssignment) -> Row[Any]:
    """Store an assignment: pending, for a task that nobody else holds; or active, for one that the agent holds.

    The reason FALLBACK says that the first choice was not to be had, whether or not the hub knew of that one.
    Raises `InvalidInput`, `NotFound`, `ClaimLost`.
    """
    check_agent_id(command.agent_id)
    TEN_POINT.check("taskComplexity", command.task_complexity)
    if command.assignment_status not in RECORDABLE:
        raise InvalidInput(
            "A model assignment is recorded as PENDING or ACTIVE. Nothing was written.", "input.assignmentStatus"
        )
    choice = ModelChoice(
        command.provider_name,
        required_text("modelName", command.model_name, NAME_MAX),
        exact_cost("estimatedCost", command.estimated_cost),
    )
    chain = check_json("fallbacks", fallback_chain(command.fallbacks), FALLBACK_CHAIN)
    await require_known(
        session,
        [
            Reference("agentId", AGENT, command.agent_id),
            Reference("taskId", TASK, command.task_id),
            Reference("decisionId", DECISION, command.decision_id),
        ],
    )
    task = await held_task(session, principal, command.task_id)
    active = command.assignment_status is AssignmentStatus.ACTIVE
    _require_task_of(task, command.agent_id, held=active)
    work = {
        "agent_id": command.agent_id,
        "task_id": command.task_id,
        "execution_id": task.execution_id,
        "decision_id": command.decision_id or task.decision_id,
        "task_complexity": command.task_complexity or task.complexity,
    }
    reason = {"assignment_reason": command.assignment_reason.value}
    return await _store(session, principal, work | reason, choice, chain, active=active)


@dataclass(frozen=True)
class ActivateAssignment:
    """The model that was planned begins."""

    assignment_id: UUID
    expected_version: int


async def activate_assignment(session: AsyncConnection, principal: Principal, command: ActivateAssignment) -> Row[Any]:
    """Pending → active, once the agent holds the task.

    Raises `NotFound`, `ClaimLost`, `StaleVersion`, `IllegalTransition`.
    """
    assignment = await _of_own(session, principal, command.assignment_id)
    if assignment.assignment_status == AssignmentStatus.PENDING and assignment.version == command.expected_version:
        _require_task_of(await read(session, TASK, assignment.task_id, lock=True), assignment.agent_id, held=True)
    return await transition(
        session,
        ASSIGNMENT,
        command.assignment_id,
        AssignmentStatus.ACTIVE,
        "activated",
        principal.name,
        expected_version=command.expected_version,
        detail=assignment_detail(assignment._asdict()),
    )


@dataclass(frozen=True)
class ModelUse:
    """What a model's work took; cost in US dollars, time in milliseconds."""

    actual_cost: Decimal | None = None
    tokens_used: int | None = None
    processing_time: int | None = None

    def values(self) -> dict[str, Any]:
        """The columns. Raises `InvalidInput`."""
        AMOUNT_USED.check("tokensUsed", self.tokens_used)
        AMOUNT_USED.check("processingTime", self.processing_time)
        return {
            "actual_cost": exact_cost("actualCost", self.actual_cost),
            "tokens_used": self.tokens_used,
            "processing_time": self.processing_time,
        }


@dataclass(frozen=True)
class CompleteAssignment:
    """What the model's work took; times in milliseconds."""

    assignment_id: UUID
    expected_version: int
    actual_cost: Decimal | None = None
    tokens_used: int | None = None
    processing_time: int | None = None
    performance_score: Decimal | None = None


async def complete_assignment(session: AsyncConnection, principal: Principal, command: CompleteAssignment) -> Row[Any]:
    """Active → completed with the figures.

    Raises `InvalidInput`, `NotFound`, `ClaimLost`, `StaleVersion`, `IllegalTransition`.
    """
    use = ModelUse(command.actual_cost, command.tokens_used, command.processing_time).values()
    SCORE.check("performanceScore", command.performance_score)
    assignment = await _of_own(session, principal, command.assignment_id)
    return await transition(
        session,
        ASSIGNMENT,
        command.assignment_id,
        AssignmentStatus.COMPLETED,
        "completed",
        principal.name,
        expected_version=command.expected_version,
        values=use | {"performance_score": command.performance_score, "completed_at": func.clock_timestamp()},
        detail=assignment_detail(assignment._asdict()),
    )


@dataclass(frozen=True)
class FailAssignment:
    """The model did not do the work, why, and what it took all the same."""

    assignment_id: UUID
    expected_version: int
    reason: str
    use: ModelUse = ModelUse()


class FailedAssignment(NamedTuple):
    """The assignment that failed, and the one that stands in for it; None when its chain was at its end."""

    assignment: Row[Any]
    fallback: Row[Any] | None


async def fail_assignment(session: AsyncConnection, principal: Principal, command: FailAssignment) -> FailedAssignment:
    """Active → failed; the next model of its chain, if any, becomes active in the same transaction.

    Raises `InvalidInput`, `NotFound`, `ClaimLost`, `StaleVersion`, `IllegalTransition`.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    use = command.use.values()
    known = await find(session, ASSIGNMENT, command.assignment_id, "assignmentId")
    # a fallback is active at once: not for a task that goes back to the pool at this moment, which ends its assignments
    await read(session, TASK, known.task_id, lock=True)
    assignment = await _of_own(session, principal, command.assignment_id)
    failed = await transition(
        session,
        ASSIGNMENT,
        command.assignment_id,
        AssignmentStatus.FAILED,
        "failed",
        principal.name,
        expected_version=command.expected_version,
        values=use | {"failure_reason": reason, "completed_at": func.clock_timestamp()},
        detail=assignment_detail(assignment._asdict()) | {"reason": reason},
    )
    return FailedAssignment(failed, await _fall_back(session, principal, failed))


@dataclass(frozen=True)
class CancelAssignment:
    """The model is not to work on the task, or no longer."""

    assignment_id: UUID
    expected_version: int
    reason: str = ""


async def cancel_assignment(session: AsyncConnection, principal: Principal, command: CancelAssignment) -> Row[Any]:
    """Pending or active → cancelled; no fallback takes its place.

    Raises `InvalidInput`, `NotFound`, `ClaimLost`, `StaleVersion`, `IllegalTransition`.
    """
    reason = clean_text("reason", command.reason, REASON_MAX)
    assignment = await _of_own(session, principal, command.assignment_id)
    return await transition(
        session,
        ASSIGNMENT,
        command.assignment_id,
        AssignmentStatus.CANCELLED,
        "cancelled",
        principal.name,
        expected_version=command.expected_version,
        detail=assignment_detail(assignment._asdict()) | {"reason": reason},
    )


async def _fall_back(session: AsyncConnection, principal: Principal, failed: Row[Any]) -> Row[Any] | None:
    """An active assignment of the chain's first model, which keeps the rest of the chain; None for an empty one."""
    if not failed.fallback_chain:
        return None
    first, *rest = failed.fallback_chain
    work = {
        name: failed._mapping[name]
        for name in ("agent_id", "task_id", "execution_id", "decision_id", "task_complexity")
    }
    reason = {"assignment_reason": AssignmentReason.FALLBACK.value, "fallback_of": failed.assignment_id}
    return await _store(session, principal, work | reason, chosen(first), rest, active=True)


async def _store(
    session: AsyncConnection,
    principal: Principal,
    work: Mapping[str, Any],
    choice: ModelChoice,
    chain: Sequence[Mapping[str, Any]],
    *,
    active: bool,
) -> Row[Any]:
    values = {
        **work,
        "assignment_id": new_id(),
        "provider_name": choice.provider_name.value,
        "model_name": choice.model_name,
        "estimated_cost": choice.estimated_cost,
        "fallback_chain": list(chain),
    }
    detail = assignment_detail(values)
    row = await create(session, ASSIGNMENT, values, "recorded", principal.name, detail)
    if not active:
        return row
    return await transition(
        session, ASSIGNMENT, row.assignment_id, AssignmentStatus.ACTIVE, "activated", principal.name, detail=detail
    )


async def _of_own(session: AsyncConnection, principal: Principal, assignment_id: UUID) -> Row[Any]:
    """The assignment, locked, if the principal may act on it: its token names its agent, or none."""
    assignment = await find(session, ASSIGNMENT, assignment_id, "assignmentId", lock=True)
    if principal.agent_id not in (None, assignment.agent_id):
        raise ClaimLost(
            f"The assignment {assignment.assignment_id} belongs to {assignment.agent_id}. Nothing was changed."
        )
    return assignment


def _require_task_of(task: Row[Any], agent_id: str, *, held: bool) -> None:
    """Raise `ClaimLost` when the task is another agent's; with `held`, also when it is nobody's."""
    if task.assigned_agent_id == agent_id or (task.assigned_agent_id is None and not held):
        return
    holder = task.assigned_agent_id or "nobody"
    raise ClaimLost(f"The task {task.task_id} is held by {holder}, not by {agent_id}. Nothing was changed.")
