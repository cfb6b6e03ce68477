"""Forks, skipped phases, limits of concurrent executions with their queue, and schedules."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from db.tables.events import Xid8

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

EXECUTIONS, STEPS, SCHEDULES = "workflow_executions", "workflow_steps", "workflow_schedules"

ADMIT_QUEUED = """
CREATE FUNCTION workflow_executions_admit_queued() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    chosen record;
    changed record;
BEGIN
    -- two that end at once would each count the other; whoever starts one holds the rows of those that run
    PERFORM pg_advisory_xact_lock(hashtextextended(OLD.workflow_name || chr(10) || OLD.concurrency_key, 8));
    LOOP
        SELECT execution_id, concurrency_max INTO chosen FROM workflow_executions
        WHERE workflow_name = OLD.workflow_name AND concurrency_key = OLD.concurrency_key
            AND execution_status = 'pending' AND queued_at IS NOT NULL
        ORDER BY queued_at, execution_id LIMIT 1 FOR NO KEY UPDATE;
        EXIT WHEN NOT FOUND OR chosen.concurrency_max <= (
            SELECT count(*) FROM workflow_executions
            WHERE workflow_name = OLD.workflow_name AND concurrency_key = OLD.concurrency_key
                AND execution_status IN ('pending', 'running', 'paused') AND queued_at IS NULL);
        UPDATE workflow_executions
        SET queued_at = NULL, version = version + 1, updated_at = clock_timestamp(),
            last_activity = clock_timestamp(), event_xid = greatest(pg_current_xact_id(), event_xid)
        WHERE execution_id = chosen.execution_id
        RETURNING event_xid, version INTO changed;
        INSERT INTO event_log (xid, retention, aggregate, entity_id, event_type, from_status, to_status, version, actor,
            detail)
        VALUES (changed.event_xid, 'audit', 'workflow', chosen.execution_id::text, 'admitted', 'pending', 'pending',
            changed.version, 'hub', jsonb_build_object('after', OLD.execution_id));
    END LOOP;
    RETURN NULL;
END $$
"""
ADMIT_TRIGGER = """
CREATE TRIGGER workflow_executions_admit_queued AFTER UPDATE OF execution_status ON workflow_executions FOR EACH ROW
WHEN (OLD.concurrency_key IS NOT NULL AND OLD.queued_at IS NULL
    AND OLD.execution_status IN ('pending', 'running', 'paused')
    AND NEW.execution_status IN ('completed', 'failed', 'cancelled'))
EXECUTE FUNCTION workflow_executions_admit_queued()
"""


def upgrade() -> None:
    _schedules()
    _executions()
    _steps()
    _events()
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])


def _schedules() -> None:
    op.create_table(
        SCHEDULES,
        sa.Column("schedule_id", sa.UUID(), nullable=False),
        sa.Column("schedule_name", sa.Text(), nullable=False),
        sa.Column("schedule_status", sa.Text(), server_default="active", nullable=False),
        sa.Column("workflow_name", sa.Text(), nullable=False),
        sa.Column("input_context", JSONB(none_as_null=True), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("cron_expression", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("missed_runs", sa.Text(), server_default="run_once", nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_runs", ARRAY(sa.DateTime(timezone=True)), server_default="{}", nullable=False),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("event_xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "schedule_status IN ('active', 'paused', 'ended', 'deleted')",
            name=op.f("ck_workflow_schedules_schedule_status"),
        ),
        sa.CheckConstraint(
            "missed_runs IN ('skip', 'run_once', 'run_all')", name=op.f("ck_workflow_schedules_missed_runs")
        ),
        sa.CheckConstraint("btrim(schedule_name) <> ''", name=op.f("ck_workflow_schedules_schedule_name")),
        sa.CheckConstraint("interval_seconds >= 1", name=op.f("ck_workflow_schedules_interval_seconds")),
        sa.CheckConstraint(
            "num_nonnulls(cron_expression, interval_seconds, start_at) = 1 "
            "OR cron_expression IS NULL AND interval_seconds IS NOT NULL AND start_at IS NOT NULL",
            name=op.f("ck_workflow_schedules_timing"),
        ),
        sa.CheckConstraint(
            "(schedule_status = 'active') = (next_run_at IS NOT NULL)", name=op.f("ck_workflow_schedules_next_run_at")
        ),
        sa.PrimaryKeyConstraint("schedule_id", name=op.f("pk_workflow_schedules")),
    )
    op.create_index(
        "ix_workflow_schedules_due",
        SCHEDULES,
        ["next_run_at"],
        postgresql_where=sa.text("schedule_status = 'active'"),
    )


def _executions() -> None:
    op.add_column(EXECUTIONS, sa.Column("forked_from_id", sa.UUID(), nullable=True))
    op.add_column(EXECUTIONS, sa.Column("forked_from_step", sa.Integer(), nullable=True))
    op.add_column(EXECUTIONS, sa.Column("concurrency_key", sa.Text(), nullable=True))
    op.add_column(EXECUTIONS, sa.Column("concurrency_max", sa.Integer(), nullable=True))
    op.add_column(EXECUTIONS, sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(EXECUTIONS, sa.Column("schedule_id", sa.UUID(), nullable=True))
    op.add_column(EXECUTIONS, sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(
        op.f("fk_workflow_executions_forked_from_id"), EXECUTIONS, EXECUTIONS, ["forked_from_id"], ["execution_id"]
    )
    op.create_foreign_key(
        op.f("fk_workflow_executions_schedule_id"), EXECUTIONS, SCHEDULES, ["schedule_id"], ["schedule_id"]
    )
    op.create_check_constraint(
        op.f("ck_workflow_executions_forked_from"),
        EXECUTIONS,
        "(forked_from_id IS NULL) = (forked_from_step IS NULL)",
    )
    op.create_check_constraint(
        op.f("ck_workflow_executions_concurrency"),
        EXECUTIONS,
        "(concurrency_key IS NULL) = (concurrency_max IS NULL) AND concurrency_max >= 1",
    )
    op.create_check_constraint(
        op.f("ck_workflow_executions_queued_at"),
        EXECUTIONS,
        "queued_at IS NULL OR concurrency_key IS NOT NULL AND execution_status IN ('pending', 'cancelled')",
    )
    op.create_check_constraint(
        op.f("ck_workflow_executions_scheduled_for"), EXECUTIONS, "scheduled_for IS NULL OR schedule_id IS NOT NULL"
    )
    op.create_index(
        op.f("ix_workflow_executions_forked_from_id_execution_id"), EXECUTIONS, ["forked_from_id", "execution_id"]
    )
    op.create_index(
        op.f("ix_workflow_executions_schedule_id_execution_id"), EXECUTIONS, ["schedule_id", "execution_id"]
    )
    op.create_unique_constraint(
        op.f("uq_workflow_executions_schedule_id_scheduled_for"), EXECUTIONS, ["schedule_id", "scheduled_for"]
    )
    op.create_index(
        "ix_workflow_executions_concurrency",
        EXECUTIONS,
        ["workflow_name", "concurrency_key", "queued_at"],
        postgresql_where=sa.text(
            "concurrency_key IS NOT NULL AND execution_status IN ('pending', 'running', 'paused')"
        ),
    )
    op.execute(ADMIT_QUEUED)
    op.execute(ADMIT_TRIGGER)


def _steps() -> None:
    op.add_column(STEPS, sa.Column("source_execution_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_workflow_steps_source_execution_id"), STEPS, EXECUTIONS, ["source_execution_id"], ["execution_id"]
    )
    op.drop_constraint("ck_workflow_steps_step_status", STEPS)
    op.create_check_constraint(
        op.f("ck_workflow_steps_step_status"), STEPS, "step_status IN ('running', 'completed', 'failed', 'skipped')"
    )
    # steps that a fork copies come in order, and comparing each with each would take long
    op.execute("DROP TRIGGER workflow_steps_in_order ON workflow_steps")
    op.execute(
        "CREATE TRIGGER workflow_steps_in_order BEFORE INSERT OR UPDATE OF step_number, started_at ON workflow_steps "
        "FOR EACH ROW WHEN (NEW.source_execution_id IS NULL) EXECUTE FUNCTION workflow_steps_in_order()"
    )


def _events() -> None:
    op.drop_constraint("ck_event_log_aggregate", "event_log")
    op.create_check_constraint(
        op.f("ck_event_log_aggregate"),
        "event_log",
        "aggregate IN ('agent', 'task', 'workflow', 'decision', 'quality_gate', 'model_assignment', 'metrics', "
        "'schedule', 'api_token')",
    )
