"""What a phase left behind besides tasks: its decision, its gate, and the reviews of that."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Select, cast, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import DecisionType
from app.domain.quality_gates import ApprovalStatus
from db.tables.decisions import decisions
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.workflows import workflow_steps


async def latest_decision_id(connection: AsyncConnection, execution_id: UUID) -> UUID | None:
    """The newest decision that the execution called for, verdicts on gates left out; of a fork that has called for none
    the newest that its steps brought along.
    """
    own = (
        select(decisions.c.decision_id)
        .where(decisions.c.execution_id == execution_id, decisions.c.decision_type != DecisionType.QUALITY_GATE.value)
        .order_by(decisions.c.decision_id.desc())
        .limit(1)
    )
    steps = workflow_steps.c
    # a gate's step names its gate, and perhaps the verdict on it
    inherited = (
        select(cast(steps.outcome["decision_id"].astext, PG_UUID(as_uuid=True)))
        .where(
            steps.execution_id == execution_id,
            steps.source_execution_id.is_not(None),
            steps.outcome["decision_id"].astext.is_not(None),
            steps.outcome["gate_id"].astext.is_(None),
        )
        .order_by(steps.step_number.desc())
        .limit(1)
    )
    statement = select(func.coalesce(own.scalar_subquery(), inherited.scalar_subquery()))
    found: UUID | None = (await connection.execute(statement)).scalar()
    return found


async def decisions_by_id(connection: AsyncConnection, decision_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """The open parts of the decisions."""
    statement: Select[Any] = select(
        decisions.c.decision_id,
        decisions.c.decision_type,
        decisions.c.outcome,
        decisions.c.confidence_score,
        decisions.c.agent_assignments,
    ).where(decisions.c.decision_id == func.any(literal(list(decision_ids), ARRAY(PG_UUID(as_uuid=True)))))
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def latest_gate(
    connection: AsyncConnection, execution_id: UUID, phase: str, *, lock: bool = False
) -> Row[Any] | None:
    """The newest gate of a phase, or None before the first."""
    statement: Select[Any] = (
        select(quality_gates)
        .where(quality_gates.c.workflow_execution_id == execution_id, quality_gates.c.phase == phase)
        .order_by(quality_gates.c.gate_id.desc())
        .limit(1)
    )
    if lock:
        statement = statement.with_for_update(key_share=True)
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def gates_by_id(connection: AsyncConnection, gate_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """These gates."""
    statement: Select[Any] = select(quality_gates).where(
        quality_gates.c.gate_id == func.any(literal(list(gate_ids), ARRAY(PG_UUID(as_uuid=True))))
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def reviews_of(connection: AsyncConnection, gate_id: UUID, revision: int) -> Sequence[Row[Any]]:
    """The reviews that were given of one revision of a gate, in their order."""
    statement: Select[Any] = (
        select(
            gate_reviewers.c.reviewer,
            gate_reviewers.c.verdict,
            gate_reviewers.c.score,
            gate_reviewers.c.feedback,
        )
        .where(
            gate_reviewers.c.gate_id == gate_id,
            gate_reviewers.c.revision == revision,
            gate_reviewers.c.reviewed_at.is_not(None),
        )
        .order_by(gate_reviewers.c.reviewed_at, gate_reviewers.c.review_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def gates_at_the_end(connection: AsyncConnection, execution_id: UUID) -> Sequence[Row[Any]]:
    """The gates without a phase that keep the execution from completing, the oldest first.

    Approved ones do not, nor do rejected ones for which a newer gate of the same name and type was made.
    """
    newer = quality_gates.alias("newer")
    replaced = exists(
        select(newer.c.gate_id).where(
            newer.c.workflow_execution_id == quality_gates.c.workflow_execution_id,
            newer.c.phase.is_(None),
            newer.c.gate_name == quality_gates.c.gate_name,
            newer.c.gate_type == quality_gates.c.gate_type,
            newer.c.gate_id > quality_gates.c.gate_id,
        )
    )
    statement: Select[Any] = (
        select(quality_gates)
        .where(
            quality_gates.c.workflow_execution_id == execution_id,
            quality_gates.c.phase.is_(None),
            quality_gates.c.approval_status != ApprovalStatus.APPROVED.value,
            or_(quality_gates.c.approval_status != ApprovalStatus.REJECTED.value, ~replaced),
        )
        .order_by(quality_gates.c.gate_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def approved_at_the_end(connection: AsyncConnection, execution_id: UUID) -> Sequence[Row[Any]]:
    """The gates without a phase that are approved, locked, the oldest first."""
    statement: Select[Any] = (
        select(quality_gates)
        .where(
            quality_gates.c.workflow_execution_id == execution_id,
            quality_gates.c.phase.is_(None),
            quality_gates.c.approval_status == ApprovalStatus.APPROVED.value,
        )
        .order_by(quality_gates.c.gate_id)
        .with_for_update(key_share=True)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows
