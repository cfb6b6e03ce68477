"""What all kinds of phases share: one pass through a phase, and what may be said of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import SYSTEM
from app.domain.template_parts import END, Phase
from app.engine.leases import Execution

ACTOR = SYSTEM.name

Kind_co = TypeVar("Kind_co", bound=Phase, covariant=True)


@dataclass(frozen=True)
class Visit(Generic[Kind_co]):
    """One pass through a phase: the step of this number, the phase's `attempt`-th."""

    execution: Execution
    phase: Kind_co
    step_number: int
    attempt: int

    @property
    def detail(self) -> dict[str, Any]:
        """What every event of the step tells."""
        return {"phase": self.phase.name, "attempt": self.attempt, "step_number": self.step_number}


@dataclass(frozen=True)
class Waiting:
    """Others must act first; whoever does wakes the execution.

    It is also woken so many `seconds` after the step began, or at the time `until`.
    """

    seconds: float | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Done:
    """The phase is over. `outcome` holds references and small figures; `back_to` names an earlier phase to repeat.

    `leads_to` names any other phase, or `end`, with which to go on instead of what follows.
    """

    outcome: dict[str, Any] = field(default_factory=dict)
    back_to: str | None = None
    leads_to: str | None = None


@dataclass(frozen=True)
class Failed:
    """The phase cannot succeed any more, and why; the execution fails with it.

    `retry_phase` names the earlier phase with which a retry goes on, where that is not the phase itself.
    """

    reason: str
    outcome: dict[str, Any] = field(default_factory=dict)
    retry_phase: str | None = None


@dataclass(frozen=True)
class Caught:
    """The pass has failed, and the execution goes on: after so many seconds, with this phase."""

    reason: str
    outcome: dict[str, Any]
    next_phase: str
    seconds: float = 0


@dataclass(frozen=True)
class Own:
    """The worker itself must act now, outside of the transaction."""


Judgement = Waiting | Done | Failed | Caught | Own


class PhaseKind(Protocol):
    """The rules of one kind of phase. Rows decide: both functions may be called again at any time.

    Within a transaction the order of locks is: gates and tasks, agents, the execution. `prepare` and `judge` come
    before the execution is locked, `enter` after, so `enter` changes no row that was there before, save those that
    `prepare` has locked.
    """

    async def prepare(self, session: AsyncConnection, visit: Visit[Any]) -> None:
        """Lock the existing rows that `enter` will change."""

    async def enter(self, session: AsyncConnection, visit: Visit[Any]) -> Judgement:
        """Make the rows of a new pass, whose step has just been stored."""
        ...

    async def judge(self, session: AsyncConnection, visit: Visit[Any]) -> Judgement:
        """Say how a pass stands, after doing what it asks for now: trying a task again, asking for a verdict."""
        ...


def following(visit: Visit[Phase], leads_to: str | None = None) -> str:
    """The phase to which this one leads: `leads_to`, its `next`, or the one after it; empty for the end."""
    named = leads_to or visit.phase.next
    if named is not None:
        return "" if named == END else named
    names = [phase.name for phase in visit.execution.template.phases]
    index = names.index(visit.phase.name) + 1
    return names[index] if index < len(names) else ""
