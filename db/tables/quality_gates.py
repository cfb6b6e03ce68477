"""Quality gates, and their reviewers with the feedback of each."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import UUID

from app.domain.quality_gates import GATE_MACHINE, ApprovalStatus, GateType, ReviewVerdict
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
    UniqueConstraint("workflow_execution_id", "phase", "phase_attempt"),
    Index(None, "workflow_execution_id", "gate_id"),
    Index(None, "approval_status", "gate_id"),
    Index(None, "requested_by_decision_id", "gate_id"),
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
    timestamp("assigned_at", nullable=False, default_now=True),
    timestamp("reviewed_at"),
    not_blank("reviewer"),
    one_of("verdict", ReviewVerdict),
    within("score", SCORE_RANGE),
    CheckConstraint("(verdict IS NULL) = (reviewed_at IS NULL)", name="reviewed_at"),
    UniqueConstraint("gate_id", "revision", "reviewer"),
    Index(None, "agent_id", "review_id"),
)
