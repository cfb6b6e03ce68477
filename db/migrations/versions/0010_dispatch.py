"""How tasks are dispatched: priority, time-out, how often they came back, since when they wait for a person.

And since when the hub has been there to hear its agents.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHECKS = {
    "releases": "releases >= 0",
    "max_releases": "max_releases >= 0",
    "priority": "priority >= 1 AND priority <= 9",
    "timeout_seconds": "timeout_seconds >= 1 AND timeout_seconds <= 604800",
    "escalated_with_a_reason": "(escalated_at IS NULL) = (escalation_reason IS NULL)",
}


def upgrade() -> None:
    op.add_column("tasks", sa.Column("releases", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("max_releases", sa.Integer(), server_default="10", nullable=False))
    op.add_column("tasks", sa.Column("release_reason", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("priority", sa.Integer(), server_default="5", nullable=False))
    op.add_column("tasks", sa.Column("timeout_seconds", sa.Integer(), nullable=True))
    op.add_column("tasks", sa.Column("escalated_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("tasks", sa.Column("escalation_reason", sa.Text(), nullable=True))
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_tasks_{name}"), "tasks", condition)
    op.create_index(
        "ix_tasks_claimable",
        "tasks",
        ["priority", "task_id"],
        postgresql_where="status = 'pending' AND escalated_at IS NULL",
    )
    op.create_table(
        "upkeep",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("watched_since", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("looked_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_upkeep")),
    )
    op.create_index(op.f("ix_tasks_depends_on"), "tasks", ["depends_on"], postgresql_using="gin")
