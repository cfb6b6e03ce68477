"""Decisions of the PM, their sealed parts, and the evidence they rest on."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from app.domain.decisions import CONFIDENCE, DecisionType
from db.tables.base import enum_column, json_column, metadata, not_blank, one_of, timestamp, uuid_key, versioned, within

NONCE_AND_TAG = 28
"""Bytes of a sealed text beside the text itself."""

decisions = Table(
    "decisions",
    metadata,
    uuid_key("decision_id"),
    enum_column("decision_type", DecisionType),
    Column("context_data_sealed", LargeBinary, nullable=False),
    Column("reasoning_process_sealed", LargeBinary, nullable=False),
    # the decision's own data key, wrapped by the master key; nulled, it erases both sealed columns
    Column("sealed_key", LargeBinary),
    Column("outcome", Text, nullable=False),
    Column("confidence_score", Integer, nullable=False),
    json_column("agent_assignments"),
    json_column("resource_optimization"),
    Column("learning_notes", Text, nullable=False, server_default=""),
    # the execution that called for this decision
    Column(
        "execution_id",
        UUID(as_uuid=True),
        ForeignKey("workflow_executions.execution_id", use_alter=True, name="fk_decisions_execution_id"),
    ),
    Column("decided_by", Text, nullable=False),
    # the deciding agent, where it is one
    Column("agent_id", Text, ForeignKey("agents.agent_id")),
    *versioned(),
    one_of("decision_type", DecisionType),
    within("confidence_score", CONFIDENCE),
    not_blank("outcome"),
    # a nonce of 12 bytes, a tag of 16 and no text between them would be an empty reason
    CheckConstraint(f"octet_length(reasoning_process_sealed) > {NONCE_AND_TAG}", name="reasoning_process"),
    Index(None, "execution_id", "decision_id"),
    Index(None, "agent_id", "decision_id"),
    Index(None, "created_at", "decision_id"),
)

decision_evidence = Table(
    "decision_evidence",
    metadata,
    uuid_key("evidence_id"),
    Column("decision_id", UUID(as_uuid=True), ForeignKey("decisions.decision_id", ondelete="CASCADE"), nullable=False),
    Column("agent_id", Text, ForeignKey("agents.agent_id")),
    Column("execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    timestamp("interval_start", nullable=False),
    timestamp("interval_end", nullable=False),
    # the figures as they were: metrics live shorter than decisions
    json_column("snapshot"),
    timestamp("created_at", nullable=False, default_now=True),
    CheckConstraint("agent_id IS NOT NULL OR execution_id IS NOT NULL", name="subject"),
    CheckConstraint("interval_start <= interval_end", name="interval"),
    Index(None, "decision_id", "evidence_id"),
    Index(None, "agent_id", "evidence_id"),
    Index(None, "execution_id", "evidence_id"),
)
