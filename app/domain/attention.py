"""What waits for a person or the PM, and by how much it matters."""

from enum import StrEnum


class AttentionKind(StrEnum):
    """What it is that waits."""

    ESCALATION = "escalation"
    VERDICT = "verdict"
    QUESTION = "question"
    TASK_FAILED = "task_failed"
    EXECUTION_FAILED = "execution_failed"
    EXECUTION_PAUSED = "execution_paused"
    AGENT_ERROR = "agent_error"
    AGENT_SILENT = "agent_silent"


class WaitsFor(StrEnum):
    """Who can end the wait."""

    PM = "pm"
    HUMAN = "human"
    OPERATOR = "operator"


AGENT_WEIGHT = 10
"""An agent that is held up counts as much as so many dollars spent, or hours of waiting."""

NEXT_STEPS = {
    AttentionKind.ESCALATION: ("qualityGateResolveEscalation",),
    AttentionKind.VERDICT: (
        "qualityGateOpen",
        "qualityGateApprove",
        "qualityGateReject",
        "qualityGateRequestRevision",
        "qualityGateWaive",
    ),
    AttentionKind.QUESTION: ("decisionRecord", "taskRelease", "taskCancel"),
    AttentionKind.TASK_FAILED: ("taskRetry", "taskCancel"),
    AttentionKind.EXECUTION_FAILED: ("workflowRetry", "workflowCancel"),
    AttentionKind.EXECUTION_PAUSED: ("workflowResume", "workflowCancel"),
    AttentionKind.AGENT_ERROR: ("agentSetStatus",),
    AttentionKind.AGENT_SILENT: ("taskRelease",),
}
"""The mutations that can end the wait."""
