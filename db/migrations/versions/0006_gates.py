"""Gates: quorum, evidence, waivers, time-outs, and the end of those whose execution has ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

GATES, REVIEWERS, TASKS = "quality_gates", "gate_reviewers", "tasks"
HASH = "~ '^[0-9a-f]{64}$'"


def upgrade() -> None:
    _gates()
    _reviewers()
    op.add_column(TASKS, sa.Column("required_agent_id", sa.Text(), nullable=True))
    op.add_column(TASKS, sa.Column("answered_in_session", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_tasks_required_agent_id"), TASKS, "agents", ["required_agent_id"], ["agent_id"])


def _gates() -> None:
    moment = sa.DateTime(timezone=True)
    for name in ("escalated_at", "due_at", "closed_at"):
        op.add_column(GATES, sa.Column(name, moment, nullable=True))
    texts = ("escalated_to", "evidence_hash", "verdict_evidence_hash", "void_reason", "waived_by", "waiver_reason")
    for name in texts:
        op.add_column(GATES, sa.Column(name, sa.Text(), nullable=True))
    op.add_column(GATES, sa.Column("times_voided", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        GATES, sa.Column("evidence", JSONB(none_as_null=True), server_default=sa.text("'[]'"), nullable=False)
    )
    op.execute("UPDATE quality_gates SET escalated_at = updated_at WHERE escalation_required")
    op.execute(
        "UPDATE quality_gates SET closed_at = coalesce(completed_at, last_activity) FROM workflow_executions "
        "WHERE execution_id = workflow_execution_id AND approval_status NOT IN ('approved', 'rejected') "
        "AND execution_status IN ('completed', 'failed', 'cancelled')"
    )
    _check(GATES, "escalated_at", "escalation_required = (escalated_at IS NOT NULL)")
    _check(GATES, "evidence", "jsonb_typeof(evidence) = 'array'")
    _check(GATES, "evidence_hash", f"evidence_hash {HASH}")
    _check(GATES, "verdict_evidence_hash", f"verdict_evidence_hash {HASH}")
    _check(GATES, "times_voided", "times_voided >= 0")
    _check(
        GATES,
        "waiver",
        "(waived_by IS NULL) = (waiver_reason IS NULL) AND btrim(waiver_reason) <> '' AND btrim(waived_by) <> ''",
    )
    _check(GATES, "waived_is_approved", "waived_by IS NULL OR approval_status = 'approved'")
    _check(GATES, "closed_at", "closed_at IS NULL OR approval_status NOT IN ('approved', 'rejected')")
    where = sa.text("due_at IS NOT NULL")
    op.create_index(op.f("ix_quality_gates_due_at"), GATES, ["due_at"], postgresql_where=where)


def _reviewers() -> None:
    op.add_column(REVIEWERS, sa.Column("is_named", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column(REVIEWERS, sa.Column("task_id", sa.UUID(), nullable=True))
    for name in ("session", "evidence_hash", "excluded_because"):
        op.add_column(REVIEWERS, sa.Column(name, sa.Text(), nullable=True))
    # who has not answered was asked by name: a request that is open is a task
    op.execute("UPDATE gate_reviewers SET is_named = true WHERE reviewed_at IS NULL")
    op.create_foreign_key(op.f("fk_gate_reviewers_task_id"), REVIEWERS, TASKS, ["task_id"], ["task_id"])
    _check(
        REVIEWERS,
        "excluded_because",
        "excluded_because IN ('not_asked', 'author', 'author_session', 'author_model_family')",
    )
    _check(REVIEWERS, "evidence_hash", f"evidence_hash {HASH}")


def _check(table: str, name: str, condition: str) -> None:
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
