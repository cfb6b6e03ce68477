"""Workflow executions: status, what started them, and their steps."""

from enum import StrEnum

from app.domain.machines import Machine


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


class ErrorSeverity(StrEnum):
    """How grave a logged error is; critical ones outlive the 30 days of the others."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


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

RUNNABLE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
"""The statuses in which a worker may claim an execution."""
