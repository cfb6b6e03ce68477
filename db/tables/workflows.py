"""Workflow templates, executions with their queue and lease, steps, errors, and schedules."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.domain.rules import NOT_NEGATIVE
from app.domain.schedules import SCHEDULE_MACHINE, MissedRuns, ScheduleStatus
from app.domain.workflows import DEPTH, EXECUTION_MACHINE, ErrorSeverity, ExecutionStatus, StepStatus, TriggerType
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

workflow_templates = Table(
    "workflow_templates",
    metadata,
    Column("template_name", Text, primary_key=True),
    # rises by one with each changed spec; running executions keep theirs
    Column("template_version", Integer, primary_key=True),
    Column("description", Text, nullable=False),
    json_column("spec"),
    # the graph in Mermaid's language; null until the hub's next start for what an older hub stored
    Column("mermaid", Text),
    # null for one that came with the hub
    Column("registered_by", Text),
    timestamp("created_at", nullable=False, default_now=True),
)

workflow_schedules = Table(
    "workflow_schedules",
    metadata,
    uuid_key("schedule_id"),
    Column("schedule_name", Text, nullable=False),
    enum_column("schedule_status", ScheduleStatus, default=SCHEDULE_MACHINE.initial),
    Column("workflow_name", Text, nullable=False),
    json_column("input_context"),
    # when: a cron expression in a time zone, or each so many seconds from start_at on, or once at start_at
    Column("cron_expression", Text),
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    Column("interval_seconds", Integer),
    timestamp("start_at"),
    enum_column("missed_runs", MissedRuns, default=MissedRuns.RUN_ONCE),
    timestamp("next_run_at"),
    # the next moments as the clock of its time zone has them, computed whenever next_run_at is
    Column("next_runs", ARRAY(DateTime(timezone=True)), nullable=False, server_default="{}"),
    timestamp("last_run_at"),
    # why the latest run could not be started
    Column("last_error", Text),
    Column("created_by", Text, nullable=False),
    *versioned(),
    not_blank("schedule_name"),
    status_of("schedule_status", SCHEDULE_MACHINE),
    one_of("missed_runs", MissedRuns),
    CheckConstraint("interval_seconds >= 1", name="interval_seconds"),
    CheckConstraint(
        "num_nonnulls(cron_expression, interval_seconds, start_at) = 1 "
        "OR cron_expression IS NULL AND interval_seconds IS NOT NULL AND start_at IS NOT NULL",
        name="timing",
    ),
    CheckConstraint("(schedule_status = 'active') = (next_run_at IS NOT NULL)", name="next_run_at"),
    Index("ix_workflow_schedules_due", "next_run_at", postgresql_where="schedule_status = 'active'"),
)

workflow_executions = Table(
    "workflow_executions",
    metadata,
    uuid_key("execution_id"),
    Column("workflow_name", Text, nullable=False),
    Column("template_version", Integer, nullable=False),
    enum_column("execution_status", ExecutionStatus, default=EXECUTION_MACHINE.initial),
    enum_column("trigger_type", TriggerType),
    Column("triggered_by", Text, nullable=False),
    json_column("input_context"),
    json_column("output", default=None),
    # the decision that caused it
    Column("decision_id", UUID(as_uuid=True), ForeignKey("decisions.decision_id")),
    Column("current_phase", Text),
    timestamp("started_at"),
    timestamp("completed_at"),
    timestamp("last_activity", nullable=False, default_now=True),
    # the queue: runnable while wake_seq > handled_seq; the lease and its fencing number
    Column("wake_seq", BigInteger, nullable=False, server_default="1"),
    Column("handled_seq", BigInteger, nullable=False, server_default="0"),
    Column("lease_owner", Text),
    timestamp("lease_until"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    # a timer: runnable also when this time has come; the claim counts it as a wake-up
    timestamp("wake_at"),
    # what started it as a part of itself: the execution, its step, and which of the step's children it is, from 0
    Column("parent_execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    Column("root_execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    Column("parent_step", Integer),
    Column("child_index", Integer),
    Column("depth", Integer, nullable=False, server_default="0"),
    # which execution it repeats, and from which step of that on
    Column("forked_from_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    Column("forked_from_step", Integer),
    # the group of which only so many run at once, and since when it waits for its turn there; see app/services/turns.py
    Column("concurrency_key", Text),
    Column("concurrency_max", Integer),
    timestamp("queued_at"),
    # the schedule that started it, and for which moment
    Column("schedule_id", UUID(as_uuid=True), ForeignKey("workflow_schedules.schedule_id")),
    timestamp("scheduled_for"),
    *versioned(),
    ForeignKeyConstraint(
        ["workflow_name", "template_version"],
        ["workflow_templates.template_name", "workflow_templates.template_version"],
        name="fk_workflow_executions_template",
    ),
    status_of("execution_status", EXECUTION_MACHINE),
    one_of("trigger_type", TriggerType),
    not_blank("triggered_by"),
    CheckConstraint("handled_seq <= wake_seq", name="handled_seq"),
    CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="lease"),
    CheckConstraint(
        "num_nonnulls(parent_execution_id, root_execution_id, parent_step, child_index) IN (0, 4)",
        name="child",
    ),
    within("depth", DEPTH),
    # that the end of a child wakes its parent is the trigger workflow_executions_wake_parent's to see to
    UniqueConstraint("parent_execution_id", "parent_step", "child_index"),
    Index(None, "root_execution_id", postgresql_where="root_execution_id IS NOT NULL"),
    Index(
        "ix_workflow_executions_timers",
        "wake_at",
        postgresql_where="wake_at IS NOT NULL AND execution_status IN ('pending', 'running')",
    ),
    CheckConstraint("(forked_from_id IS NULL) = (forked_from_step IS NULL)", name="forked_from"),
    CheckConstraint(
        "(concurrency_key IS NULL) = (concurrency_max IS NULL) AND concurrency_max >= 1", name="concurrency"
    ),
    # whoever ends one of a group lets the next go on, by the trigger workflow_executions_admit_queued
    CheckConstraint(
        "queued_at IS NULL OR concurrency_key IS NOT NULL AND execution_status IN ('pending', 'cancelled')",
        name="queued_at",
    ),
    CheckConstraint("scheduled_for IS NULL OR schedule_id IS NOT NULL", name="scheduled_for"),
    # a moment of a schedule starts one execution, whoever comes to it
    UniqueConstraint("schedule_id", "scheduled_for"),
    Index(None, "forked_from_id", "execution_id"),
    Index(None, "schedule_id", "execution_id"),
    Index(
        "ix_workflow_executions_concurrency",
        "workflow_name",
        "concurrency_key",
        "queued_at",
        postgresql_where="concurrency_key IS NOT NULL AND execution_status IN ('pending', 'running', 'paused')",
    ),
    Index(None, "execution_status", "execution_id"),
    Index(None, "decision_id", "execution_id"),
    Index(
        "ix_workflow_executions_runnable",
        "execution_id",
        postgresql_where="wake_seq > handled_seq AND execution_status IN ('pending', 'running')",
    ),
)

workflow_steps = Table(
    "workflow_steps",
    metadata,
    uuid_key("step_id"),
    Column("execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id"), nullable=False),
    # chronological by construction: 1, 2, 3 … within the execution
    Column("step_number", Integer, nullable=False),
    Column("phase", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    enum_column("step_status", StepStatus, default=StepStatus.RUNNING),
    # references and small figures, never whole results
    json_column("outcome", default=None),
    timestamp("started_at", nullable=False, default_now=True),
    timestamp("completed_at"),
    # of a step that a fork has taken over: the execution that did it
    Column("source_execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id")),
    one_of("step_status", StepStatus),
    within("attempt", NOT_NEGATIVE),
    # that step numbers follow the clock is the trigger workflow_steps_in_order's to see to
    CheckConstraint("step_number >= 1", name="step_number"),
    CheckConstraint("completed_at >= started_at", name="completed_at"),
    CheckConstraint("(step_status = 'running') = (completed_at IS NULL)", name="ended"),
    UniqueConstraint("execution_id", "step_number"),
    UniqueConstraint("execution_id", "phase", "attempt"),
)

workflow_errors = Table(
    "workflow_errors",
    metadata,
    uuid_key("error_id"),
    Column("execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id"), nullable=False),
    Column("phase", Text),
    enum_column("severity", ErrorSeverity, default=ErrorSeverity.ERROR),
    Column("message", Text, nullable=False),
    json_column("detail"),
    timestamp("created_at", nullable=False, default_now=True),
    one_of("severity", ErrorSeverity),
    Index(None, "execution_id", "error_id"),
)

workflow_signals = Table(
    "workflow_signals",
    metadata,
    uuid_key("signal_id"),
    Column("execution_id", UUID(as_uuid=True), ForeignKey("workflow_executions.execution_id"), nullable=False),
    Column("signal_name", Text, nullable=False),
    json_column("payload", default=None),
    Column("signal_key", Text),
    Column("sent_by", Text, nullable=False),
    timestamp("sent_at", nullable=False, default_now=True),
    # the step that took it, which is done once
    Column("taken_by_step", Integer),
    timestamp("taken_at"),
    not_blank("sent_by"),
    CheckConstraint("(taken_by_step IS NULL) = (taken_at IS NULL)", name="taken"),
    UniqueConstraint("execution_id", "signal_name", "signal_key"),
    Index(None, "execution_id", "signal_id"),
)
