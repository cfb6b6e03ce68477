"""What holds the end of an execution: the quality gates that belong to no phase of it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.quality_gates import ApprovalStatus
from app.engine.phases.base import ACTOR, Done, Failed, Judgement, Waiting
from app.services.gate_evidence import void_if_changed
from db.queries.phase_results import approved_at_the_end, gates_at_the_end


async def judge_end(session: AsyncConnection, execution_id: UUID) -> Judgement:
    """Done when all gates without a phase are approved, failed when one is rejected for good, else waiting.

    A rejected gate for which a newer one of the same name and type was made no longer counts: a retry makes it.
    """
    gates = await gates_at_the_end(session, execution_id)
    rejected = [gate for gate in gates if gate.approval_status == ApprovalStatus.REJECTED.value]
    if not rejected:
        return Waiting() if gates else Done()
    reasons = "; ".join(f"{gate.gate_name!r}: {gate.pm_decision}" for gate in rejected)
    return Failed(f"The end of the workflow was rejected by {reasons}", {"gates": [str(g.gate_id) for g in rejected]})


async def void_at_end(session: AsyncConnection, execution_id: UUID) -> None:
    """Void the approvals of gates without a phase whose evidence has changed; before the execution is locked."""
    for gate in await approved_at_the_end(session, execution_id):
        await void_if_changed(session, gate, ACTOR)
