"""Model assignments: which AI model works on which task, why, and at what cost."""

from enum import StrEnum

from app.domain.machines import Machine


class Provider(StrEnum):
    """Who serves the model."""

    CLAUDE_CODE = "claude_code"
    ANTHROPIC_CLAUDE = "anthropic_claude"
    ZAI_GLM = "zai_glm"


class AssignmentReason(StrEnum):
    """Why this model was chosen."""

    COMPLEXITY_HIGH = "complexity_high"
    COST_OPTIMIZATION = "cost_optimization"
    PROVIDER_PREFERENCE = "provider_preference"
    FALLBACK = "fallback"


class AssignmentStatus(StrEnum):
    """Where a model assignment stands."""

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ASSIGNMENT_MACHINE = Machine(
    "model assignment",
    AssignmentStatus.PENDING,
    {
        AssignmentStatus.PENDING: (AssignmentStatus.ACTIVE, AssignmentStatus.CANCELLED),
        AssignmentStatus.ACTIVE: (AssignmentStatus.COMPLETED, AssignmentStatus.FAILED, AssignmentStatus.CANCELLED),
        AssignmentStatus.COMPLETED: (),
        AssignmentStatus.FAILED: (),
        AssignmentStatus.CANCELLED: (),
    },
)
