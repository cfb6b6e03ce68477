"""Reviewers of a gate and their feedback, and what open requests say of the gate."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from app.domain.quality_gates import FINAL_VERDICTS, ApprovalStatus
from app.domain.tasks import TaskKind
from db.queries.agents import known_agent
from db.queries.tasks import OPEN_VALUES
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks

DECIDED = [status.value for status in FINAL_VERDICTS]


async def assign_reviewers(connection: AsyncConnection, gate_id: UUID, revision: int, reviewers: Sequence[str]) -> None:
    """Name who shall review this revision; a reviewer that is an agent is linked to it."""
    for reviewer in reviewers:
        statement = upsert(gate_reviewers).values(
            review_id=new_id(),
            gate_id=gate_id,
            revision=revision,
            reviewer=reviewer,
            agent_id=known_agent(reviewer),
            is_named=True,
        )
        named = statement.on_conflict_do_update(
            index_elements=["gate_id", "revision", "reviewer"], set_={"is_named": True}
        )
        await connection.execute(named)


async def named_reviewers(connection: AsyncConnection, gate_id: UUID, revision: int) -> list[str]:
    """Who was asked by name to review the revision, in the order of asking."""
    statement = (
        select(gate_reviewers.c.reviewer)
        .where(
            gate_reviewers.c.gate_id == gate_id,
            gate_reviewers.c.revision == revision,
            gate_reviewers.c.is_named,
        )
        .order_by(gate_reviewers.c.review_id)
    )
    return list((await connection.execute(statement)).scalars())


async def write_review(
    connection: AsyncConnection,
    gate_id: UUID,
    revision: int,
    reviewer: str,
    agent_id: str | None,
    verdict: str,
    score: Decimal | None,
    feedback: str,
    **bound: Any,
) -> None:
    """Store one reviewer's verdict on this revision; a second one replaces the first.

    `bound` are `session`, `evidence_hash`, and `task_id` where the review answers a request.
    """
    values: dict[str, Any] = {
        "verdict": verdict,
        "score": score,
        "feedback": feedback,
        "agent_id": known_agent(agent_id),
        "reviewed_at": func.clock_timestamp(),
        **bound,
    }
    statement = upsert(gate_reviewers).values(
        review_id=new_id(), gate_id=gate_id, revision=revision, reviewer=reviewer, **values
    )
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["gate_id", "revision", "reviewer"], set_=values)
    )


async def outstanding_reviews(connection: AsyncConnection, gate_id: UUID, revision: int) -> list[str]:
    """Who has not reviewed this revision yet: reviewers who were named, and holders of open review requests.

    A request that nobody holds is told by the role that it is for. In the order of asking, each once.
    """
    named = (
        select(gate_reviewers.c.reviewer)
        .where(
            gate_reviewers.c.gate_id == gate_id,
            gate_reviewers.c.revision == revision,
            gate_reviewers.c.reviewed_at.is_(None),
        )
        .order_by(gate_reviewers.c.review_id)
    )
    requested = (
        select(func.coalesce(tasks.c.assigned_agent_id, literal("any ", Text) + tasks.c.required_role, tasks.c.title))
        .where(
            tasks.c.gate_id == gate_id,
            tasks.c.task_kind == TaskKind.REVIEW.value,
            tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))),
        )
        .order_by(tasks.c.task_id)
    )
    found = [*(await connection.execute(named)).scalars(), *(await connection.execute(requested)).scalars()]
    return list(dict.fromkeys(found))


async def reviews_given(connection: AsyncConnection, gate_id: UUID, revision: int) -> Sequence[Row[Any]]:
    """The reviews of the revision that were given, in the order of asking."""
    statement: Select[Any] = (
        select(gate_reviewers)
        .where(
            gate_reviewers.c.gate_id == gate_id,
            gate_reviewers.c.revision == revision,
            gate_reviewers.c.reviewed_at.is_not(None),
        )
        .order_by(gate_reviewers.c.review_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def exclude(connection: AsyncConnection, review_id: UUID, reason: str | None) -> None:
    """Keep why a review does not count, or that it does."""
    await connection.execute(
        update(gate_reviewers).where(gate_reviewers.c.review_id == review_id).values(excluded_because=reason)
    )


async def review_tasks(connection: AsyncConnection, gate_id: UUID) -> dict[UUID, str | None]:
    """The gate's review requests, each with the agent that has or had it."""
    statement = select(tasks.c.task_id, tasks.c.assigned_agent_id).where(
        tasks.c.gate_id == gate_id, tasks.c.task_kind == TaskKind.REVIEW.value
    )
    return {row.task_id: row.assigned_agent_id for row in await connection.execute(statement)}


async def lock_undecided(connection: AsyncConnection, execution_id: UUID) -> Sequence[Row[Any]]:
    """The gates of an execution that have no verdict, locked, in the order of their ids."""
    statement: Select[Any] = (
        select(quality_gates)
        .where(
            quality_gates.c.workflow_execution_id == execution_id,
            quality_gates.c.approval_status != func.all(literal(DECIDED, ARRAY(Text))),
        )
        .order_by(quality_gates.c.gate_id)
        .with_for_update(key_share=True)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def overdue(connection: AsyncConnection, limit: int) -> Sequence[UUID]:
    """The gates in review whose verdict is overdue, the longest overdue first."""
    statement = (
        select(quality_gates.c.gate_id)
        .where(
            quality_gates.c.due_at < func.clock_timestamp(),
            quality_gates.c.approval_status == ApprovalStatus.IN_REVIEW.value,
            quality_gates.c.closed_at.is_(None),
        )
        .order_by(quality_gates.c.due_at)
        .limit(limit)
    )
    return (await connection.execute(statement)).scalars().all()


async def is_overdue(connection: AsyncConnection, gate_id: UUID) -> bool:
    """Whether the gate's verdict is overdue, by the database's clock."""
    statement = select(func.count()).where(
        quality_gates.c.gate_id == gate_id, quality_gates.c.due_at < func.clock_timestamp()
    )
    return bool((await connection.execute(statement)).scalar_one())


async def refresh_requests(connection: AsyncConnection, gate: Row[Any]) -> None:
    """Bring what the open requests about the gate say of it up to date: version, checks, escalation.

    Whoever holds one and answers with the old version is refused, and finds the new one at the next attempt. It is
    the question that changes and not the task, which keeps its version.
    """
    asked = tasks.c.input["gate"]
    news = {
        "version": gate.version,
        "checks": gate.automated_checks,
        "escalation_reason": gate.escalation_reason,
        "evidence_hash": gate.evidence_hash,
    }
    await connection.execute(
        update(tasks)
        .where(
            tasks.c.gate_id == gate.gate_id,
            tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))),
            func.jsonb_typeof(asked) == "object",
        )
        .values(input=func.jsonb_set(tasks.c.input, ["gate"], asked.op("||")(literal(news, JSONB))))
    )
