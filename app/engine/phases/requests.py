"""What a gate asks: commands to be run, reviews, and the verdict, each with what is to be judged and its hash."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.gate_phase import Check, GatePhase
from app.domain.tasks import TaskKind
from app.engine.phases.base import Visit
from app.engine.phases.results import given_results
from app.engine.phases.revisions import told_reviews
from app.engine.phases.work import request


@dataclass(frozen=True)
class Asked:
    """Who is asked for a review by a task: any agent of a role, or one agent. `name` is for the task's."""

    name: str
    role: AgentRole | None = None
    agent_id: str | None = None


async def review_request(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], name: str, asked: Asked
) -> dict[str, Any]:
    """The task that asks an agent for its review."""
    question = f"Review {gate.gate_name!r}: do you advise to approve, to reject, or to request a revision?"
    given = await _given(session, visit, gate, question)
    title = f"Review: {gate.gate_name}"[:200]
    row = request(TaskKind.REVIEW, name, title, given, role=asked.role, gate_id=gate.gate_id)
    return {**row, "required_agent_id": asked.agent_id}


async def command_request(
    session: AsyncConnection, visit: Visit[GatePhase], gate: Row[Any], name: str, check: Check
) -> dict[str, Any]:
    """The task that has an agent run a check's command, and answer with what it measured."""
    given = {
        "check": check.model_dump(mode="json", include={"name", "command", "measure", "at_most", "at_least"}),
        "gate_id": str(gate.gate_id),
        "revision": gate.revision,
        "context": visit.execution.context,
        **await given_results(session, visit.execution, visit.phase.uses),
    }
    return request(
        TaskKind.WORK,
        name,
        f"Check: {check.name}"[:200],
        given,
        description=f"Run the command and answer with what it measured: {check.command}",
        role=check.role,
        capabilities=check.capabilities,
        complexity=1,
        gate_id=gate.gate_id,
    )


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
            "evidence_hash": gate.evidence_hash,
            "checks": gate.automated_checks,
            "reviews": await told_reviews(session, gate.gate_id, gate.revision),
        },
        "context": visit.execution.context,
        **await given_results(session, visit.execution, visit.phase.uses),
    }
