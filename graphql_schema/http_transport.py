"""GraphQL over HTTP, by the specification of that name: POST with a JSON body, the media type of the answer negotiated.

What is no GraphQL request gets a 4xx with a JSON body of the same form as any other error, never a 500. An answer of
the type `application/graphql-response+json` says in its status whether the operation ran; one of `application/json` is
then 200.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.types import Receive, Scope, Send
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from app.domain.errors import ErrorCode, HubError, Unauthenticated, Unavailable
from app.domain.principals import Principal
from graphql_schema.compressing import compressed
from graphql_schema.endpoint import Endpoint
from graphql_schema.errors import typed_error
from graphql_schema.incoming import GraphQLRequest, Malformed, bearer_token, parse_json, parse_request
from graphql_schema.outgoing import (
    FAULTS,
    encode_json,
    failed_before_data,
    fault_message,
    is_defect,
    is_unavailable,
    masked,
    plain_error,
    result_body,
)
from graphql_schema.planner.extension import PlannedAnswer

BODY_LIMIT = 1_048_576
"""Bytes of a request's body at most; uvicorn's `ws_max_size` should be the same for a frame."""
DROP_LIMIT = 16 * BODY_LIMIT
DROP_TIME = 5.0
"""Bytes and seconds of a body over the limit that are read and dropped before it is refused."""
JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
OPERATIONS = (OperationType.QUERY, OperationType.MUTATION)
KEPT = ((b"x-hub-cache", b"hit"),)
"""Says that the answer was made for an earlier request. `Cache-Control: no-cache` in a request asks for a new one."""

RawHeaders = tuple[tuple[bytes, bytes], ...]
Fields = Mapping[str, str]
"""The fields of a request's head by their names in lower case; one that comes several times is joined by commas."""


class ClientGone(Exception):
    """The client went away before its request was complete."""


@dataclass
class Refusal(Exception):
    """A request that is answered without running anything."""

    status: int
    error: dict[str, Any]
    headers: RawHeaders = ()


async def serve_http(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    headers = fields_of(scope)
    media_type = negotiate(headers.get("accept", ""))
    try:
        status, body, extra = await _answer(endpoint, scope["method"], headers, media_type, receive)
    except ClientGone:
        return
    except Refusal as refusal:
        status, body, extra = refusal.status, encode_json({"errors": [refusal.error]}), refusal.headers
    except Exception as defect:
        status, body, extra = 500, encode_json({"errors": [masked(defect)]}), ()
    if "accept-encoding" in headers:
        body, coding = await compressed(body, headers["accept-encoding"])
        extra = extra if coding is None else (*extra, (b"content-encoding", coding.encode()))
    await respond(send, status, body, media_type or JSON, extra)


def fields_of(scope: Scope) -> Fields:
    """The head of a request, decoded once: every look into the raw one would go through all of it."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


@lru_cache(maxsize=64)
def negotiate(accept: str) -> str | None:
    """The media type of the answer: what the Accept header prefers, JSON where it does not say; None for neither."""
    given = weights(accept)
    wildcard = max(given.get("*/*", 0.0), given.get("application/*", 0.0)) if accept.strip() else 1.0
    json, graphql = given.get(JSON, 0.0), given.get(GRAPHQL_RESPONSE, 0.0)
    if graphql and graphql >= max(json, wildcard):
        return GRAPHQL_RESPONSE
    return JSON if json or wildcard else None


def weights(accept: str) -> dict[str, float]:
    """How much the Accept header prefers each media range that it names."""
    items = [[part.strip().lower() for part in item.split(";")] for item in accept.split(",")]
    return {media_range: _weight(parameters) for media_range, *parameters in items}


def _weight(parameters: list[str]) -> float:
    """The `q` of a media range, 1 where there is none or it makes no sense."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


async def _answer(
    endpoint: Endpoint, method: str, headers: Fields, media_type: str | None, receive: Receive
) -> tuple[int, bytes, RawHeaders]:
    if method != "POST":
        raise Refusal(405, plain_error("Send a POST request with a JSON body."), ((b"allow", b"POST"),))
    if media_type is None:
        raise Refusal(406, plain_error(f"Answers are {GRAPHQL_RESPONSE} or {JSON}: accept one of them."))
    principal = await _authenticate(endpoint, headers)
    check_content(headers)
    body = await read_body(headers, receive)
    answers = endpoint.answers()
    asked = answers.ask(body, media_type, principal) if answers is not None else None
    if answers is None or asked is None:
        result = await execute(endpoint, parse_body(body), principal)
        return _status(result, media_type), encode_json(result_body(result, endpoint.describe)), ()
    kept = answers.find(asked) if "no-cache" not in headers.get("cache-control", "") else None
    if kept is not None:
        return 200, kept, KEPT
    result = await execute(endpoint, parse_body(body), principal)
    answer = encode_json(result_body(result, endpoint.describe))
    if isinstance(result, PlannedAnswer) and result.plan is not None:
        answers.keep(asked, result.plan, answer)
    return _status(result, media_type), answer, ()


async def _authenticate(endpoint: Endpoint, headers: Fields) -> Principal:
    token = token_of(headers)
    with refusing_strangers():
        return await endpoint.authenticate(token)


def token_of(headers: Fields) -> str:
    """The token that a request was sent with. Raises `Refusal`."""
    token = bearer_token(headers.get("authorization", ""))
    if token is None or "," in token:
        raise _unauthenticated("A token is needed: send the header `Authorization: Bearer <token>`.")
    return token


@contextlib.contextmanager
def refusing_strangers() -> Iterator[None]:
    """Turn what an authentication raises into a `Refusal`."""
    try:
        yield
    except Unauthenticated as error:
        raise _unauthenticated(error.message) from None
    except Unavailable as error:
        raise Refusal(503, plain_error(error.message, error.code.name), ((b"retry-after", b"1"),)) from None


def _unauthenticated(message: str) -> Refusal:
    error = plain_error(message, ErrorCode.UNAUTHENTICATED.name)
    return Refusal(401, error, ((b"www-authenticate", b'Bearer realm="hub"'),))


def check_content(headers: Fields) -> None:
    """Raise `Refusal` unless the body is said to be JSON."""
    if not is_json(headers.get("content-type", "")):
        raise Refusal(415, plain_error(f"The body must be JSON in UTF-8, sent as `content-type: {JSON}`."))
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, plain_error("The body must not be compressed."))


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """Whether a body of this type is JSON in UTF-8; clients send few different ones, so the answers are kept."""
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    return media_type.strip().lower() == JSON and charset in ("", "charset=utf-8")


async def read_body(headers: Fields, receive: Receive) -> bytes:
    """The body, up to its limit. Raises `Refusal` and `ClientGone`."""
    declared = headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > BODY_LIMIT:
        raise await _too_large(headers, receive)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        chunk, more = await _chunk(receive)
        size += len(chunk)
        if size > BODY_LIMIT:
            raise await _too_large(headers, receive, more=more)
        chunks.append(chunk)
    return b"".join(chunks)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _too_large(headers: Fields, receive: Receive, *, more: bool = True) -> Refusal:
    """The refusal, once the rest of the body is read and dropped, within limits.

    A connection that is closed with unread bytes in it is reset, and the client would not see the answer.
    """
    dropped = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DROP_TIME):
            while more and dropped < DROP_LIMIT and "expect" not in headers:
                chunk, more = await _chunk(receive)
                dropped += len(chunk)
    error = plain_error(f"The body is larger than {BODY_LIMIT} bytes.")
    return Refusal(413, error, headers=((b"connection", b"close"),))


def parse_body(body: bytes) -> GraphQLRequest:
    """The request in a body. Raises `Refusal`."""
    try:
        return parse_request(parse_json(body))
    except Malformed as malformed:
        raise Refusal(400, plain_error(str(malformed))) from None


async def execute(endpoint: Endpoint, request: GraphQLRequest, principal: Principal) -> ExecutionResult:
    """Run a query or mutation. Raises `Refusal` for what is none."""
    try:
        request = endpoint.documents.resolve(request)
    except HubError as refusal:
        return ExecutionResult(None, errors=[typed_error(refusal)])
    try:
        return await endpoint.schema.execute(
            request.query,
            variable_values=request.variables,
            context_value=endpoint.context_for(principal),
            operation_name=request.operation_name,
            allowed_operation_types=OPERATIONS,
            operation_extensions=request.extensions,
        )
    except tuple(FAULTS) as fault:
        raise Refusal(400, plain_error(fault_message(fault))) from None


def _status(result: ExecutionResult, media_type: str) -> int:
    errors = result.errors or []
    if result.data is None and is_unavailable(errors):
        return 503
    if not failed_before_data(result):
        return 200
    if any(is_defect(error) for error in errors):
        return 500
    return 400 if media_type == GRAPHQL_RESPONSE else 200


async def respond(send: Send, status: int, body: bytes, media_type: str, extra: RawHeaders) -> None:
    """Send a whole answer."""
    headers = [
        (b"content-type", media_type.encode() + b"; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"vary", b"accept, accept-encoding"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
