"""What clients get: results and errors as JSON. Expected failures say what they are, defects of the hub are masked."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import orjson
import structlog
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult

from app.domain.errors import ErrorCode, HubError, Unavailable
from graphql_schema.endpoint import DescribeError
from graphql_schema.errors import error_extensions

INTERNAL = "INTERNAL"
"""The code of a masked error."""

FAULTS: dict[type[Exception], str] = {
    MissingQueryError: "`query` must be a string with a GraphQL document in it.",
    CannotGetOperationTypeError: "The document has no operation of that name; with several, `operationName` picks one.",
    InvalidOperationTypeError: "A subscription needs a WebSocket that speaks `graphql-transport-ws`, at the same path, "
    "or `Accept: text/event-stream`.",
    RecursionError: "The document nests too deeply.",
}
"""What Strawberry and graphql-core raise before an operation runs because of what the client sent."""

log = structlog.get_logger(__name__)


def describe_error(error: GraphQLError) -> dict[str, Any]:
    """The error's JSON form: with its code when it was expected, masked and logged when it is a defect of the hub."""
    cause = cause_of(error)
    described = dict(error.formatted)
    if isinstance(cause, HubError):
        return {**described, "message": cause.message, "extensions": error_extensions(cause)}
    if error.path is None and type(cause) in FAULTS:
        return plain_error(fault_message(cause))
    if not is_defect(error):
        described.setdefault("extensions", {"code": ErrorCode.INVALID_INPUT.name})
        return described
    return {**described, **masked(cause or error)}


def masked(defect: BaseException) -> dict[str, Any]:
    """The error that stands for a defect; the log has its story under the same correlation id."""
    correlation_id = uuid4().hex
    log.error("an unexpected error was masked", correlation_id=correlation_id, exc_info=defect)
    return {
        "message": f"Something went wrong inside of the hub. Report it with the correlation id {correlation_id}.",
        "extensions": {"code": INTERNAL, "correlationId": correlation_id},
    }


def plain_error(message: str, code: str = ErrorCode.INVALID_INPUT.name) -> dict[str, Any]:
    """An error that belongs to no place in a document."""
    return {"message": message, "extensions": {"code": code}}


def cause_of(error: GraphQLError) -> BaseException | None:
    """The exception that a GraphQL error was made of, however often it was wrapped."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def is_defect(error: GraphQLError) -> bool:
    """Whether an unexpected exception is behind the error.

    Validation and coercion wrap what a scalar raised for a wrong value; such an error has a place in the document, but
    no path in the response yet.
    """
    cause = cause_of(error)
    if cause is None or isinstance(cause, HubError):
        return False
    return error.path is not None or not (error.locations or type(cause) in FAULTS)


def fault_message(fault: BaseException | None) -> str:
    """What to tell a client whose request ended in one of `FAULTS`."""
    return next(message for kind, message in FAULTS.items() if isinstance(fault, kind))


def failed_before_data(result: ExecutionResult) -> bool:
    """Whether the operation ended before any field was resolved, so that its result has errors and no data at all."""
    return result.data is None and bool(result.errors) and all(error.path is None for error in result.errors or ())


def is_unavailable(errors: Sequence[GraphQLError]) -> bool:
    """Whether one of the errors says that the hub cannot answer now."""
    return any(isinstance(cause_of(error), Unavailable) for error in errors)


def result_body(result: ExecutionResult, describe: DescribeError) -> dict[str, Any]:
    """The response to an operation. Its data may be an `orjson.Fragment`, so only orjson can encode it."""
    body: dict[str, Any] = {} if failed_before_data(result) else {"data": result.data}
    if result.errors:
        body["errors"] = [describe(error) for error in result.errors]
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def encode_json(value: object) -> bytes:
    """The value as JSON text."""
    return orjson.dumps(value)
