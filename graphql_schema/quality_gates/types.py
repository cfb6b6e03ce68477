"""Quality gates and their reviews."""

from datetime import datetime
from decimal import Decimal

import strawberry
from sqlalchemy import ColumnElement, and_

from app.domain.gate_evidence import EvidenceKind
from app.domain.gate_quorum import Exclusion
from app.domain.quality_gates import GATE_MACHINE, ApprovalStatus, GateType, ReviewVerdict
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import tasks
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import AgentRef, DecisionRef, ExecutionRef, GateRef, Reviews, Tasks
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Row, rising
from graphql_schema.planner.fields import column, computed, item, items, many, one, transitions
from graphql_schema.scalars import JSON

REVIEW = gate_reviewers.c
GATE = quality_gates.c
TASK = tasks.c


def is_of_revision(gate: Row, review: Row) -> ColumnElement[bool]:
    """The review is of the gate's current revision."""
    return and_(review[REVIEW.gate_id] == gate[GATE.gate_id], review[REVIEW.revision] == gate[GATE.revision])


def _counts(review: Row) -> ColumnElement[bool]:
    return and_(review[REVIEW.verdict].is_not(None), review[REVIEW.excluded_because].is_(None))


def is_answered(gate: Row, review: Row) -> ColumnElement[bool]:
    """The review is of the gate's current revision, and was given."""
    return and_(is_of_revision(gate, review), review[REVIEW.reviewed_at].is_not(None))


@strawberry.type(description="An automated check: a measured value beside its thresholds. Checks inform the verdict.")
class AutomatedCheck:
    name: str = item("name", description="The check's name, unique among those of its gate.")
    measure: str | None = item(
        "measure",
        description="What was measured: the path of the number in the results of the workflow's phases, or words.",
    )
    measured: float | None = item("measured", description="The value; null when there was no number to be found.")
    at_most: float | None = item("at_most", description="The value must not be above this; null when it may.")
    at_least: float | None = item("at_least", description="The value must not be below this; null when it may.")
    passed: bool = item(
        "passed", description="Whether there is a value that keeps to the thresholds, and the criteria hold."
    )
    criteria: str | None = item("criteria", description="A condition in CEL that must hold to pass; null for none.")
    command: str | None = item("command", description="The command whose value it is, run by an agent; null for none.")
    task_id: strawberry.ID | None = item(
        "task_id", description="The UUID of the task in which the command was run; null without one, and before."
    )
    skipped: bool | None = item(
        "skipped", description="True where the check was left out, since its `when` did not hold; null otherwise."
    )
    error: str | None = item("error", description="Why there is no value; null where there is nothing to say.")


@strawberry.type(
    description="One thing that is under review. Its hash is the SHA-256 of its canonical JSON: sorted keys, no white "
    "space, UTF-8, numbers as Python writes them."
)
class EvidenceItem:
    kind: EvidenceKind = item("kind", description="What it is.")
    phase: str | None = item("phase", description="The phase that it comes from; null for a check of the gate.")
    name: str = item("name", description="Its name: of the task, of the artifact within it, or of the check.")
    value: str | None = item("value", description="The value, where it is a short text such as a tree's hash.")
    sha256: str = item("sha256", description="Its hash, 64 hexadecimal digits.")


@strawberry.type(
    description="A checkpoint of a workflow: the work is held until the verdict (`qualityGateApprove`, "
    "`qualityGateReject`, `qualityGateRequestRevision`). A gate without a phase, which a decision or a person asked "
    "for, holds the end of its execution."
)
class QualityGateExecution(Node):
    __entity__ = Entity(quality_gates, (GATE.gate_id,))

    gate_id: strawberry.ID = column(GATE.gate_id, description="The gate's UUID.")
    workflow_execution_id: strawberry.ID = column(
        GATE.workflow_execution_id, description="UUID of the execution whose work the gate holds."
    )
    gate_name: str = column(GATE.gate_name, description="The gate's name for people.")
    gate_type: GateType = column(GATE.gate_type, description="What the gate validates.")
    phase: str | None = column(
        GATE.phase, description="The phase of the workflow that it is; null when a decision asked for it."
    )
    phase_attempt: int | None = column(
        GATE.phase_attempt, description="In which pass through its phase it was opened, from 1; null without a phase."
    )
    validation_criteria: JSON = column(
        GATE.validation_criteria, description="What must hold for the gate to pass, an object."
    )
    automated_checks: list[AutomatedCheck] = items(
        GATE.automated_checks,
        description="Checks on measured values: those of the workflow's template, measured when the gate was opened, "
        "and those of `qualityGateRecordChecks`.",
    )
    approval_status: ApprovalStatus = column(GATE.approval_status, description="Where the gate stands.")
    allowed_transitions: list[ApprovalStatus] = transitions(GATE_MACHINE, GATE.approval_status)
    revision: int = column(
        GATE.revision, description="How often the work was sent back: 0 at first, +1 each time it comes again."
    )
    pm_decision: str | None = column(GATE.pm_decision, description="The reasons of the verdict; null before it.")
    quality_score: Decimal | None = column(
        GATE.quality_score, description="How good the work was found, from 0 to 10; null when not judged."
    )
    improvement_suggestions: str = column(
        GATE.improvement_suggestions, description="What should be done better; may be empty."
    )
    escalation_required: bool = column(GATE.escalation_required, description="Whether a human must look at it.")
    escalation_reason: str | None = column(
        GATE.escalation_reason, description="Why a human must look at it; null when none must."
    )
    escalated_at: datetime | None = column(
        GATE.escalated_at, description="Since when a human must look at it; null when none must."
    )
    escalated_to: str | None = column(
        GATE.escalated_to, description="Who is to look at it, a person or a group; null when nobody was named."
    )
    due_at: datetime | None = column(
        GATE.due_at,
        description="Until when the verdict is expected; past it the gate is escalated, once, and goes on waiting. "
        "Null when any time will do.",
    )
    evidence: list[EvidenceItem] = items(
        GATE.evidence,
        description="What is under review, item by item: as it was when the review began, a check was recorded, or "
        "the verdict was given. Empty before the review.",
    )
    evidence_hash: str | None = column(
        GATE.evidence_hash,
        description="The SHA-256 over all items of `evidence`; null before the review. For `evidenceHash` of reviews "
        "and verdicts.",
    )
    verdict_evidence_hash: str | None = column(
        GATE.verdict_evidence_hash,
        description="What the verdict rests on, a hash as `evidenceHash`; null before it. An approval whose evidence "
        "changes before the execution moves on is void: the gate is IN_REVIEW again, as a new revision.",
    )
    times_voided: int = column(
        GATE.times_voided, description="How often an approval or the reviews were void, since the work had changed."
    )
    void_reason: str | None = column(
        GATE.void_reason, description="What had changed the last time; null when nothing was void."
    )
    waived_by: str | None = column(
        GATE.waived_by, description="Who approved it by a waiver, whatever reviews and criteria said; null otherwise."
    )
    waiver_reason: str | None = column(GATE.waiver_reason, description="Why it was waived; null when it was not.")
    closed_at: datetime | None = column(
        GATE.closed_at,
        description="Since when it waits for no verdict any more, because its execution has ended; null while it may "
        "be decided, and after the verdict. A retry of the execution opens it again.",
    )
    decision_id: strawberry.ID | None = column(
        GATE.decision_id, description="The UUID of the decision that is the latest verdict on the gate; null before it."
    )
    requested_by_decision_id: strawberry.ID | None = column(
        GATE.requested_by_decision_id,
        description="The UUID of the decision that asked for the gate; null when the workflow's template did.",
    )
    reviewed_at: datetime | None = column(GATE.reviewed_at, description="When the reviews were complete; null before.")
    approved_at: datetime | None = column(GATE.approved_at, description="When it was approved; null unless it was.")
    version: int = column(GATE.version, description="Rises by one with each change. For `expectedVersion`.")
    created_at: datetime = column(GATE.created_at, description="When the gate was made.")
    updated_at: datetime = column(GATE.updated_at, description="When the gate last changed.")

    execution: ExecutionRef = one(GATE.workflow_execution_id, description="The workflow execution whose work is held.")
    decision: DecisionRef | None = one(
        GATE.decision_id, description="The decision that is the latest verdict on the gate; null before it."
    )
    requested_by_decision: DecisionRef | None = one(
        GATE.requested_by_decision_id,
        description="The decision that asked for the gate; null when the workflow's template did.",
    )
    reviewers: Reviews = many(
        REVIEW.gate_id,
        order=rising(REVIEW.review_id),
        description="Who is to review the work, and what they said, of every revision; in the order of asking.",
    )
    reviewer_assignments: Reviews = many(
        is_of_revision,
        order=rising(REVIEW.review_id),
        description="Who is to review the current revision, answered or not; in the order of asking.",
    )
    reviewer_feedback: Reviews = many(
        is_answered,
        order=rising(REVIEW.review_id),
        description="The reviews of the current revision that were given; in the order of asking.",
    )
    tasks: Tasks = many(TASK.gate_id, description="The review and decision tasks that the gate made, newest first.")


@strawberry.type(description="One reviewer's part in a quality gate: asked, and then perhaps answered.")
class GateReview(Node):
    __entity__ = Entity(gate_reviewers, (REVIEW.review_id,))

    review_id: strawberry.ID = column(REVIEW.review_id, description="The review's UUID.")
    gate_id: strawberry.ID = column(REVIEW.gate_id, description="The UUID of the gate under review.")
    agent_id: strawberry.ID | None = column(
        REVIEW.agent_id, description="The id of the reviewing agent; null when a person is asked."
    )
    reviewer: str = column(REVIEW.reviewer, description="Who is asked: an agent's id, or the name of a person's token.")
    revision: int = column(
        REVIEW.revision, description="Which revision of the work is reviewed, as `revision` of the gate."
    )
    verdict: ReviewVerdict | None = column(
        REVIEW.verdict, description="What the reviewer recommends; null before the answer."
    )
    score: Decimal | None = column(
        REVIEW.score, description="How good the reviewer finds the work, from 0 to 10; null when not said."
    )
    counts_to_quorum: bool = computed(
        _counts,
        description="Whether the review was given and counts to the gate's quorum: it is of somebody who was asked, "
        "and who has not made the work.",
    )
    excluded_because: Exclusion | None = column(
        REVIEW.excluded_because, description="Why the review does not count; null when it does, and before the answer."
    )
    evidence_hash: str | None = column(
        REVIEW.evidence_hash,
        description="The hash of what was there when the review was given; null before the answer.",
    )
    is_named: bool = column(
        REVIEW.is_named,
        description="Whether the reviewer was asked by name; others were asked by a review task, or not.",
    )
    task_id: strawberry.ID | None = column(
        REVIEW.task_id, description="The UUID of the request that the review answers; null when it answers none."
    )
    feedback: str = column(REVIEW.feedback, description="What the reviewer says; may be empty.")
    assigned_at: datetime = column(REVIEW.assigned_at, description="When the reviewer was asked.")
    reviewed_at: datetime | None = column(REVIEW.reviewed_at, description="When the reviewer answered; null before.")
    agent: AgentRef | None = one(REVIEW.agent_id, description="The reviewing agent; null when a person is asked.")
    gate: GateRef = one(REVIEW.gate_id, description="The gate under review.")
