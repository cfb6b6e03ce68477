"""What dashboards ask by time: costs of an interval."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_model_assignments_created_at"), "model_assignments", ["created_at"])
