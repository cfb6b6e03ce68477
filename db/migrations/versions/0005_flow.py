"""Timers, signals and child executions, an execution's output, and the drawing of a template."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EXECUTIONS = "workflow_executions"

WAKE_PARENT = """
CREATE FUNCTION workflow_executions_wake_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- whatever ended the child, its parent looks again
    UPDATE workflow_executions SET wake_seq = wake_seq + 1, last_activity = clock_timestamp()
    WHERE execution_id = NEW.parent_execution_id AND execution_status IN ('pending', 'running', 'paused');
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.add_column("workflow_templates", sa.Column("mermaid", sa.Text(), nullable=True))
    op.add_column("workflow_templates", sa.Column("registered_by", sa.Text(), nullable=True))
    _executions()
    _signals()
    op.execute(WAKE_PARENT)
    op.execute(
        "CREATE TRIGGER workflow_executions_wake_parent AFTER UPDATE OF execution_status ON workflow_executions "
        "FOR EACH ROW WHEN (NEW.parent_execution_id IS NOT NULL AND NEW.execution_status <> OLD.execution_status "
        "AND NEW.execution_status IN ('completed', 'failed', 'cancelled')) "
        "EXECUTE FUNCTION workflow_executions_wake_parent()"
    )


def _executions() -> None:
    for column in (
        sa.Column("output", JSONB(none_as_null=True), nullable=True),
        sa.Column("wake_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("parent_execution_id", sa.UUID(), nullable=True),
        sa.Column("root_execution_id", sa.UUID(), nullable=True),
        sa.Column("parent_step", sa.Integer(), nullable=True),
        sa.Column("child_index", sa.Integer(), nullable=True),
        sa.Column("depth", sa.Integer(), server_default="0", nullable=False),
    ):
        op.add_column(EXECUTIONS, column)
    for column_name in ("parent_execution_id", "root_execution_id"):
        op.create_foreign_key(
            op.f(f"fk_{EXECUTIONS}_{column_name}"), EXECUTIONS, EXECUTIONS, [column_name], ["execution_id"]
        )
    op.create_check_constraint(
        op.f(f"ck_{EXECUTIONS}_child"),
        EXECUTIONS,
        "num_nonnulls(parent_execution_id, root_execution_id, parent_step, child_index) IN (0, 4)",
    )
    op.create_check_constraint(op.f(f"ck_{EXECUTIONS}_depth"), EXECUTIONS, "depth >= 0 AND depth <= 8")
    op.create_unique_constraint(
        op.f(f"uq_{EXECUTIONS}_parent_execution_id_parent_step_child_index"),
        EXECUTIONS,
        ["parent_execution_id", "parent_step", "child_index"],
    )
    op.create_index(
        op.f(f"ix_{EXECUTIONS}_root_execution_id"),
        EXECUTIONS,
        ["root_execution_id"],
        postgresql_where=sa.text("root_execution_id IS NOT NULL"),
    )
    op.create_index(
        "ix_workflow_executions_timers",
        EXECUTIONS,
        ["wake_at"],
        postgresql_where=sa.text("wake_at IS NOT NULL AND execution_status IN ('pending', 'running')"),
    )


def _signals() -> None:
    table = "workflow_signals"
    op.create_table(
        table,
        sa.Column("signal_id", sa.UUID(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=False),
        sa.Column("signal_name", sa.Text(), nullable=False),
        sa.Column("payload", JSONB(none_as_null=True), nullable=True),
        sa.Column("signal_key", sa.Text(), nullable=True),
        sa.Column("sent_by", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("taken_by_step", sa.Integer(), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("btrim(sent_by) <> ''", name=op.f(f"ck_{table}_sent_by")),
        sa.CheckConstraint("(taken_by_step IS NULL) = (taken_at IS NULL)", name=op.f(f"ck_{table}_taken")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["workflow_executions.execution_id"], name=op.f(f"fk_{table}_execution_id")
        ),
        sa.PrimaryKeyConstraint("signal_id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(
            "execution_id",
            "signal_name",
            "signal_key",
            name=op.f(f"uq_{table}_execution_id_signal_name_signal_key"),
        ),
    )
    op.create_index(op.f(f"ix_{table}_execution_id_signal_id"), table, ["execution_id", "signal_id"])
