"""Quality gates, and their reviewers with the feedback of each."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from app.domain.gate_quorum import Exclusion
from app.domain.quality_gates import GATE_MACHINE, ApprovalStatus, GateType, ReviewVerdict
from app.domain.rules import NOT_NEGATIVE
from app.domain.rules import SCORE as SCORE_RANGE
from db.tables.base import (
    SCORE,
    enum_column,
    json_column,
    metadata,
    not_blank,
    one_of,
    status_of,
    timestamp,
    uuid_key,
    versioned,
    within,
)

quality_gates = Table(
    "quality_gates",
    metadata,
    uuid_key("gate_id"),
    Column("gate_name", Text, nullable=False),
    Column("workflow_execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id"), nullable=False),
    Column("phase", Text),
    # the pass through the phase that made it: a later pass reopens it, or makes another when it is decided for good
    Column("phase_attempt", Integer),
    enum_column("gate_type", GateType),
    json_column("validation_criteria"),
    json_column("automated_checks", default="[]"),
    enum_column("approval_status", ApprovalStatus, default=GATE_MACHINE.initial),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("pm_decision", Text),
    Column("quality_score", SCORE),
    Column("improvement_suggestions", Text, nullable=False, server_default=""),
    Column("escalation_required", Boolean, nullable=False, server_default="false"),
    Column("escalation_reason", Text),
    timestamp("escalated_at"),
    Column("escalated_to", Text),
    # until when the verdict is expected; past it the gate is escalated, once
    timestamp("due_at"),
    # what is under review, and the hash over it: as it was when the review began or the verdict was given
    json_column("evidence", default="[]"),
    Column("evidence_hash", Text),
    # what the verdict rests on; an approval of other evidence is void
    Column("verdict_evidence_hash", Text),
    Column("times_voided", Integer, nullable=False, server_default="0"),
    Column("void_reason", Text),
    Column("waived_by", Text),
    Column("waiver_reason", Text),
    # since when it waits for nothing, because its execution has ended before the verdict
    timestamp("closed_at"),
    # the PM's verdict on this gate, and the decision that asked for the gate
    Column("decision_id", UUID(as_uuid=True), ForeignKey("decisions.decision_id"), unique=True),
    Column("requested_by_decision_id", UUID(as_uuid=True), ForeignKey("decisions.decision_id")),
    timestamp("reviewed_at"),
    timestamp("approved_at"),
    *versioned(),
    not_blank("gate_name"),
    one_of("gate_type", GateType),
    status_of("approval_status", GATE_MACHINE),
    within("quality_score", SCORE_RANGE),
    CheckConstraint(
        "approval_status NOT IN ('approved', 'rejected') OR btrim(coalesce(pm_decision, '')) <> ''",
        name="verdict_has_pm_decision",
    ),
    CheckConstraint(
        "NOT escalation_required OR btrim(coalesce(escalation_reason, '')) <> ''", name="escalation_reason"
    ),
    CheckConstraint("jsonb_typeof(automated_checks) = 'array'", name="automated_checks"),
    CheckConstraint("(approved_at IS NOT NULL) = (approval_status = 'approved')", name="approved_at"),
    CheckConstraint("escalation_required = (escalated_at IS NOT NULL)", name="escalated_at"),
    CheckConstraint("jsonb_typeof(evidence) = 'array'", name="evidence"),
    CheckConstraint("evidence_hash ~ '^[0-9a-f]{64}$'", name="evidence_hash"),
    CheckConstraint("verdict_evidence_hash ~ '^[0-9a-f]{64}$'", name="verdict_evidence_hash"),
    within("times_voided", NOT_NEGATIVE),
    CheckConstraint(
        "(waived_by IS NULL) = (waiver_reason IS NULL) AND btrim(waiver_reason) <> '' AND btrim(waived_by) <> ''",
        name="waiver",
    ),
    CheckConstraint("waived_by IS NULL OR approval_status = 'approved'", name="waived_is_approved"),
    CheckConstraint("closed_at IS NULL OR approval_status NOT IN ('approved', 'rejected')", name="closed_at"),
    UniqueConstraint("workflow_execution_id", "phase", "phase_attempt"),
    Index(None, "workflow_execution_id", "gate_id"),
    Index(None, "approval_status", "gate_id"),
    Index(None, "requested_by_decision_id", "gate_id"),
    Index(None, "due_at", postgresql_where=text("due_at IS NOT NULL")),
)

gate_reviewers = Table(
    "gate_reviewers",
    metadata,
    uuid_key("review_id"),
    Column("gate_id", UUID(as_uuid=True), ForeignKey("quality_gates.gate_id", ondelete="CASCADE"), nullable=False),
    # an agent, or the name of a person's token
    Column("reviewer", Text, nullable=False),
    Column("agent_id", Text, ForeignKey("agents.agent_id")),
    Column("revision", Integer, nullable=False, server_default="0"),
    enum_column("verdict", ReviewVerdict, nullable=True),
    Column("score", SCORE),
    Column("feedback", Text, nullable=False, server_default=""),
    # asked by name, or by a request that it answers; others may speak up, but do not count where anybody is asked
    Column("is_named", Boolean, nullable=False, server_default="false"),
    Column("task_id", UUID(as_uuid=True), ForeignKey("tasks.task_id")),
    # the token under which it was given: its id, or its name
    Column("session", Text),
    Column("evidence_hash", Text),
    enum_column("excluded_because", Exclusion, nullable=True),
    timestamp("assigned_at", nullable=False, default_now=True),
    timestamp("reviewed_at"),
    not_blank("reviewer"),
    one_of("verdict", ReviewVerdict),
    within("score", SCORE_RANGE),
    one_of("excluded_because", Exclusion),
    CheckConstraint("evidence_hash ~ '^[0-9a-f]{64}$'", name="evidence_hash"),
    CheckConstraint("(verdict IS NULL) = (reviewed_at IS NULL)", name="reviewed_at"),
    UniqueConstraint("gate_id", "revision", "reviewer"),
    Index(None, "agent_id", "review_id"),
)
