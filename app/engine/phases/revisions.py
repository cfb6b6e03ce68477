"""Why a phase is repeated: what the gate that asked for a revision, or rejected the work before a retry, said."""

from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.template_parts import Phase
from app.engine.phases.base import Visit
from db.queries.changes import read
from db.queries.entities import GATE
from db.queries.phase_results import reviews_of
from db.queries.steps import latest_return


async def revision_of(session: AsyncConnection, visit: Visit[Phase]) -> dict[str, Any]:
    """`{"revision": {…}}` with the gate's words in a repeated pass, nothing in a first one."""
    if visit.attempt == 1:
        return {}
    outcome = await latest_return(session, visit.execution.execution_id, visit.phase.name)
    if outcome is None:
        return {}
    gate = await read(session, GATE, UUID(outcome["gate_id"]))
    return {
        "revision": {
            "gate_id": outcome["gate_id"],
            "gate_name": gate.gate_name,
            "verdict": outcome["approval_status"],
            "revision": outcome["revision"],
            "pm_decision": gate.pm_decision,
            "improvement_suggestions": gate.improvement_suggestions,
            "checks": gate.automated_checks,
            "reviews": await told_reviews(session, gate.gate_id, outcome["revision"]),
        }
    }


async def told_reviews(session: AsyncConnection, gate_id: UUID, revision: int) -> list[dict[str, Any]]:
    """The reviews of one revision of a gate, as agents are told them."""
    return [_told(review) for review in await reviews_of(session, gate_id, revision)]


def _told(review: Row[Any]) -> dict[str, Any]:
    return {
        "reviewer": review.reviewer,
        "verdict": review.verdict,
        "score": float(review.score) if review.score is not None else None,
        "feedback": review.feedback,
    }
