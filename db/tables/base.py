"""What all tables share: the metadata with its naming convention, common columns, and CHECKs built from the domain."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import UserDefinedType

from app.domain.machines import Machine
from app.domain.rules import Range

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

UTC_NOW = func.now()
MONEY = Numeric(14, 6)
SCORE = Numeric(4, 2)


def uuid_key(name: str) -> Column[Any]:
    """The primary key of an entity whose id the hub makes."""
    return Column(name, UUID(as_uuid=True), primary_key=True)


def timestamp(name: str, *, nullable: bool = True, default_now: bool = False) -> Column[Any]:
    """A point in time, UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=UTC_NOW if default_now else None)


def json_column(name: str, *, default: str | None = "{}") -> Column[Any]:
    """A JSON value; `default` is its JSON text, None makes it nullable."""
    return Column(name, JSONB(none_as_null=True), nullable=default is None, server_default=default)


def enum_column(
    name: str, values: type[StrEnum], *, nullable: bool = False, default: StrEnum | None = None
) -> Column[Any]:
    """A status or kind as text; its CHECK comes from `one_of`."""
    return Column(
        name, Text, nullable=nullable, server_default=default.value if default else None, info={"enum": values}
    )


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id; asyncpg hands it over as an int."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "XID8"


def versioned() -> list[Column[Any]]:
    """The columns of every mutable row: version (from 1, +1 a change), created_at, updated_at.

    `event_xid` is the `xid` of the row's last event, which later ones may not fall below (docs/adr/0023).
    """
    return [
        Column("event_xid", Xid8(), nullable=False, server_default=func.pg_current_xact_id()),
        Column("version", Integer, nullable=False, server_default="1"),
        timestamp("created_at", nullable=False, default_now=True),
        timestamp("updated_at", nullable=False, default_now=True),
    ]


def one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """The column holds one of the enum's values."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def status_of(column: str, machine: Machine[Any]) -> CheckConstraint:
    """The column holds a status of the machine."""
    return one_of(column, machine.transitions)


def within(column: str, limits: Range) -> CheckConstraint:
    """The column is null or within the limits."""
    high = "" if limits.high is None else f" AND {column} <= {_literal(limits.high)}"
    return CheckConstraint(f"{column} >= {_literal(limits.low)}{high}", name=column)


def not_blank(column: str) -> CheckConstraint:
    """The text has something other than spaces in it."""
    return CheckConstraint(f"btrim({column}) <> ''", name=column)


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, (int, Decimal)) else repr(value)
