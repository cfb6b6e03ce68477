"""Model assignments: which model works on which task, and what it cost."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from app.domain.model_assignments import ASSIGNMENT_MACHINE, AssignmentReason, AssignmentStatus, Provider
from app.domain.rules import MONEY as MONEY_RANGE
from app.domain.rules import NOT_NEGATIVE, TEN_POINT
from app.domain.rules import SCORE as SCORE_RANGE
from db.tables.base import (
    MONEY,
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

model_assignments = Table(
    "model_assignments",
    metadata,
    uuid_key("assignment_id"),
    Column("agent_id", Text, ForeignKey("agents.agent_id"), nullable=False),
    Column("task_id", UUID(as_uuid=True), ForeignKey("tasks.task_id"), nullable=False),
    Column("execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    Column("decision_id", UUID(as_uuid=True), ForeignKey("decisions.decision_id")),
    enum_column("provider_name", Provider),
    Column("model_name", Text, nullable=False),
    enum_column("assignment_reason", AssignmentReason),
    Column("task_complexity", Integer, nullable=False),
    Column("estimated_cost", MONEY),
    Column("actual_cost", MONEY),
    Column("performance_score", SCORE),
    # milliseconds
    Column("processing_time", BigInteger),
    Column("tokens_used", BigInteger),
    enum_column("assignment_status", AssignmentStatus, default=ASSIGNMENT_MACHINE.initial),
    # why it failed; the failed one that it stands in for; and the models still to be tried after it, in order,
    # as [{provider_name, model_name, estimated_cost}]
    Column("failure_reason", Text),
    Column(
        "fallback_of",
        UUID(as_uuid=True),
        ForeignKey("model_assignments.assignment_id", name="fk_model_assignments_fallback_of"),
        unique=True,
    ),
    json_column("fallback_chain", default="[]"),
    timestamp("completed_at"),
    *versioned(),
    one_of("provider_name", Provider),
    not_blank("model_name"),
    one_of("assignment_reason", AssignmentReason),
    within("task_complexity", TEN_POINT),
    within("estimated_cost", MONEY_RANGE),
    within("actual_cost", MONEY_RANGE),
    within("performance_score", SCORE_RANGE),
    within("processing_time", NOT_NEGATIVE),
    within("tokens_used", NOT_NEGATIVE),
    status_of("assignment_status", ASSIGNMENT_MACHINE),
    CheckConstraint(
        "(assignment_status = 'failed') = (failure_reason IS NOT NULL) AND btrim(failure_reason) <> ''",
        name="failure_reason",
    ),
    CheckConstraint("fallback_of IS NULL OR assignment_reason = 'fallback'", name="fallback_of"),
    CheckConstraint("jsonb_typeof(fallback_chain) = 'array'", name="fallback_chain"),
    # the costs of an interval, by provider and day
    Index(None, "created_at"),
    Index(None, "agent_id", "assignment_id"),
    Index(None, "task_id", "assignment_id"),
    Index(None, "execution_id", "assignment_id"),
    Index(None, "decision_id", "assignment_id"),
)
