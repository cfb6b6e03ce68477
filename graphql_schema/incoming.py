"""What clients send: a GraphQL request as JSON, the same over HTTP and WebSocket. Nothing in it is trusted."""

from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

Expected = TypeVar("Expected")


class Malformed(Exception):
    """What was sent is no GraphQL request; the message says why, and repeats nothing of it."""


@dataclass(frozen=True)
class GraphQLRequest:
    """One operation to run."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


def parse_json(text: bytes | str) -> object:
    """The value that the JSON text spells. Raises `Malformed`, for invalid UTF-8 and for bottomless nesting too."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Malformed("This is not valid JSON in UTF-8.") from None


def parse_request(value: object) -> GraphQLRequest:
    """The request that a JSON value spells. Raises `Malformed`."""
    if isinstance(value, list):
        raise Malformed("Batches are not supported: send one JSON object for each operation.")
    if not isinstance(value, dict):
        raise Malformed("A GraphQL request is a JSON object with `query`, and perhaps `variables` and `operationName`.")
    query = value.get("query")
    if not isinstance(query, str) or not query.strip():
        raise Malformed("`query` must be a string with a GraphQL document in it.")
    return GraphQLRequest(
        query=query,
        variables=_optional(value, "variables", dict, "an object"),
        operation_name=_optional(value, "operationName", str, "a string"),
        extensions=_optional(value, "extensions", dict, "an object"),
    )


def _optional(request: dict[str, Any], name: str, kind: type[Expected], words: str) -> Expected | None:
    value = request.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise Malformed(f"`{name}` must be {words} or null.")


def bearer_token(authorization: str) -> str | None:
    """The token in the value of an Authorization header; None when there is none in it."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
