"""How long the hub itself has been there to hear its agents, whichever of its processes looked."""

from sqlalchemy import Column, Table, Text

from db.tables.base import metadata, timestamp

upkeep = Table(
    "upkeep",
    metadata,
    Column("name", Text, primary_key=True),
    timestamp("watched_since", nullable=False, default_now=True),
    timestamp("looked_at", nullable=False, default_now=True),
)
