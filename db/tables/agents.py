"""Agents, their unversioned reports, and the messages between them."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from app.domain.agents import (
    AGENT_ID_MAX,
    AGENT_ID_PATTERN,
    AGENT_MACHINE,
    CONCURRENCY,
    MESSAGE_MAX,
    AgentRole,
    AgentStatus,
)
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

agents = Table(
    "agents",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("agent_name", Text, nullable=False),
    enum_column("agent_role", AgentRole),
    enum_column("status", AgentStatus, default=AGENT_MACHINE.initial),
    Column("capabilities", ARRAY(Text), nullable=False, server_default="{}"),
    Column("concurrency", Integer, nullable=False, server_default="1"),
    json_column("extension_config"),
    *versioned(),
    CheckConstraint(f"agent_id ~ '{AGENT_ID_PATTERN}' AND length(agent_id) <= {AGENT_ID_MAX}", name="agent_id"),
    not_blank("agent_name"),
    one_of("agent_role", AgentRole),
    status_of("status", AGENT_MACHINE),
    within("concurrency", CONCURRENCY),
    Index(None, "status", "agent_id"),
)

agent_reports = Table(
    "agent_reports",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.agent_id", ondelete="CASCADE"), primary_key=True),
    json_column("resource_utilization"),
    json_column("performance_metrics"),
    # when each key above was observed, as {"resource_utilization.cpu_percent": "2026-…Z"}: the newest wins key by key
    json_column("observed"),
    timestamp("last_activity", nullable=False, default_now=True),
)

agent_messages = Table(
    "agent_messages",
    metadata,
    uuid_key("message_id"),
    # null: a person sent it, whose token's name is in sent_by
    Column("from_agent_id", Text, ForeignKey("agents.agent_id")),
    Column("sent_by", Text, nullable=False),
    # null: it is for all
    Column("to_agent_id", Text, ForeignKey("agents.agent_id")),
    Column("body", Text, nullable=False),
    timestamp("created_at", nullable=False, default_now=True),
    not_blank("sent_by"),
    not_blank("body"),
    CheckConstraint(f"length(body) <= {MESSAGE_MAX}", name="body_length"),
    Index(None, "from_agent_id", "created_at"),
    Index(None, "to_agent_id", "created_at"),
)
