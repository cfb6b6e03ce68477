"""Decisions of the PM: recorded whole, their sensitive parts sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import CONFIDENCE, DecisionType
from app.domain.errors import InvalidInput
from app.domain.ids import new_id
from app.domain.principals import Principal
from app.domain.rules import bounded_json, bounded_list, clean_text, required_text
from app.domain.tasks import TaskKind
from app.security.sealing import Sealer
from app.services.tasks import answer_task, held_task
from db.queries.agents import known_agent
from db.queries.changes import create
from db.queries.entities import DECISION
from db.queries.executions import wake
from db.tables.decisions import decision_evidence


@dataclass(frozen=True)
class Evidence:
    """What a decision rests on: the figures of an agent or execution over an interval, as they were."""

    interval_start: datetime
    interval_end: datetime
    snapshot: Any
    agent_id: str | None = None
    execution_id: UUID | None = None


@dataclass(frozen=True)
class RecordDecision:
    """A decision with its reasons. With `task_id` it answers that decision request."""

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


async def record_decision(
    session: AsyncConnection, principal: Principal, command: RecordDecision, sealer: Sealer
) -> Row[Any]:
    """Store a decision; a decision request that it answers is completed in the same transaction.

    Raises `InvalidInput`, and for a task `NotFound`, `ClaimLost`, `StaleVersion`, `IllegalTransition`.
    """
    if command.task_id is None:
        row = await store_decision(session, principal, command, sealer)
        if row.execution_id is not None:
            await wake(session, row.execution_id)
        return row
    task = await held_task(session, principal, command.task_id)
    if task.gate_id is not None:
        raise InvalidInput("This request asks for a verdict; answer it with qualityGateApprove, …Reject or "
                           "…RequestRevision.", "input.taskId")  # fmt: skip
    row = await store_decision(session, principal, command, sealer, execution_id=task.execution_id)
    await answer_task(
        session,
        principal,
        command.task_id,
        command.expected_version,
        TaskKind.DECISION,
        {"decision_id": str(row.decision_id)},
    )
    return row


async def store_decision(
    session: AsyncConnection,
    principal: Principal,
    command: RecordDecision,
    sealer: Sealer,
    *,
    execution_id: UUID | None = None,
) -> Row[Any]:
    """Insert the decision, its evidence and its event. Raises `InvalidInput`."""
    decision_id = new_id()
    CONFIDENCE.check("confidenceScore", command.confidence_score)
    bounded_list("evidence", command.evidence, 100)
    reasoning = required_text("reasoningProcess", command.reasoning_process)
    sealed = sealer.seal_row(
        "decisions",
        str(decision_id),
        {
            "context_data": orjson.dumps(bounded_json("contextData", command.context_data), default=str),
            "reasoning_process": reasoning.encode(),
        },
    )
    values = {
        "decision_id": decision_id,
        "decision_type": command.decision_type.value,
        "context_data_sealed": sealed.columns["context_data"],
        "reasoning_process_sealed": sealed.columns["reasoning_process"],
        "sealed_key": sealed.wrapped_key,
        "outcome": required_text("outcome", command.outcome),
        "confidence_score": command.confidence_score,
        "agent_assignments": bounded_json("agentAssignments", dict(command.agent_assignments)),
        "resource_optimization": bounded_json("resourceOptimization", dict(command.resource_optimization)),
        "learning_notes": clean_text("learningNotes", command.learning_notes),
        "execution_id": execution_id or command.execution_id,
        "decided_by": principal.name,
        "agent_id": known_agent(principal.agent_id),
    }
    evidence = [_evidence(decision_id, item) for item in command.evidence]
    detail = {"execution_id": str(values["execution_id"]) if values["execution_id"] else None,
              "decision_type": command.decision_type.value, "confidence_score": command.confidence_score}  # fmt: skip
    row = await create(session, DECISION, values, "recorded", principal.name, detail)
    if evidence:
        await session.execute(insert(decision_evidence), evidence)
    return row


def _evidence(decision_id: UUID, item: Evidence) -> dict[str, Any]:
    if item.agent_id is None and item.execution_id is None:
        raise InvalidInput("Each piece of evidence names an agent or an execution.", "input.evidence")
    if item.interval_start > item.interval_end:
        raise InvalidInput("An interval of evidence ends before it starts.", "input.evidence")
    return {
        "evidence_id": new_id(),
        "decision_id": decision_id,
        "agent_id": item.agent_id,
        "execution_id": item.execution_id,
        "interval_start": item.interval_start,
        "interval_end": item.interval_end,
        "snapshot": bounded_json("evidence", item.snapshot),
    }
