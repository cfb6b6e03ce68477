"""Batches: several commands in one request."""

from enum import StrEnum

BATCH_MAX = 200
"""Items of one batch."""


class BatchMode(StrEnum):
    """What becomes of a batch of which some items are refused."""

    ALL_OR_NOTHING = "all_or_nothing"
    EACH = "each"
