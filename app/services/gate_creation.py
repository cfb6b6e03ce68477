"""Quality gates that no phase of a workflow makes: a decision or a person asks for them. They hold its end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked
from app.domain.gate_conditions import require_conditions
from app.domain.gate_quorum import rules_of
from app.domain.ids import new_id
from app.domain.json_schemas import VALIDATION_CRITERIA, check_json
from app.domain.principals import Principal
from app.domain.quality_gates import REVIEWERS_MAX, ApprovalStatus, GateType
from app.domain.rules import NAME_MAX, bounded_list, required_text
from app.domain.workflows import ENDED
from app.services.gate_evidence import evidence_of
from app.services.gate_facts import due_at
from app.services.references import Reference, require_known
from db.queries import quality_gates as queries
from db.queries.changes import create, read, transition
from db.queries.entities import DECISION, EXECUTION, GATE
from db.queries.executions import wake


@dataclass(frozen=True)
class CreateGate:
    """A gate of an execution; with reviewers its review begins at once."""

    workflow_execution_id: UUID
    gate_name: str
    gate_type: GateType
    validation_criteria: Mapping[str, Any] = field(default_factory=dict)
    requested_by_decision_id: UUID | None = None
    reviewers: Sequence[str] = ()


async def create_gate(session: AsyncConnection, principal: Principal, command: CreateGate) -> Row[Any]:
    """Store a pending gate; its execution ends only when it is approved.

    Raises `InvalidInput`, `NotFound`; `Blocked` when the execution has ended.
    """
    await require_known(
        session,
        [
            Reference("workflowExecutionId", EXECUTION, command.workflow_execution_id),
            Reference("requestedByDecisionId", DECISION, command.requested_by_decision_id),
        ],
    )
    gate = await store_gate(session, principal, command, command.requested_by_decision_id)
    await wake_unended(session, [command.workflow_execution_id])
    return gate


async def store_gate(
    session: AsyncConnection, principal: Principal, command: CreateGate, decision_id: UUID | None, place: str = ""
) -> Row[Any]:
    """Insert the gate, and open it when it has reviewers. The caller wakes the execution, by `wake_unended`.

    `place` is where the gate stands in the input, such as `qualityGates.0.`. Raises `InvalidInput`.
    """
    reviewers = reviewer_names(f"{place}reviewers", command.reviewers)
    criteria = dict(command.validation_criteria)
    checked = check_json(f"{place}validationCriteria", criteria, VALIDATION_CRITERIA)
    require_conditions(f"{place}validationCriteria", criteria.get("criteria", ()))
    values = {
        "gate_id": new_id(),
        "gate_name": required_text(f"{place}gateName", command.gate_name, NAME_MAX),
        "workflow_execution_id": command.workflow_execution_id,
        "gate_type": command.gate_type.value,
        "validation_criteria": checked,
        "requested_by_decision_id": decision_id,
    }
    requested = {"requested_by_decision_id": str(decision_id) if decision_id is not None else None}
    detail = {"execution_id": str(command.workflow_execution_id), "phase": None, "revision": 0}
    gate = await create(session, GATE, values, "created", principal.name, detail | requested)
    if not reviewers:
        return gate
    opened = await transition(
        session,
        GATE,
        gate.gate_id,
        ApprovalStatus.IN_REVIEW,
        "opened",
        principal.name,
        values={**(await evidence_of(session, gate)).columns(), "due_at": due_at(rules_of(gate.validation_criteria))},
        detail=detail | {"reviewers": reviewers},
    )
    await queries.assign_reviewers(session, gate.gate_id, opened.revision, reviewers)
    return opened


async def wake_unended(session: AsyncConnection, execution_ids: Iterable[UUID]) -> None:
    """Lock the executions and wake them, since they have a gate more; the last locks that a transaction takes.

    Whoever would end one of them meanwhile waits for the lock and then sees the gate. Raises `Blocked` for one that
    has ended.
    """
    for execution_id in sorted(set(execution_ids)):
        execution = await read(session, EXECUTION, execution_id, lock=True)
        if execution.execution_status in ENDED:
            raise Blocked(
                f"The workflow execution {execution_id} is {execution.execution_status.upper()}; a gate would hold "
                "nothing any more. Nothing was written."
            )
        await wake(session, execution_id)


def reviewer_names(field: str, reviewers: Sequence[str]) -> list[str]:
    """The reviewers' names, each once, in order. Raises `InvalidInput`."""
    bounded_list(field, reviewers, REVIEWERS_MAX)
    return list(dict.fromkeys(required_text(field, name, NAME_MAX) for name in reviewers))
