"""Resource metrics: alert levels, and when a measurement is too old or too far ahead to be stored."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.domain.errors import InvalidInput
from app.domain.rules import Range

RETENTION = timedelta(days=90)
AHEAD = timedelta(minutes=5)
BATCH_MAX = 1_000
AMOUNT = Range(Decimal(0), Decimal(99_999_999_999))
"""Megabytes, or megabytes a second. Closed above, since PostgreSQL counts NaN as more than any number."""


class AlertLevel(StrEnum):
    """How alarming a measurement is."""

    NORMAL = "normal"
    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"


def check_measurement_time(field: str, measured: datetime, now: datetime) -> None:
    """Raise `InvalidInput` unless `measured` lies within the last 90 days or at most 5 minutes ahead of `now`."""
    if not now - RETENTION < measured <= now + AHEAD:
        raise InvalidInput(
            f"{field} must be no older than {RETENTION.days} days and at most 5 minutes ahead of the hub's clock "
            f"({now.isoformat()}); it is {measured.isoformat()}. Nothing was written.",
            f"input.{field}",
        )
