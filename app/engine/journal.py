"""What a run has yet to write: it goes into the run's next transaction, with the rows that this one changes.

Nothing waits here beyond the begin of the next step, so each step's result and checkpoint are stored before the next
step begins; a worker that dies before that has done the step for nothing, as if it had died within it.
"""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from app.domain.principals import SYSTEM
from db.queries.boundaries import Boundary, EndedStep
from db.queries.checkpoints import Checkpoints


class Saver(Protocol):
    """What LangGraph saves, until it is written."""

    def waiting(self) -> Checkpoints | None: ...
    def written(self) -> None: ...


class NoSaver:
    """Before the graph runs nothing is saved."""

    def waiting(self) -> Checkpoints | None:
        """Nothing."""
        return None

    def written(self) -> None:
        """Nothing was."""


@dataclass
class Journal:
    """`starts`: the execution is pending, and runs with the next transaction. `ended` is the step that was done."""

    starts: bool = False
    ended: EndedStep | None = None
    saver: Saver = field(default_factory=NoSaver)

    def boundary(self, execution_id: UUID, fence: int) -> Boundary | None:
        """What is to be written; None for nothing."""
        saved = self.saver.waiting()
        if not self.starts and self.ended is None and saved is None:
            return None
        return Boundary(execution_id, fence, SYSTEM.name, self.starts, self.ended, saved)

    def written(self) -> None:
        """The transaction was committed."""
        self.starts, self.ended = False, None
        self.saver.written()
