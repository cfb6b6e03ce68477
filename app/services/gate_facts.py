"""What all changes of a gate ask and tell: whether its execution still runs, and where in it the gate stands."""

from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked
from app.domain.quality_gates import GATE_MACHINE, ApprovalStatus
from app.domain.workflows import ENDED
from db.queries.changes import read
from db.queries.entities import EXECUTION


async def require_unended(session: AsyncConnection, gate: Row[Any]) -> None:
    """Raise `Blocked` when the gate's execution has ended and the gate holds nothing any more.

    A gate that is decided passes: the transition itself is refused, and says more.
    """
    if GATE_MACHINE.is_final(ApprovalStatus(gate.approval_status)):
        return
    execution = await read(session, EXECUTION, gate.workflow_execution_id)
    if execution.execution_status in ENDED:
        raise Blocked(
            f"The workflow of the gate {gate.gate_name!r} is {execution.execution_status.upper()}; the gate holds "
            "nothing any more. Nothing was changed."
        )


def gate_detail(gate: Row[Any]) -> dict[str, Any]:
    """What every event of a gate tells; subscriptions find it by the execution."""
    return {"execution_id": str(gate.workflow_execution_id), "phase": gate.phase, "revision": gate.revision}
