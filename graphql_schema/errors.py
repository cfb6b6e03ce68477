"""Errors as clients see them: expected failures with their code, as GraphQL errors or as `userErrors` of a payload.

What is no `HubError` is a defect; the transports mask it (graphql_schema/outgoing.py).
"""

from collections.abc import Sequence

import strawberry
from graphql import GraphQLError, Node

from app.domain.errors import ErrorCode, HubError, StaleVersion, TooExpensive
from graphql_schema import enums  # noqa: F401  (registers the enums)


@strawberry.type(description="Why a mutation was refused. Nothing was written.")
class UserError:
    field: str | None = strawberry.field(
        description="The argument at fault, as a path such as `input.confidenceScore`; null when it is none alone.",
        default=None,
    )
    message: str = strawberry.field(description="What is wrong and what to do next, in English.")
    code: ErrorCode = strawberry.field(description="What kind of refusal it is; for programs.")
    current_version: int | None = strawberry.field(
        description="The entity's version now, when `code` is STALE_VERSION; null otherwise.", default=None
    )


def user_error(error: HubError) -> UserError:
    """The failure as an entry of `userErrors`."""
    return UserError(
        field=error.field,
        message=error.message,
        code=error.code,
        current_version=error.current if isinstance(error, StaleVersion) else None,
    )


def typed_error(
    error: HubError, nodes: Sequence[Node] | None = None, path: Sequence[str | int] | None = None
) -> GraphQLError:
    """The failure as a GraphQL error with `extensions { code }`, and `field` and `currentVersion` where known."""
    return GraphQLError(
        error.message, list(nodes or ()), path=path, original_error=error, extensions=error_extensions(error)
    )


def error_extensions(error: HubError) -> dict[str, object]:
    """The `extensions` of a GraphQL error that the failure became."""
    extensions: dict[str, object] = {"code": error.code.name}
    if error.field is not None:
        extensions["field"] = error.field
    if isinstance(error, StaleVersion):
        extensions["currentVersion"] = error.current
    if isinstance(error, TooExpensive):
        extensions["cost"] = {"requested": error.cost, "limit": error.limit}
    return extensions


def add_codes(errors: Sequence[GraphQLError]) -> None:
    """Give every error that an expected failure caused its code, wherever it was raised."""
    for error in errors:
        cause: BaseException | None = error
        while isinstance(cause, GraphQLError):
            cause = cause.original_error
        if isinstance(cause, HubError):
            error.extensions = error_extensions(cause)
