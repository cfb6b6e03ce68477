"""API tokens (hashed), and the idempotency keys of their holders."""

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Table, Text

from app.domain.principals import Role
from db.tables.base import enum_column, json_column, metadata, not_blank, one_of, timestamp, uuid_key, versioned

api_tokens = Table(
    "api_tokens",
    metadata,
    uuid_key("token_id"),
    Column("token_name", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    enum_column("role", Role),
    Column("agent_id", Text),
    timestamp("expires_at"),
    timestamp("revoked_at"),
    *versioned(),
    not_blank("token_name"),
    one_of("role", Role),
    CheckConstraint("role <> 'agent' OR agent_id IS NOT NULL", name="agent_token_names_its_agent"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    json_column("result", default=None),
    timestamp("created_at", nullable=False, default_now=True),
    # by which those that are no longer remembered are deleted
    Index(None, "created_at"),
)
