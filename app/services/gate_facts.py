"""What all changes of a gate ask and tell: whether its execution still runs, where it stands, until when it waits."""

from typing import Any

from sqlalchemy import func, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked
from app.domain.gate_quorum import GateRules
from app.domain.quality_gates import is_decided
from app.domain.workflows import ENDED
from db.queries.changes import read
from db.queries.entities import EXECUTION


async def require_unended(session: AsyncConnection, gate: Row[Any]) -> None:
    """Raise `Blocked` when the gate's execution has ended and the gate holds nothing any more.

    A gate that is decided passes: the transition itself is refused, and says more.
    """
    if is_decided(gate.approval_status):
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


def due_at(rules: GateRules) -> Any:
    """The column: until when the verdict is expected, by the database's clock; null when any time will do."""
    if rules.timeout_seconds is None:
        return null()
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, float(rules.timeout_seconds))
