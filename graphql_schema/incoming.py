"""What clients send: a GraphQL request as JSON, the same over HTTP and WebSocket. Nothing in it is trusted."""

from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from app.domain.documents import named_sha256

Expected = TypeVar("Expected")

APOLLO_VERSION = 1
"""Of the protocol by which Apollo's clients name documents."""


class Malformed(Exception):
    """What was sent is no GraphQL request; the message says why, and repeats nothing of it."""


@dataclass(frozen=True)
class GraphQLRequest:
    """One operation to run, of a document that is given by its text, by the SHA-256 of that, or by both.

    `query` is empty where only the hash was given, until `DocumentStore.resolve` found the text.
    """

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None
    sha256: str | None = None
    is_apollos: bool = False
    """Whether the hash was given as Apollo's clients give it."""


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
    extensions = _optional(value, "extensions", dict, "an object")
    document_id = _document_id(value)
    apollos = _persisted_query(extensions)
    if document_id is not None and apollos is not None and document_id != apollos:
        raise Malformed("`documentId` and `extensions.persistedQuery` name different documents.")
    sha256 = document_id or apollos
    return GraphQLRequest(
        query=_query(value, is_named=sha256 is not None),
        variables=_optional(value, "variables", dict, "an object"),
        operation_name=_optional(value, "operationName", str, "a string"),
        extensions=extensions,
        sha256=sha256,
        is_apollos=apollos is not None,
    )


def _query(request: dict[str, Any], *, is_named: bool) -> str:
    query = request.get("query")
    if query is None and is_named:
        return ""
    if isinstance(query, str) and query.strip():
        return query
    raise Malformed("`query` must be a string with a GraphQL document in it.")


def _document_id(request: dict[str, Any]) -> str | None:
    """The hash of the document that `documentId` names."""
    named = _optional(request, "documentId", str, "a string")
    if named is None:
        return None
    sha256 = named_sha256(named)
    if sha256 is None:
        raise Malformed("`documentId` must be `sha256:` and 64 hexadecimal digits in lower case.")
    return sha256


def _persisted_query(extensions: dict[str, Any] | None) -> str | None:
    """The hash of the document that Apollo's extension names."""
    named = extensions.get("persistedQuery") if extensions else None
    if named is None:
        return None
    given = named.get("sha256Hash") if isinstance(named, dict) and named.get("version") == APOLLO_VERSION else None
    sha256 = named_sha256(given) if isinstance(given, str) else None
    if sha256 is None:
        raise Malformed(
            f"`extensions.persistedQuery` must have the `version` {APOLLO_VERSION} and a `sha256Hash` of 64 "
            "hexadecimal digits in lower case."
        )
    return sha256


def _optional(request: dict[str, Any], name: str, kind: type[Expected], words: str) -> Expected | None:
    value = request.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise Malformed(f"`{name}` must be {words} or null.")


def bearer_token(authorization: str) -> str | None:
    """The token in the value of an Authorization header; None when there is none in it."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
