"""What a driver error means: try again, bad input, or a server that is away."""

from sqlalchemy.exc import DBAPIError

from app.domain.errors import HubError, InvalidInput, Unavailable

DEADLOCK, SERIALIZATION, LOCK_TIMEOUT = "40P01", "40001", "55P03"
FOREIGN_KEY = "23503"
BAD_VALUE_CLASSES = ("22", "23")
AWAY_CLASSES = ("08", "53", "57")


def sqlstate(error: BaseException) -> str:
    """The five-character SQLSTATE behind an error, or an empty string."""
    for candidate in (error, getattr(error, "orig", None), getattr(error, "__cause__", None)):
        state = getattr(candidate, "sqlstate", None) or getattr(candidate, "pgcode", None)
        if isinstance(state, str):
            return state
    return ""


def is_retryable(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return sqlstate(error) in (DEADLOCK, SERIALIZATION, LOCK_TIMEOUT)


def translate(error: DBAPIError) -> Exception:
    """The typed error for what bad input or an absent server caused; the error itself for a defect of ours."""
    return _expected(error) or error


def _expected(error: DBAPIError) -> HubError | None:
    state = sqlstate(error)
    if state == FOREIGN_KEY:
        return InvalidInput("An id in the input refers to nothing that exists. Nothing was written; check the ids.")
    if state.startswith(BAD_VALUE_CLASSES) or type(error.orig).__name__ == "DataError":
        return InvalidInput("A value in the input breaks a rule of the data model. Nothing was written.")
    if state.startswith(AWAY_CLASSES) or error.connection_invalidated:
        return Unavailable("The database does not answer. Nothing was written; try again in a moment.")
    return None
