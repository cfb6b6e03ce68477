"""Resource metrics, partitioned by week: no foreign keys, so that old weeks can be dropped without locking others."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from app.domain.metrics import AHEAD, AMOUNT, RETENTION, AlertLevel
from app.domain.rules import NOT_NEGATIVE, PERCENT
from app.domain.rules import SCORE as SCORE_RANGE
from db.tables.base import SCORE, enum_column, json_column, metadata, one_of, timestamp, within

resource_metrics = Table(
    "resource_metrics",
    metadata,
    Column("metric_id", UUID(as_uuid=True), primary_key=True),
    Column("measurement_time", timestamp("t").type, primary_key=True),
    # null: of the whole system
    Column("agent_id", Text),
    Column("execution_id", UUID(as_uuid=True)),
    Column("cpu_usage", Numeric(5, 2)),
    Column("memory_usage", Numeric(14, 3)),
    Column("disk_usage", Numeric(14, 3)),
    Column("network_io", Numeric(14, 3)),
    Column("active_sessions", Integer),
    Column("database_connections", Integer),
    Column("response_time", Integer),
    Column("error_rate", Numeric(5, 2)),
    Column("optimization_score", SCORE),
    json_column("optimization_suggestions", default="[]"),
    enum_column("alert_level", AlertLevel, default=AlertLevel.NORMAL),
    timestamp("created_at", nullable=False, default_now=True),
    # against the moment of storing, since a CHECK must give the same answer for ever
    CheckConstraint(
        f"measurement_time > created_at - interval '{RETENTION.days} days' "
        f"AND measurement_time <= created_at + interval '{int(AHEAD.total_seconds())} seconds'",
        name="measurement_time",
    ),
    CheckConstraint("jsonb_typeof(optimization_suggestions) = 'array'", name="optimization_suggestions"),
    within("cpu_usage", PERCENT),
    within("memory_usage", AMOUNT),
    within("disk_usage", AMOUNT),
    within("network_io", AMOUNT),
    within("active_sessions", NOT_NEGATIVE),
    within("database_connections", NOT_NEGATIVE),
    within("response_time", NOT_NEGATIVE),
    within("error_rate", PERCENT),
    within("optimization_score", SCORE_RANGE),
    one_of("alert_level", AlertLevel),
    Index(None, "measurement_time", "metric_id"),
    Index(None, "agent_id", "measurement_time", "metric_id"),
    Index(None, "execution_id", "measurement_time", "metric_id"),
    postgresql_partition_by="RANGE (measurement_time)",
)
