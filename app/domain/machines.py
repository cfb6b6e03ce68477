"""State machines: one table of transitions each, from which everything else is built.

The CHECK constraints, the compare-and-set updates, `allowedTransitions` and the documentation all read these tables;
no other place says which status may follow which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from app.domain.errors import IllegalTransition

Status = TypeVar("Status", bound=StrEnum)


@dataclass(frozen=True)
class Machine(Generic[Status]):
    """The statuses of one aggregate, where a new row starts, and which status may follow which."""

    name: str
    initial: Status
    transitions: Mapping[Status, tuple[Status, ...]]

    def allowed_from(self, status: Status) -> tuple[Status, ...]:
        """The statuses that may follow `status`."""
        return self.transitions[status]

    def sources_of(self, target: Status) -> tuple[Status, ...]:
        """The statuses from which `target` may be reached: the left side of a compare-and-set."""
        return tuple(status for status, targets in self.transitions.items() if target in targets)

    def is_final(self, status: Status) -> bool:
        """Whether nothing may follow `status`."""
        return not self.transitions[status]

    def require(self, current: Status, target: Status) -> None:
        """Raise `IllegalTransition` unless `target` may follow `current`."""
        if target not in self.transitions[current]:
            raise IllegalTransition(self.name, current, target, self.allowed_from(current))
