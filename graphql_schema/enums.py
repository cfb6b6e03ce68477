"""The enums of the domain as GraphQL enums, with a description for every value.

Importing this module registers them, once; the types then name the enums of the domain. A GraphQL value is the
upper-cased stored value.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import strawberry

from app.domain.agents import AgentRole, AgentStatus
from app.domain.attention import AttentionKind, WaitsFor
from app.domain.batches import BatchMode
from app.domain.decisions import DecisionType, SealedAccess
from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.gate_evidence import EvidenceKind
from app.domain.gate_quorum import Exclusion
from app.domain.metrics import AlertLevel
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.domain.principals import Role
from app.domain.quality_gates import ApprovalStatus, GateType, ReviewVerdict
from app.domain.schedules import MissedRuns, ScheduleStatus
from app.domain.tasks import TaskKind, TaskStatus
from app.domain.workflows import ErrorSeverity, ExecutionStatus, StepStatus, TriggerType


def _register(enum: type[StrEnum], description: str, values: Mapping[Any, str]) -> None:
    strawberry.enum(enum, description=description)
    definition: Any = enum.__dict__["__strawberry_definition__"]
    for value in definition.values:
        value.description = values[value.value]


_register(
    AgentRole,
    "An agent's specialisation.",
    {
        AgentRole.PM: "Leads the team: answers decision requests and gives verdicts on quality gates.",
        AgentRole.ARCHITECT: "Designs the solution.",
        AgentRole.DEVELOPER: "Builds it.",
        AgentRole.QA: "Tests it and judges its quality.",
        AgentRole.UX: "Designs how people use it.",
        AgentRole.ANALYST: "Examines requirements, code or data and reports findings.",
        AgentRole.COORDINATOR: "Keeps the work of other agents together.",
        AgentRole.SPECIALIST: "Anything else; its capabilities say what.",
    },
)
_register(
    AgentStatus,
    "What an agent is doing.",
    {
        AgentStatus.ACTIVE: "Online with at least one task, and able to take another.",
        AgentStatus.BUSY: "Online with as many tasks as its concurrency allows.",
        AgentStatus.IDLE: "Online without a task.",
        AgentStatus.ERROR: "Reported that it cannot work; takes no tasks.",
        AgentStatus.OFFLINE: "Not connected, or silent for more than 90 seconds; its tasks were released.",
    },
)
_register(
    TaskKind,
    "What answers a task.",
    {
        TaskKind.WORK: "A piece of work; answered by `taskComplete` with a result.",
        TaskKind.DECISION: "A question to the PM; answered by `decisionRecord`, or by a verdict when it has a gate.",
        TaskKind.REVIEW: "A review of a quality gate; answered by `qualityGateReview`.",
    },
)
_register(
    TaskStatus,
    "Where a task stands.",
    {
        TaskStatus.PENDING: "Free: an agent that fits may claim it once its dependencies are completed.",
        TaskStatus.ASSIGNED: "Claimed by an agent that has not started yet.",
        TaskStatus.RUNNING: "Being worked on.",
        TaskStatus.COMPLETED: "Done; `result` holds the answer. Final.",
        TaskStatus.FAILED: "Its last attempt failed; it may be tried again.",
        TaskStatus.CANCELLED: "Given up, by a person or with its execution. Final.",
    },
)
_register(
    DecisionType,
    "What a decision is about.",
    {
        DecisionType.TASK_ASSIGNMENT: "Which work is to be done, and by whom.",
        DecisionType.QUALITY_GATE: "The verdict on a quality gate.",
        DecisionType.RESOURCE_ALLOCATION: "How resources are shared out.",
        DecisionType.ESCALATION: "That a human, or somebody with more rights, must decide.",
        DecisionType.MODEL_ASSIGNMENT: "Which AI model does which task.",
    },
)
_register(
    SealedAccess,
    "Whether you can read what is sealed of a decision.",
    {
        SealedAccess.OPEN: "You can.",
        SealedAccess.FORBIDDEN: "Your token's role may not; PM and ADMIN may.",
        SealedAccess.ERASED: "Nobody can: its key was destroyed. Final.",
    },
)
_register(
    ExecutionStatus,
    "Where a workflow execution stands.",
    {
        ExecutionStatus.PENDING: "Created; no worker has begun it yet.",
        ExecutionStatus.RUNNING: "A worker drives it, or it waits for tasks, decisions or gates.",
        ExecutionStatus.PAUSED: "Held by a person; it goes on when it is resumed.",
        ExecutionStatus.COMPLETED: "All phases are through. Final.",
        ExecutionStatus.FAILED: "A phase failed or a gate was rejected; `errorLog` says why.",
        ExecutionStatus.CANCELLED: "Given up; its open tasks were cancelled. Final.",
    },
)
_register(
    TriggerType,
    "What started an execution.",
    {
        TriggerType.MANUAL: "A person or program asked for it.",
        TriggerType.SCHEDULED: "A schedule was due.",
        TriggerType.AGENT_REQUEST: "An agent asked for it.",
        TriggerType.QUALITY_GATE: "The outcome of a quality gate called for it.",
        TriggerType.ESCALATION: "An escalation called for it.",
    },
)
_register(
    StepStatus,
    "Where one pass through a phase stands.",
    {
        StepStatus.RUNNING: "Begun and not ended.",
        StepStatus.COMPLETED: "Ended with an outcome.",
        StepStatus.FAILED: "Ended without one; the execution's `errorLog` says why.",
        StepStatus.SKIPPED: "Left out by somebody, with a reason; its result is null to later phases.",
    },
)
_register(
    ScheduleStatus,
    "Whether a schedule starts executions.",
    {
        ScheduleStatus.ACTIVE: "It starts one whenever it comes due.",
        ScheduleStatus.PAUSED: "It starts none until it is resumed; what comes due meanwhile is left out.",
        ScheduleStatus.ENDED: "It will not come due again; `scheduleUpdate` can give it another time.",
        ScheduleStatus.DELETED: "It is not used any more; the executions that it started keep it. Final.",
    },
)
_register(
    MissedRuns,
    "What becomes of runs whose time passed more than a minute ago, because no hub was there.",
    {
        MissedRuns.SKIP: "They are left out.",
        MissedRuns.RUN_ONCE: "The latest one is made up for, for all of them.",
        MissedRuns.RUN_ALL: "Each is made up for, one after the other; at most the latest 100.",
    },
)
_register(
    ErrorSeverity,
    "How grave a logged error is.",
    {
        ErrorSeverity.WARNING: "The execution went on. Kept for 30 days.",
        ErrorSeverity.ERROR: "A phase failed. Kept for 30 days.",
        ErrorSeverity.CRITICAL: "Needs a person. Kept beyond 30 days.",
    },
)
_register(
    GateType,
    "What a quality gate validates.",
    {
        GateType.CONTENT_VALIDATION: "That content is right and complete.",
        GateType.TECHNICAL_REVIEW: "That the technical work is sound.",
        GateType.SECURITY_CHECK: "That nothing endangers security.",
        GateType.PERFORMANCE_TEST: "That it is fast enough.",
        GateType.FINAL_APPROVAL: "That the whole may be delivered.",
    },
)
_register(
    ApprovalStatus,
    "Where a quality gate stands.",
    {
        ApprovalStatus.PENDING: "Created and not open for review yet.",
        ApprovalStatus.IN_REVIEW: "Open: reviewers give their feedback, then the verdict follows.",
        ApprovalStatus.APPROVED: "Passed; the work goes on. Final, unless what was approved changes before that.",
        ApprovalStatus.REJECTED: "Not passed; the execution fails. Final.",
        ApprovalStatus.REQUIRES_REVISION: "The work goes back and comes again; the gate is opened anew then.",
    },
)
_register(
    EvidenceKind,
    "What an item under review is.",
    {
        EvidenceKind.RESULT: "The result of a task or a function.",
        EvidenceKind.ARTIFACT: "One of the `artifacts` that a result lists.",
        EvidenceKind.GIT_TREE: "The `git_tree` that a result names: the hash of a tree of files.",
        EvidenceKind.DECISION: "The outcome of a decision.",
        EvidenceKind.GATE: "The verdict on an earlier gate.",
        EvidenceKind.CHECK: "A check of the gate, as it was measured.",
        EvidenceKind.REST: "All items beyond the thousandth, as one.",
    },
)
_register(
    Exclusion,
    "Why a review does not count to a gate's quorum.",
    {
        Exclusion.NOT_ASKED: "The gate names its reviewers, and this is none of them.",
        Exclusion.AUTHOR: "The reviewer made what is under review.",
        Exclusion.AUTHOR_SESSION: "It was given under the token under which what is under review was handed in.",
        Exclusion.AUTHOR_MODEL_FAMILY: "The reviewer works with a model of the family that made what is under review.",
    },
)
_register(
    ReviewVerdict,
    "What one reviewer recommends.",
    {
        ReviewVerdict.APPROVE: "To let it pass.",
        ReviewVerdict.REJECT: "To stop it.",
        ReviewVerdict.REQUEST_REVISION: "To send it back for improvement.",
    },
)
_register(
    Provider,
    "Who serves an AI model.",
    {
        Provider.CLAUDE_CODE: "Claude Code, under a subscription or an API key of its own.",
        Provider.ANTHROPIC_CLAUDE: "Anthropic's API.",
        Provider.ZAI_GLM: "Z.ai's API for GLM models.",
    },
)
_register(
    AssignmentReason,
    "Why a model was chosen.",
    {
        AssignmentReason.COMPLEXITY_HIGH: "The task is hard enough to need it.",
        AssignmentReason.COST_OPTIMIZATION: "It is the cheapest that can do the task.",
        AssignmentReason.PROVIDER_PREFERENCE: "The provider was asked for.",
        AssignmentReason.FALLBACK: "The first choice was not to be had.",
    },
)
_register(
    AssignmentStatus,
    "Where a model assignment stands.",
    {
        AssignmentStatus.PENDING: "Planned; the model has not begun.",
        AssignmentStatus.ACTIVE: "The model works on the task.",
        AssignmentStatus.COMPLETED: "The model is done; cost and tokens are recorded. Final.",
        AssignmentStatus.FAILED: "The model failed; `failureReason` says why, `fallback` what stands in for it. Final.",
        AssignmentStatus.CANCELLED: "Given up. Final.",
    },
)
_register(
    AlertLevel,
    "How alarming a measurement is.",
    {
        AlertLevel.NORMAL: "As it should be.",
        AlertLevel.WARNING: "Worth a look.",
        AlertLevel.CRITICAL: "Something must be done.",
        AlertLevel.EMERGENCY: "Something must be done at once.",
    },
)
_register(
    Aggregate,
    "A kind of entity that changes, and that the event log tells of.",
    {
        Aggregate.AGENT: "An agent, and the messages between agents.",
        Aggregate.TASK: "A task.",
        Aggregate.WORKFLOW: "A workflow execution with its steps and errors.",
        Aggregate.DECISION: "A decision.",
        Aggregate.QUALITY_GATE: "A quality gate with its reviews.",
        Aggregate.MODEL_ASSIGNMENT: "A model assignment.",
        Aggregate.METRICS: "A measurement of resources.",
        Aggregate.SCHEDULE: "A schedule of a workflow.",
        Aggregate.API_TOKEN: "An API token.",
    },
)
_register(
    BatchMode,
    "What becomes of a batch of which some items are refused.",
    {
        BatchMode.ALL_OR_NOTHING: "One refusal refuses all: nothing is written.",
        BatchMode.EACH: "Each item by itself: what can be done is done, the results tell which.",
    },
)
_register(
    Role,
    "What the holder of a token may do. Every role reads all but sealed fields and tokens.",
    {
        Role.VIEWER: "Reads only.",
        Role.AGENT: "Acts for the agent that the token names, reviews gates, records metrics.",
        Role.REVIEWER: "Reviews quality gates.",
        Role.PM: "Decides: creates tasks, runs workflows, records decisions and verdicts; reads sealed fields.",
        Role.ADMIN: "Everything, tokens included.",
    },
)
_register(
    ErrorCode,
    "Why a request was refused. Nothing was written then, unless the code says otherwise.",
    {
        ErrorCode.INVALID_INPUT: "A value breaks a rule; `field` tells which one.",
        ErrorCode.NOT_FOUND: "No object has the id.",
        ErrorCode.FORBIDDEN: "The token does not allow it.",
        ErrorCode.STALE_VERSION: "Somebody changed the object first; read it again.",
        ErrorCode.ILLEGAL_TRANSITION: "The object's state machine has no such transition from where it is.",
        ErrorCode.CLAIM_LOST: "The task is held by another agent, or by none any more.",
        ErrorCode.AGENT_AT_CAPACITY: "The agent has as many tasks as its concurrency allows.",
        ErrorCode.AGENT_UNAVAILABLE: "The agent is in error or offline.",
        ErrorCode.UNKNOWN_TEMPLATE: "No workflow template has the name.",
        ErrorCode.ALREADY_RUNNING: "As many executions of the workflow are under way as its template allows at once.",
        ErrorCode.BLOCKED: "Something must happen first: dependencies, reviews.",
        ErrorCode.EVIDENCE_CHANGED: "What is to be judged is not what you saw; the message tells its hash now.",
        ErrorCode.IDEMPOTENCY_KEY_REUSED: "The idempotency key was used for another request.",
        ErrorCode.UNAVAILABLE: "The hub cannot answer now; try again.",
        ErrorCode.UNAUTHENTICATED: "The token is missing, unknown, expired or revoked.",
        ErrorCode.RESYNC_REQUIRED: "The cursor is older than the event log or of another database; read anew.",
        ErrorCode.TOO_EXPENSIVE: "The operation asks for too many values at once; ask for smaller pages.",
        ErrorCode.TRUSTED_DOCUMENTS_ONLY: "The hub answers registered documents only, and this is none of them.",
        ErrorCode.PERSISTED_QUERY_NOT_FOUND: "The hub does not know the document by its hash; send its text with it.",
        ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED: "The hub keeps no documents that clients send; send the text alone.",
    },
)

_register(
    AttentionKind,
    "What it is that waits for a person or the PM.",
    {
        AttentionKind.ESCALATION: "A quality gate that was escalated: a human must look at it.",
        AttentionKind.VERDICT: "A quality gate that waits for reviews of people, for its verdict, or to be opened.",
        AttentionKind.QUESTION: "A question to the PM, asked by a workflow, that is not answered.",
        AttentionKind.TASK_FAILED: "A task of no workflow that has failed.",
        AttentionKind.EXECUTION_FAILED: "A workflow execution that failed, and was neither retried nor cancelled.",
        AttentionKind.EXECUTION_PAUSED: "A workflow execution that was paused.",
        AttentionKind.AGENT_ERROR: "An agent that says it cannot work.",
        AttentionKind.AGENT_SILENT: "An agent that has tasks at hand, and has not been heard of for 30 seconds.",
    },
)

_register(
    WaitsFor,
    "Who can end a wait.",
    {
        WaitsFor.PM: "The PM agent: by a decision or a verdict.",
        WaitsFor.HUMAN: "A person: by a review, a verdict, or by looking at what was escalated.",
        WaitsFor.OPERATOR: "Whoever runs the team, a person or the PM: by trying again, going on, or giving up.",
    },
)
