"""What a driver error means: try again, bad input, or a server that is away."""

import contextlib
from collections.abc import Iterator

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as CheckoutTimeout

from app.domain.errors import HubError, InvalidInput, Unavailable

DEADLOCK, SERIALIZATION, LOCK_TIMEOUT = "40P01", "40001", "55P03"
UNIQUE = "23505"
RETRYABLE = (DEADLOCK, SERIALIZATION, LOCK_TIMEOUT, UNIQUE)
"""A lost race for a key is one too: run again, the transaction finds the row."""
FOREIGN_KEY = "23503"
NOT_NULL, CHECK = "23502", "23514"
TOO_LONG = "57014"
BAD_VALUE_CLASSES = ("22", "23")
AWAY_CLASSES = ("08", "53", "57")
REFUSED_CLASSES = ("28", "3D")

DRIVER_ERRORS = (DBAPIError, CheckoutTimeout, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""What comes out of a call to the database: SQLAlchemy wraps only a part of what its driver raises."""
AWAY_ERRORS = (CheckoutTimeout, asyncpg.InterfaceError, OSError, TimeoutError)


log = structlog.get_logger(__name__)


def sqlstate(error: BaseException) -> str:
    """The five-character SQLSTATE behind an error, or an empty string."""
    for candidate in _chain(error):
        state = getattr(candidate, "sqlstate", None)
        if isinstance(state, str):
            return state
    return ""


def is_retryable(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return sqlstate(error) in RETRYABLE


def translate(error: Exception) -> Exception:
    """The typed error for what bad input or an absent server caused; the error itself for a defect of ours."""
    return _expected(error) or error


@contextlib.contextmanager
def typed_errors() -> Iterator[None]:
    """Within, driver errors come out as `translate` has them."""
    try:
        yield
    except DRIVER_ERRORS as error:
        expected = _expected(error)
        if expected is None:
            raise
        raise expected from error


def _expected(error: Exception) -> HubError | None:
    state = sqlstate(error)
    if state == FOREIGN_KEY:
        return InvalidInput("An id in the input refers to nothing that exists. Nothing was written; check the ids.")
    if state in (NOT_NULL, CHECK):
        # refused all the same, but a rule of app/domain should have said so first, and said more
        log.warning("only the database refused a value", sqlstate=state, constraint=_constraint(error))
    if state.startswith(BAD_VALUE_CLASSES) or any(isinstance(part, asyncpg.DataError) for part in _chain(error)):
        return InvalidInput("A value in the input breaks a rule of the data model. Nothing was written.")
    if state in RETRYABLE:
        return Unavailable("Others keep changing the same rows. Nothing was written; try again in a moment.")
    if state == TOO_LONG:
        return Unavailable("The request took the database too long and was given up. Ask for less at once.")
    if state.startswith(REFUSED_CLASSES):
        return Unavailable("The database refuses the connection; check its address, user and password.")
    if state.startswith(AWAY_CLASSES) or _is_away(error):
        # a connection that broke in the middle of a commit does not tell whether it was kept
        return Unavailable("The database does not answer. Try again in a moment; an idempotency key makes that safe.")
    return None


def _constraint(error: Exception) -> str | None:
    """The name of the rule, or of the column that was null; never a value."""
    named = [part for part in _chain(error) if isinstance(part, asyncpg.IntegrityConstraintViolationError)]
    return (named[0].constraint_name or named[0].column_name) if named else None


def _is_away(error: Exception) -> bool:
    return isinstance(error, AWAY_ERRORS) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what SQLAlchemy wrapped, and the driver's own under that."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.orig if isinstance(seen, DBAPIError) else seen.__cause__
