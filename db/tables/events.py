"""The event log: every change, in commit-safe order; partitioned by retention class, then by time."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Table, Text, func

from app.domain.events import Aggregate, Retention
from db.tables.base import UTC_NOW, Xid8, enum_column, json_column, metadata, one_of, timestamp

__all__ = ["Xid8", "event_log"]  # a migration looks for the type here

event_log = Table(
    "event_log",
    metadata,
    # the order of events is (xid, id); see docs/architecture.md, "Live updates". It is the writer's transaction id, or
    # that of the entity's event before, where this is greater: docs/adr/0023
    Column("xid", Xid8(), nullable=False, server_default=func.pg_current_xact_id()),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("created_at", timestamp("t").type, nullable=False, server_default=UTC_NOW),
    enum_column("retention", Retention),
    enum_column("aggregate", Aggregate),
    Column("entity_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text),
    # the entity's version after the change; null where the change has none
    Column("version", Integer),
    Column("actor", Text, nullable=False),
    json_column("detail"),
    # what was written together; null for what is older than this column
    Column("transaction_xid", Xid8(), server_default=func.pg_current_xact_id()),
    one_of("retention", Retention),
    one_of("aggregate", Aggregate),
    Index(None, "xid", "id"),
    Index(None, "aggregate", "entity_id", "xid", "id"),
    postgresql_partition_by="LIST (retention)",
)
