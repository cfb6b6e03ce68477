"""Tasks and their unversioned progress."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.domain.agents import AgentRole
from app.domain.rules import NOT_NEGATIVE, PERCENT, TEN_POINT
from app.domain.tasks import MAX_RELEASES, PRIORITY, TASK_MACHINE, TIMEOUT_SECONDS, TaskKind, TaskStatus
from db.tables.base import (
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

tasks = Table(
    "tasks",
    metadata,
    uuid_key("task_id"),
    enum_column("task_kind", TaskKind, default=TaskKind.WORK),
    Column("decision_id", UUID(as_uuid=True), ForeignKey("decisions.decision_id")),
    Column("execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    # the gate that a review is for, or that a decision gives the verdict on
    Column("gate_id", UUID(as_uuid=True), ForeignKey("quality_gates.gate_id")),
    # which pass through which phase made it, and its name there: the engine's idempotency key
    Column("phase", Text),
    Column("task_name", Text),
    Column("phase_attempt", Integer),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    enum_column("status", TaskStatus, default=TASK_MACHINE.initial),
    enum_column("required_role", AgentRole, nullable=True),
    # a review that one agent alone is asked for
    Column("required_agent_id", Text, ForeignKey("agents.agent_id")),
    Column("required_capabilities", ARRAY(Text), nullable=False, server_default="{}"),
    Column("complexity", Integer, nullable=False, server_default="5"),
    Column("depends_on", ARRAY(UUID(as_uuid=True)), nullable=False, server_default="{}"),
    Column("assigned_agent_id", Text, ForeignKey("agents.agent_id")),
    json_column("input"),
    json_column("result", default=None),
    # how often it was started, and how often it failed; a release counts as neither success nor failure
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("max_failures", Integer, nullable=False, server_default="3"),
    # the token under which the answer came: its id, or its name
    Column("answered_in_session", Text),
    # how often it came back to the pool, and why it last did
    Column("releases", Integer, nullable=False, server_default="0"),
    Column("max_releases", Integer, nullable=False, server_default=str(MAX_RELEASES)),
    Column("release_reason", Text),
    # 1 is claimed first
    Column("priority", Integer, nullable=False, server_default="5"),
    # how long one run of the agent's command may take
    Column("timeout_seconds", Integer),
    # since when it waits for a person, and why: it failed, or came back to the pool, too often
    timestamp("escalated_at"),
    Column("escalation_reason", Text),
    timestamp("started_at"),
    timestamp("completed_at"),
    *versioned(),
    one_of("task_kind", TaskKind),
    status_of("status", TASK_MACHINE),
    one_of("required_role", AgentRole),
    not_blank("title"),
    within("complexity", TEN_POINT),
    within("attempts", NOT_NEGATIVE),
    within("failures", NOT_NEGATIVE),
    within("releases", NOT_NEGATIVE),
    within("max_releases", NOT_NEGATIVE),
    within("priority", PRIORITY),
    within("timeout_seconds", TIMEOUT_SECONDS),
    CheckConstraint("(escalated_at IS NULL) = (escalation_reason IS NULL)", name="escalated_with_a_reason"),
    CheckConstraint("(status IN ('assigned', 'running')) <= (assigned_agent_id IS NOT NULL)", name="held_by_an_agent"),
    CheckConstraint("(status = 'pending') <= (assigned_agent_id IS NULL)", name="pending_is_free"),
    UniqueConstraint("execution_id", "phase", "phase_attempt", "task_name"),
    Index(None, "decision_id", "task_id"),
    Index(None, "execution_id", "task_id"),
    Index(None, "gate_id", "task_id"),
    Index(None, "assigned_agent_id", "status", "task_id"),
    Index(None, "status", "task_id"),
    Index(
        "ix_tasks_claimable",
        "priority",
        "task_id",
        postgresql_where="status = 'pending' AND escalated_at IS NULL",
    ),
    Index(None, "depends_on", postgresql_using="gin"),
)

task_progress = Table(
    "task_progress",
    metadata,
    Column("task_id", UUID(as_uuid=True), ForeignKey("tasks.task_id", ondelete="CASCADE"), primary_key=True),
    Column("percent", Numeric(5, 2)),
    Column("message", Text, nullable=False, server_default=""),
    timestamp("reported_at", nullable=False, default_now=True),
    within("percent", PERCENT),
)
