"""The execution in a worker's hand: its lease, and the fence that each of the worker's writes checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.templates import WorkflowTemplate
from app.engine.journal import Journal
from db.queries.boundaries import write
from db.queries.executions import hold_fence


class LostLease(Exception):
    """Another worker has the execution, or it was cancelled: nothing more may be written for it from here."""


@dataclass(frozen=True)
class Execution:
    """An execution under our lease. `context` is its input; `decision_id` the decision that caused it.

    What `journal` holds is written by the next transaction that holds the execution.
    """

    execution_id: UUID
    fence: int
    template: WorkflowTemplate
    context: Mapping[str, Any]
    decision_id: UUID | None
    journal: Journal = field(default_factory=Journal)

    async def hold(self, session: AsyncConnection) -> None:
        """Lock the execution for the rest of the transaction; raises `LostLease`, so that all of it is undone.

        To be called once, after existing tasks, gates and agents were locked: executions come last.
        """
        boundary = self.journal.boundary(self.execution_id, self.fence)
        held = write(session, boundary) if boundary else hold_fence(session, self.execution_id, self.fence)
        if not await held:
            raise LostLease(self.execution_id)
