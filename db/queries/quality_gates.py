"""Reviewers of a gate and their feedback, and what open requests say of the gate."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Text, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from app.domain.tasks import TaskKind
from db.queries.agents import known_agent
from db.queries.tasks import OPEN_VALUES
from db.tables.quality_gates import gate_reviewers
from db.tables.tasks import tasks


async def assign_reviewers(connection: AsyncConnection, gate_id: UUID, revision: int, reviewers: Sequence[str]) -> None:
    """Name who shall review this revision; a reviewer that is an agent is linked to it."""
    for reviewer in reviewers:
        statement = upsert(gate_reviewers).values(
            review_id=new_id(), gate_id=gate_id, revision=revision, reviewer=reviewer, agent_id=known_agent(reviewer)
        )
        await connection.execute(statement.on_conflict_do_nothing())


async def write_review(
    connection: AsyncConnection,
    gate_id: UUID,
    revision: int,
    reviewer: str,
    agent_id: str | None,
    verdict: str,
    score: Decimal | None,
    feedback: str,
) -> None:
    """Store one reviewer's verdict on this revision; a second one replaces the first."""
    values: dict[str, Any] = {
        "verdict": verdict,
        "score": score,
        "feedback": feedback,
        "agent_id": known_agent(agent_id),
        "reviewed_at": func.clock_timestamp(),
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
