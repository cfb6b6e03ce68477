"""Reviewers of a gate and their feedback."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from db.queries.agents import known_agent
from db.tables.quality_gates import gate_reviewers


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


async def has_outstanding_reviews(connection: AsyncConnection, gate_id: UUID, revision: int) -> bool:
    """Whether a reviewer who was named for this revision has not reviewed yet."""
    outstanding = select(gate_reviewers.c.review_id).where(
        and_(
            gate_reviewers.c.gate_id == gate_id,
            gate_reviewers.c.revision == revision,
            gate_reviewers.c.reviewed_at.is_(None),
        )
    )
    return bool((await connection.execute(select(exists(outstanding)))).scalar())
