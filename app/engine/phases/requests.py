"""What a gate asks of its reviewers and of the PM: the question, the measured checks, the reviews so far."""

from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.tasks import TaskKind
from app.domain.templates import GatePhase
from app.engine.phases.base import Visit
from app.engine.phases.results import given_results
from app.engine.phases.revisions import told_reviews
from app.engine.phases.work import request


async def review_request(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], name: str, role: AgentRole
) -> dict[str, Any]:
    """The task that asks an agent of this role for its review."""
    question = f"Review {gate.gate_name!r}: do you advise to approve, to reject, or to request a revision?"
    given = await _given(session, visit, gate, question)
    return request(TaskKind.REVIEW, name, f"Review: {gate.gate_name}"[:200], given, role=role, gate_id=gate.gate_id)


async def verdict_request(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], name: str
) -> dict[str, Any]:
    """The task that asks the PM for the verdict."""
    question = f"Decide on {gate.gate_name!r}: approve it, reject it, or request a revision?"
    given = await _given(session, visit, gate, question)
    title = f"Decide: {gate.gate_name}"[:200]
    return request(TaskKind.DECISION, name, title, given, role=AgentRole.PM, gate_id=gate.gate_id)


async def _given(session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], question: str) -> dict[str, Any]:
    return {
        "question": question,
        "gate": {
            "gate_id": str(gate.gate_id),
            "gate_name": gate.gate_name,
            "gate_type": gate.gate_type,
            "version": gate.version,
            "revision": gate.revision,
            "checks": gate.automated_checks,
            "reviews": await told_reviews(session, gate.gate_id, gate.revision),
        },
        "context": visit.execution.context,
        **await given_results(session, visit.execution, visit.phase.uses),
    }
