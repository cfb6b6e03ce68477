"""All tables in one place, so that `metadata` is whole once this is imported."""

from db.tables import (
    access,
    agents,
    decisions,
    events,
    installation,
    metrics,
    model_assignments,
    quality_gates,
    tasks,
    upkeep,
    workflows,
)
from db.tables.base import metadata

__all__ = [
    "access",
    "agents",
    "decisions",
    "events",
    "installation",
    "metadata",
    "metrics",
    "model_assignments",
    "quality_gates",
    "tasks",
    "upkeep",
    "workflows",
]
