"""What each field of an input may hold beyond its GraphQL type. A field without a rule here fails the test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from app.domain.errors import ErrorCode

WHOLE = 100_000
"""Characters of a long text."""
MEGABYTES = Decimal(99_999_999_999)


@dataclass(frozen=True)
class Text:
    """Text of at most so many characters; blank as `required`, or as `or_empty`, which takes the empty text only."""

    longest: int
    required: bool = True
    or_empty: bool = False
    blank_code: ErrorCode = ErrorCode.INVALID_INPUT


@dataclass(frozen=True)
class Shaped:
    """Text of a certain shape, which these have not."""

    wrong: Sequence[str]


@dataclass(frozen=True)
class Identifier:
    """The UUID of an entity of this kind that exists."""

    kind: str


@dataclass(frozen=True)
class AgentName:
    """The id of an agent; with `known` one that exists."""

    known: bool = True


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high` and not `step` less or more; an open end is None."""

    low: Decimal | None = None
    high: Decimal | None = None
    step: Decimal = Decimal(1)


@dataclass(frozen=True)
class Json:
    """A JSON value of bounded size, an object where `is_object`; `wrong` break its schema."""

    is_object: bool
    wrong: Sequence[Any] = ()


@dataclass(frozen=True)
class Items:
    """From `least` to `most` items, of which each keeps the rule `item`; `unlike` are its fields that must differ."""

    most: int
    least: int = 0
    item: Any = None
    unlike: Sequence[str] = ()
    full: bool = True
    """Whether as many as may be can be made of the first item."""


@dataclass(frozen=True)
class Choice:
    """One of an enum's values, but for these."""

    refused: Sequence[str] = ()


@dataclass(frozen=True)
class Version:
    """The version that the entity has."""


@dataclass(frozen=True)
class Moment:
    """A time, none of these away from now."""

    refused: Sequence[timedelta] = ()


@dataclass(frozen=True)
class Sha256:
    """A hash of 64 hexadecimal digits."""


@dataclass(frozen=True)
class Free:
    """Any value of its type will do."""


def number(low: float | str | None, high: float | str | None = None, step: float | str = 1) -> Number:
    first, last = (None if end is None else Decimal(str(end)) for end in (low, high))
    return Number(first, last, Decimal(str(step)))


TEN_POINT = number(1, 10)
SCORE = number(0, 10, "0.01")
PERCENT = number(0, 100, "0.01")
COST = number(0, "99999999.999999", "0.000001")
AMOUNT = Number(Decimal(0), MEGABYTES, Decimal("0.001"))
COUNT = number(0)
OPTIONAL_REASON = Text(2_000, required=False)
FIGURES = Json(
    is_object=True,
    wrong=[{"": 1}, {"k" * 101: 1}, {f"k{n}": n for n in range(201)}, {"a": "x" * 1_001}, {"a": [[1]]}],
)
CRITERIA = Json(
    is_object=True,
    wrong=[
        {"verdict_by": "nobody"},
        {"min_score": 11},
        {"reviewers": "x"},
        {"reviewers": [""]},
        {"quorum": 0},
        {"quorum": "most"},
        {"timeout_seconds": 0},
    ],
)

RULES: Mapping[str, Any] = {
    "idempotencyKey": Text(200),
    "dryRun": Free(),
    "expectedVersion": Version(),
    "mode": Free(),
    # agents
    "agentId": AgentName(),
    "AgentRegisterInput.agentId": AgentName(known=False),
    "ApiTokenCreateInput.agentId": AgentName(known=False),
    "fromAgentId": AgentName(),
    "toAgentId": AgentName(),
    "agentIds": Items(200, least=1, item=AgentName(), full=False),
    "agentName": Text(200),
    "AgentRegisterInput.agentName": Text(200, or_empty=True),
    "agentRole": Free(),
    "capabilities": Items(100, item=Text(100)),
    "concurrency": number(1, 64),
    "extensionConfig": Json(is_object=True),
    "observedAt": Moment((timedelta(days=-2), timedelta(days=-700_000))),
    "resourceUtilization": FIGURES,
    "performanceMetrics": FIGURES,
    "status": Choice(("ACTIVE", "BUSY")),
    "body": Text(10_000),
    # tasks
    "taskId": Identifier("task"),
    "title": Text(200),
    "description": Text(WHOLE, required=False),
    "requiredRole": Free(),
    "requiredCapabilities": Items(50, item=Text(100)),
    "complexity": TEN_POINT,
    "priority": number(1, 9),
    "timeoutSeconds": number(1, 604_800),
    "keepTaskIds": Items(64),
    "dependsOn": Items(200, item=Identifier("task")),
    "dependsOnKeys": Items(200, item=Text(200), full=False),
    "key": Text(200),
    "input": Json(is_object=True),
    "tasks": Items(200, least=1, full=False),
    "message": Text(2_000, required=False),
    "percent": PERCENT,
    "result": Json(is_object=False),
    "reason": OPTIONAL_REASON,
    "TaskFailInput.reason": Text(WHOLE),
    "TaskCancelInput.reason": Text(2_000),
    # workflows
    "executionId": Identifier("execution"),
    "workflowName": Text(200, blank_code=ErrorCode.UNKNOWN_TEMPLATE),
    "inputContext": Json(is_object=True),
    "triggerType": Free(),
    "step": number(1, 1),
    "scheduleId": Identifier("schedule"),
    "scheduleName": Text(200),
    "cronExpression": Shaped(
        ("", " ", "sometimes", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "@daily", "x" * 201)
    ),
    "timeZone": Shaped(("", " ", "Atlantis", "europe/berlin", "../../etc/passwd", "x" * 10_000)),
    "intervalSeconds": number(1, 366 * 86_400),
    "startAt": Moment((timedelta(days=-11_000), timedelta(days=2_600_000))),
    "missedRuns": Free(),
    "WorkflowSkipPhaseInput.reason": Text(2_000),
    "WorkflowFailInput.reason": Text(2_000),
    "payload": Json(is_object=False),
    # one that the workflow awaits
    "WorkflowSignalInput.name": Free(),
    # what is wrong with a template is told as faults, and tested with the templates
    "spec": Free(),
    "yaml": Free(),
    "WorkflowCancelInput.reason": Text(2_000),
    # decisions
    "decisionId": Identifier("decision"),
    "decisionType": Free(),
    "contextData": Json(is_object=False),
    "reasoningProcess": Text(WHOLE),
    "QualityGateDecideInput.reasoningProcess": Text(WHOLE, or_empty=True),
    "outcome": Text(WHOLE),
    "confidenceScore": TEN_POINT,
    "agentAssignments": Json(is_object=True, wrong=[{"james-dev": 5}, {"": "x"}, {f"a{n}": "x" for n in range(1_001)}]),
    "resourceOptimization": Json(is_object=True),
    "learningNotes": Text(WHOLE, required=False),
    "evidence": Items(100),
    "intervalStart": Free(),
    "intervalEnd": Moment((timedelta(days=-700_000),)),
    "snapshot": Json(is_object=False),
    "qualityGates": Items(50),
    "DecisionEraseInput.reason": Text(2_000),
    # quality gates
    "gateId": Identifier("gate"),
    "workflowExecutionId": Identifier("execution"),
    "requestedByDecisionId": Identifier("decision"),
    "gateName": Text(200),
    "gateType": Free(),
    "validationCriteria": CRITERIA,
    "reviewers": Items(50, item=Text(200)),
    "QualityGateAssignReviewersInput.reviewers": Items(50, least=1, item=Text(200)),
    "verdict": Free(),
    "score": SCORE,
    "feedback": Text(WHOLE, required=False),
    "pmDecision": Text(99_900),
    "qualityScore": SCORE,
    "improvementSuggestions": Text(WHOLE, required=False),
    "checks": Items(200, least=1, unlike=("name",)),
    "name": Text(200),
    "measure": Text(200, required=False),
    "measured": Number(),
    "atMost": Number(),
    "atLeast": Number(),
    "QualityGateEscalateInput.reason": Text(2_000),
    "QualityGateWaiveInput.reason": Text(2_000),
    "escalateTo": Text(200),
    "evidenceHash": Sha256(),
    "note": OPTIONAL_REASON,
    # model assignments
    "assignmentId": Identifier("assignment"),
    "providerName": Free(),
    "modelName": Text(200),
    "assignmentReason": Free(),
    "taskComplexity": TEN_POINT,
    "estimatedCost": COST,
    "assignmentStatus": Choice(("COMPLETED", "FAILED", "CANCELLED")),
    "fallbacks": Items(10),
    "actualCost": COST,
    "tokensUsed": COUNT,
    "processingTime": COUNT,
    "performanceScore": SCORE,
    "ModelAssignmentFailInput.reason": Text(2_000),
    # metrics
    "measurements": Items(1_000, least=1),
    "measurementTime": Moment((timedelta(days=-90, seconds=-1), timedelta(minutes=6), timedelta(days=2_000_000))),
    "cpuUsage": PERCENT,
    "memoryUsage": AMOUNT,
    "diskUsage": AMOUNT,
    "networkIo": AMOUNT,
    "activeSessions": COUNT,
    "databaseConnections": COUNT,
    "responseTime": COUNT,
    "errorRate": PERCENT,
    "optimizationScore": SCORE,
    "optimizationSuggestions": Items(50, item=Text(2_000, required=False)),
    "alertLevel": Free(),
    # access
    "tokenName": Text(200),
    "role": Free(),
    "expiresAt": Free(),
    "tokenId": Identifier("token"),
}


def rule_of(type_name: str, field: str) -> Any:
    """The rule of an input's field; `KeyError` for one that nobody thought of."""
    return RULES.get(f"{type_name}.{field}") or RULES[field]
