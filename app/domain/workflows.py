"""Workflow executions: status, what started them, and their steps."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from app.domain.errors import HubError, IllegalTransition
from app.domain.machines import Machine
from app.domain.rules import Range


class ExecutionStatus(StrEnum):
    """Where a workflow execution stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TriggerType(StrEnum):
    """How an execution was started."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    AGENT_REQUEST = "agent_request"
    QUALITY_GATE = "quality_gate"
    ESCALATION = "escalation"


class StepStatus(StrEnum):
    """Where one pass through a phase stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class ErrorSeverity(StrEnum):
    """How grave a logged error is; critical ones outlive the 30 days of the others."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


DEPTH = Range(0, 8)
"""How deep workflows start workflows: 0 is one that no other started."""
FAMILY_MAX = 1_000
"""Executions that one may start as parts of itself, theirs included."""
SIGNALS_MAX = 1_000
"""Signals that an execution may be sent."""

EXECUTION_MACHINE = Machine(
    "workflow execution",
    ExecutionStatus.PENDING,
    {
        ExecutionStatus.PENDING: (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED),
        ExecutionStatus.RUNNING: (
            ExecutionStatus.PAUSED,
            ExecutionStatus.COMPLETED,
            ExecutionStatus.FAILED,
            ExecutionStatus.CANCELLED,
        ),
        ExecutionStatus.PAUSED: (ExecutionStatus.RUNNING, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED),
        ExecutionStatus.FAILED: (ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED),
        ExecutionStatus.COMPLETED: (),
        ExecutionStatus.CANCELLED: (),
    },
)

ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
"""The statuses in which nothing is under way; a failed one may be taken up again, and then is running."""

ACTIVE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)
"""The statuses in which an execution counts as one of those that run at once, unless it waits for its turn."""

RUNNABLE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
"""The statuses in which a worker may claim an execution."""


class WrongStatus(IllegalTransition):
    """The command is for executions of another status, though the state machine may know a way to its target."""

    def __init__(self, current: ExecutionStatus, target: ExecutionStatus, needed: ExecutionStatus, act: str) -> None:
        HubError.__init__(
            self,
            f"This workflow execution is {current.upper()}; only a {needed.upper()} one can be {act}, and becomes "
            f"{target.upper()}. Nothing was changed.",
        )
        self.current_status = current
        self.allowed = EXECUTION_MACHINE.allowed_from(current)


def require_status(current: ExecutionStatus, target: ExecutionStatus, needed: ExecutionStatus, act: str) -> None:
    """Raise `WrongStatus` unless the execution has the status that the command is for; `act` is a past participle.

    Several commands lead to RUNNING (a first claim, a resumption, a retry), each from one status only.
    """
    if current is not needed:
        raise WrongStatus(current, target, needed, act)


def require_next_step(latest: int, number: int) -> None:
    """Raise `ValueError` unless `number` follows `latest` (0 before the first step).

    The execution path is chronological because steps begin one by one: 1, 2, 3 … without a gap.
    """
    if number != latest + 1:
        raise ValueError(f"step {number} cannot begin after step {latest}: the next one is {latest + 1}")


def phase_of_retry(phase: str, outcome: Mapping[str, Any]) -> str:
    """The phase with which a retry goes on after this step failed: its own, unless its outcome names an earlier one."""
    return str(outcome.get("retry_phase", phase))
