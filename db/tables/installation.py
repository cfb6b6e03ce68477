"""Which server this database lives on: one row, by which a copy that was restored elsewhere is known."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Table, true

from db.tables.base import metadata

installation = Table(
    "installation",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=true()),
    Column("system_identifier", BigInteger, nullable=False),
    CheckConstraint("is_only", name="is_only"),
)
