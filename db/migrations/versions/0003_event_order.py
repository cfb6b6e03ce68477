"""The order of an entity's events is that of its versions; which server this database lives on."""

import sqlalchemy as sa
from alembic import op

from db.tables.base import Xid8

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

VERSIONED = (
    "agents",
    "api_tokens",
    "decisions",
    "model_assignments",
    "quality_gates",
    "tasks",
    "workflow_executions",
)


def upgrade() -> None:
    for table in VERSIONED:
        # a constant first, which rewrites no table; what was written so far stands before all that comes
        op.add_column(table, sa.Column("event_xid", Xid8(), server_default=sa.text("'0'::xid8"), nullable=False))
        op.alter_column(table, "event_xid", server_default=sa.text("pg_current_xact_id()"))
    op.add_column("event_log", sa.Column("transaction_xid", Xid8(), nullable=True))
    op.alter_column("event_log", "transaction_xid", server_default=sa.text("pg_current_xact_id()"))
    op.create_table(
        "installation",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("system_identifier", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_installation_is_only")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_installation")),
    )
