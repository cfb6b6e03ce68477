"""The data model's remaining rules in the database, fallback chains, and messages of people."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STEPS_IN_ORDER = """
CREATE FUNCTION workflow_steps_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- one after the other: two steps that do not see each other yet could not be compared
    PERFORM FROM workflow_executions WHERE execution_id = NEW.execution_id FOR NO KEY UPDATE;
    IF EXISTS (
        SELECT FROM workflow_steps AS other
        WHERE other.execution_id = NEW.execution_id AND other.step_id <> NEW.step_id AND (
            other.step_number < NEW.step_number AND other.started_at > NEW.started_at
            OR other.step_number > NEW.step_number AND other.started_at < NEW.started_at)
    ) THEN
        RAISE EXCEPTION 'the step numbers of an execution follow the time at which the steps start'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'workflow_steps_in_order', TABLE = 'workflow_steps';
    END IF;
    RETURN NEW;
END $$
"""

TASKS_DEPEND_ON_TASKS = """
CREATE FUNCTION tasks_depend_on_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.task_id = ANY (NEW.depends_on) OR EXISTS (
        SELECT FROM unnest(NEW.depends_on) AS needed(task_id)
        WHERE NOT EXISTS (SELECT FROM tasks WHERE tasks.task_id = needed.task_id)
    ) THEN
        RAISE EXCEPTION 'a task depends on other tasks that exist'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'tasks_depend_on_tasks', TABLE = 'tasks';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    _fallback_chains()
    _messages_of_people()
    _rules()
    _evidence_of()
    _triggers()


def _fallback_chains() -> None:
    table = "model_assignments"
    op.add_column(table, sa.Column("failure_reason", sa.Text(), nullable=True))
    op.add_column(table, sa.Column("fallback_of", sa.UUID(), nullable=True))
    op.add_column(
        table, sa.Column("fallback_chain", JSONB(none_as_null=True), server_default=sa.text("'[]'"), nullable=False)
    )
    # a failure of the first delivery, which kept no reason
    op.execute("UPDATE model_assignments SET failure_reason = 'not recorded' WHERE assignment_status = 'failed'")
    op.create_unique_constraint(op.f("uq_model_assignments_fallback_of"), table, ["fallback_of"])
    op.create_foreign_key(op.f("fk_model_assignments_fallback_of"), table, table, ["fallback_of"], ["assignment_id"])
    _check(
        table,
        "failure_reason",
        "(assignment_status = 'failed') = (failure_reason IS NOT NULL) AND btrim(failure_reason) <> ''",
    )
    _check(table, "fallback_of", "fallback_of IS NULL OR assignment_reason = 'fallback'")
    _check(table, "fallback_chain", "jsonb_typeof(fallback_chain) = 'array'")


def _messages_of_people() -> None:
    op.alter_column("agent_messages", "from_agent_id", nullable=True)
    op.add_column("agent_messages", sa.Column("sent_by", sa.Text(), nullable=True))
    op.execute("UPDATE agent_messages SET sent_by = from_agent_id")
    op.alter_column("agent_messages", "sent_by", nullable=False)
    _check("agent_messages", "sent_by", "btrim(sent_by) <> ''")
    _check("agent_messages", "body_length", "length(body) <= 10000")


def _rules() -> None:
    _check(
        "resource_metrics",
        "measurement_time",
        "measurement_time > created_at - interval '90 days' "
        "AND measurement_time <= created_at + interval '300 seconds'",
    )
    _check("resource_metrics", "optimization_suggestions", "jsonb_typeof(optimization_suggestions) = 'array'")
    _check("decisions", "reasoning_process", "octet_length(reasoning_process_sealed) > 28")
    _check("quality_gates", "automated_checks", "jsonb_typeof(automated_checks) = 'array'")
    _check("workflow_steps", "step_number", "step_number >= 1")
    _check("workflow_steps", "completed_at", "completed_at >= started_at")
    _check("workflow_steps", "ended", "(step_status = 'running') = (completed_at IS NULL)")


def _evidence_of() -> None:
    """An agent's and an execution's evidence is read in pages, newest first."""
    for owner in ("agent_id", "execution_id"):
        op.create_index(op.f(f"ix_decision_evidence_{owner}_evidence_id"), "decision_evidence", [owner, "evidence_id"])


def _triggers() -> None:
    """Rules over several rows, which no CHECK can state."""
    op.execute(STEPS_IN_ORDER)
    op.execute(
        "CREATE TRIGGER workflow_steps_in_order BEFORE INSERT OR UPDATE OF step_number, started_at ON workflow_steps "
        "FOR EACH ROW EXECUTE FUNCTION workflow_steps_in_order()"
    )
    op.execute(TASKS_DEPEND_ON_TASKS)
    op.execute(
        "CREATE TRIGGER tasks_depend_on_tasks BEFORE INSERT OR UPDATE OF depends_on ON tasks "
        "FOR EACH ROW WHEN (NEW.depends_on <> '{}') EXECUTE FUNCTION tasks_depend_on_tasks()"
    )


def _check(table: str, name: str, condition: str) -> None:
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
