"""Identifiers: made here and never by the database, so that a caller knows them before anything is written."""

from uuid import UUID

from uuid_utils.compat import uuid7

from app.domain.errors import InvalidInput


def new_id() -> UUID:
    """A UUID of version 7: unique, and rising with time, so that new rows lie together in an index."""
    return uuid7()


def parse_id(field: str, value: str) -> UUID:
    """The UUID that `value` spells; `InvalidInput` when it is none."""
    try:
        return UUID(value)
    except ValueError:
        raise InvalidInput(
            f"{field} must be a UUID, it is {value[:80]!r}. Nothing was written.", f"input.{field}"
        ) from None
