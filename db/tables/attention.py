"""Views of what waits for a person or the PM: rows computed when they are read, out of the tables of the hub."""

from sqlalchemy import Column, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from app.domain.attention import AttentionKind, WaitsFor
from db.tables.base import enum_column, timestamp

views = MetaData()
"""Apart from the tables' metadata: nothing here is created, checked or kept by itself."""

attention = Table(
    "attention",
    views,
    # one row, for the queue as a whole
    Column("name", Text, primary_key=True),
)

attention_items = Table(
    "attention_items",
    views,
    # the kind, and the id of what waits
    Column("item_id", Text, primary_key=True),
    enum_column("kind", AttentionKind),
    enum_column("waits_for", WaitsFor),
    Column("title", Text, nullable=False),
    Column("reason", Text, nullable=False),
    timestamp("since", nullable=False),
    Column("execution_id", UUID(as_uuid=True)),
    Column("gate_id", UUID(as_uuid=True)),
    Column("task_id", UUID(as_uuid=True)),
    Column("agent_id", Text),
    Column("blocked_agents", Integer, nullable=False),
    Column("blocked_spend", Numeric, nullable=False),
    # the score without what grows alike for all of them, so that the order lasts while time goes by
    Column("urgency", Numeric, nullable=False),
)
