"""The event log: every change, in commit-safe order; partitioned by retention class, then by time."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Table, Text, func
from sqlalchemy.types import UserDefinedType

from app.domain.events import Aggregate, Retention
from db.tables.base import UTC_NOW, enum_column, json_column, metadata, one_of, timestamp


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id; asyncpg hands it over as an int."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "XID8"


event_log = Table(
    "event_log",
    metadata,
    # the order of events is (xid, id); see docs/architecture.md, "Live updates"
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
    one_of("retention", Retention),
    one_of("aggregate", Aggregate),
    Index(None, "xid", "id"),
    Index(None, "aggregate", "entity_id", "xid", "id"),
    postgresql_partition_by="LIST (retention)",
)
