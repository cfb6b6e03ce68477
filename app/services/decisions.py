"""Decisions of the PM: recorded whole, their sensitive parts sealed; afterwards annotated, or erased."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import CONFIDENCE, GATES_MAX, DecisionType, SealedAccess
from app.domain.errors import IllegalTransition, InvalidInput
from app.domain.ids import new_id
from app.domain.json_schemas import AGENT_ASSIGNMENTS, ANYTHING, RESOURCE_OPTIMIZATION, check_json
from app.domain.principals import Principal
from app.domain.rules import bounded_list, clean_text, required_text
from app.domain.tasks import TaskKind
from app.security.sealing import Sealer
from app.services.evidence import Evidence, check_evidence, evidence_rows
from app.services.gate_creation import CreateGate, store_gate, wake_unended
from app.services.references import Reference, find, require_known
from app.services.tasks import answer_task, held_task
from db.queries.agents import known_agent
from db.queries.changes import amend, create
from db.queries.decisions import newest_key_while_sealing
from db.queries.entities import AGENT, DECISION, EXECUTION, TASK
from db.queries.executions import wake
from db.tables.decisions import decision_evidence

REASON_MAX = 2_000
"""Characters of the reason of an erasure."""


@dataclass(frozen=True)
class RecordDecision:
    """A decision with its reasons. With `task_id` it answers that decision request.

    `quality_gates` are the gates that it asks for; they are made with it.
    """

    decision_type: DecisionType
    context_data: Any
    reasoning_process: str
    outcome: str
    confidence_score: int
    agent_assignments: Mapping[str, Any] = field(default_factory=dict)
    resource_optimization: Mapping[str, Any] = field(default_factory=dict)
    learning_notes: str = ""
    execution_id: UUID | None = None
    task_id: UUID | None = None
    expected_version: int | None = None
    evidence: Sequence[Evidence] = ()
    quality_gates: Sequence[CreateGate] = ()


async def record_decision(
    session: AsyncConnection, principal: Principal, command: RecordDecision, sealer: Sealer
) -> Row[Any]:
    """Store a decision with its evidence and gates; a decision request that it answers is completed with it.

    Raises `InvalidInput`, `NotFound`; `Blocked` for a gate of an execution that has ended; and for a task
    `ClaimLost`, `StaleVersion`, `IllegalTransition`.
    """
    check_evidence(command.evidence)
    bounded_list("qualityGates", command.quality_gates, GATES_MAX)
    await require_known(session, _references(command))
    if command.task_id is None:
        row = await _store_with_gates(session, principal, command, sealer, command.execution_id)
        if row.execution_id is not None:
            await wake(session, row.execution_id)
    else:
        row = await _answer(session, principal, command, command.task_id, sealer)
    await wake_unended(session, [gate.workflow_execution_id for gate in command.quality_gates])
    return row


async def store_decision(
    session: AsyncConnection,
    principal: Principal,
    command: RecordDecision,
    sealer: Sealer,
    *,
    execution_id: UUID | None = None,
) -> Row[Any]:
    """Insert the decision, its evidence and its event. What it refers to must exist. Raises `InvalidInput`."""
    decision_id = new_id()
    CONFIDENCE.check("confidenceScore", command.confidence_score)
    reasoning = required_text("reasoningProcess", command.reasoning_process)
    # before anything is sealed: a rotation of the master key waits for those who came before it
    sealer.require_known(await newest_key_while_sealing(session))
    sealed = sealer.seal_row(
        "decisions",
        str(decision_id),
        {
            "context_data": orjson.dumps(check_json("contextData", command.context_data, ANYTHING), default=str),
            "reasoning_process": reasoning.encode(),
        },
    )
    resources = check_json("resourceOptimization", dict(command.resource_optimization), RESOURCE_OPTIMIZATION)
    values = {
        "decision_id": decision_id,
        "decision_type": command.decision_type.value,
        "context_data_sealed": sealed.columns["context_data"],
        "reasoning_process_sealed": sealed.columns["reasoning_process"],
        "sealed_key": sealed.wrapped_key,
        "outcome": required_text("outcome", command.outcome),
        "confidence_score": command.confidence_score,
        "agent_assignments": check_json("agentAssignments", dict(command.agent_assignments), AGENT_ASSIGNMENTS),
        "resource_optimization": resources,
        "learning_notes": clean_text("learningNotes", command.learning_notes),
        "execution_id": execution_id or command.execution_id,
        "decided_by": principal.name,
        "agent_id": known_agent(principal.agent_id),
    }
    evidence = await evidence_rows(session, decision_id, command.evidence)
    detail = _detail(values) | {"confidence_score": command.confidence_score}
    row = await create(session, DECISION, values, "recorded", principal.name, detail)
    if evidence:
        await session.execute(insert(decision_evidence), evidence)
    return row


@dataclass(frozen=True)
class AnnotateDecision:
    """What is to be remembered of a decision; replaces what was."""

    decision_id: UUID
    expected_version: int
    learning_notes: str


async def annotate_decision(session: AsyncConnection, principal: Principal, command: AnnotateDecision) -> Row[Any]:
    """Set the learning notes; an empty text removes them. Raises `InvalidInput`, `NotFound`, `StaleVersion`."""
    notes = clean_text("learningNotes", command.learning_notes)
    decision = await find(session, DECISION, command.decision_id, "decisionId", lock=True)
    return await amend(
        session,
        DECISION,
        command.decision_id,
        "annotated",
        principal.name,
        expected_version=command.expected_version,
        values={"learning_notes": notes},
        detail=_detail(decision._asdict()),
    )


@dataclass(frozen=True)
class EraseDecision:
    """What is sealed of a decision is to be unreadable for ever."""

    decision_id: UUID
    expected_version: int
    reason: str


async def erase_decision(session: AsyncConnection, principal: Principal, command: EraseDecision) -> Row[Any]:
    """Destroy the decision's data key; outcome, evidence and relations stay.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`; `IllegalTransition` when it was erased before.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    decision = await find(session, DECISION, command.decision_id, "decisionId", lock=True)
    if decision.sealed_key is None and decision.version == command.expected_version:
        raise IllegalTransition("decision's sealed part", SealedAccess.ERASED, SealedAccess.ERASED, ())
    return await amend(
        session,
        DECISION,
        command.decision_id,
        "erased",
        principal.name,
        expected_version=command.expected_version,
        values={"sealed_key": None},
        detail=_detail(decision._asdict()) | {"reason": reason},
    )


def _references(command: RecordDecision) -> Iterator[Reference]:
    yield Reference("executionId", EXECUTION, command.execution_id)
    yield Reference("taskId", TASK, command.task_id)
    for index, item in enumerate(command.evidence):
        yield Reference(f"evidence.{index}.agentId", AGENT, item.agent_id)
        yield Reference(f"evidence.{index}.executionId", EXECUTION, item.execution_id)
    for index, gate in enumerate(command.quality_gates):
        yield Reference(f"qualityGates.{index}.workflowExecutionId", EXECUTION, gate.workflow_execution_id)


async def _answer(
    session: AsyncConnection, principal: Principal, command: RecordDecision, task_id: UUID, sealer: Sealer
) -> Row[Any]:
    """The decision that answers a request, whose execution is then the one that called for it."""
    task = await held_task(session, principal, task_id)
    if task.gate_id is not None:
        raise InvalidInput("This request asks for a verdict; answer it with qualityGateApprove, …Reject or "
                           "…RequestRevision. Nothing was written.", "input.taskId")  # fmt: skip
    row = await _store_with_gates(session, principal, command, sealer, task.execution_id)
    result = {"decision_id": str(row.decision_id)}
    await answer_task(session, principal, task_id, command.expected_version, TaskKind.DECISION, result)
    return row


async def _store_with_gates(
    session: AsyncConnection,
    principal: Principal,
    command: RecordDecision,
    sealer: Sealer,
    execution_id: UUID | None,
) -> Row[Any]:
    row = await store_decision(session, principal, command, sealer, execution_id=execution_id)
    for index, gate in enumerate(command.quality_gates):
        await store_gate(session, principal, gate, row.decision_id, f"qualityGates.{index}.")
    return row


def _detail(decision: Mapping[str, Any]) -> dict[str, Any]:
    """What every event of a decision tells; subscriptions find it by the execution."""
    execution_id = decision["execution_id"]
    return {
        "execution_id": str(execution_id) if execution_id is not None else None,
        "decision_type": decision["decision_type"],
    }
