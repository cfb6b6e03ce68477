"""Tasks: the breakdown of a decision into work, and the questions that a workflow asks of its agents."""

from enum import StrEnum

from app.domain.errors import Blocked
from app.domain.machines import Machine
from app.domain.rules import Range

PRIORITY = Range(1, 9)
"""1 is done first."""
TIMEOUT_SECONDS = Range(1, 604_800)
MAX_RELEASES = 10
"""So often a task may come back to the pool; once more, and it waits for a person."""
REASON_MAX = 2_000
"""Characters of a reason or a progress message, which go into events."""


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskKind(StrEnum):
    """What answers a task: work by its result, a decision by a recorded decision, a review by a gate review."""

    WORK = "work"
    DECISION = "decision"
    REVIEW = "review"


TASK_MACHINE = Machine(
    "task",
    TaskStatus.PENDING,
    {
        TaskStatus.PENDING: (TaskStatus.ASSIGNED, TaskStatus.CANCELLED),
        TaskStatus.ASSIGNED: (TaskStatus.RUNNING, TaskStatus.PENDING, TaskStatus.CANCELLED),
        TaskStatus.RUNNING: (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.PENDING, TaskStatus.CANCELLED),
        TaskStatus.FAILED: (TaskStatus.PENDING, TaskStatus.CANCELLED),
        TaskStatus.COMPLETED: (),
        TaskStatus.CANCELLED: (),
    },
)

HELD = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
"""The statuses in which an agent has the task at hand; they count towards its concurrency."""


def require_retryable(status: TaskStatus, *, escalated: bool = False) -> None:
    """Raise `IllegalTransition` or `Blocked` unless the task has failed, or was `escalated` while it was pending.

    What is at hand is released, not retried.
    """
    if status is TaskStatus.PENDING and escalated:
        return
    TASK_MACHINE.require(status, TaskStatus.PENDING)
    if status is not TaskStatus.FAILED:
        raise Blocked(
            f"This task is {status.upper()}: an agent has it at hand, and gives it back by taskRelease. "
            "Only a task that FAILED is retried. Nothing was changed."
        )
