"""How a mutation is asked, and whether what came back is a refusal that helps."""

import re
from collections.abc import Sequence
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)

from app.domain.errors import ErrorCode
from graphql_schema.schema import build_schema
from tests.api.wrong.world import Reply

SCHEMA: GraphQLSchema = build_schema()._schema
LEFT = re.compile(r"Nothing (was|is|has been) (written|changed|sent|done|stored)")
LEAK = re.compile(r"Traceback|asyncpg|sqlalchemy|psycopg|\bNone\b|violates|constraint|0x[0-9a-f]{6}", re.IGNORECASE)


def mutations() -> dict[str, GraphQLField]:
    """Every mutation of the schema."""
    assert SCHEMA.mutation_type is not None
    return dict(SCHEMA.mutation_type.fields)


def input_type(mutation: str) -> GraphQLInputObjectType:
    """The type of its input."""
    given = get_named_type(mutations()[mutation].args["input"].type)
    assert isinstance(given, GraphQLInputObjectType)
    return given


def document(mutation: str) -> str:
    """The operation that asks for everything that the mutation answers."""
    payload = get_named_type(mutations()[mutation].type)
    assert isinstance(payload, GraphQLObjectType)
    call = f"{mutation}(input: $input) {_selection(payload)}"
    return f"mutation Wrong($input: {input_type(mutation)}!) {{ {call} }}"


def _selection(type_: GraphQLObjectType) -> str:
    """All fields, but of an entity only what tells whether it changed."""
    if any(interface.name == "Node" for interface in type_.interfaces):
        return "{ id version }" if "version" in type_.fields else "{ id }"
    parts = []
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        parts.append(f"{name} {_selection(inner)}" if isinstance(inner, GraphQLObjectType) else name)
    return "{ " + " ".join(parts) + " }"


def payload_of(reply: Reply, mutation: str) -> dict[str, Any]:
    """The payload; raises `AssertionError` when there is none."""
    assert reply.status == 200, reply
    assert "errors" not in reply.body, reply.body
    payload: dict[str, Any] = reply.body["data"][mutation]
    return payload


def faults_of_rejection(reply: Reply, words: str) -> list[str]:
    """What is wrong with an answer that should say, with these words, that this is no valid GraphQL request."""
    faults = _faults_of_errors(reply, 200, ErrorCode.INVALID_INPUT)
    if not faults and not any(words in error["message"] for error in reply.errors):
        faults.append(f"no message says {words!r}: {reply.errors[0]['message'][:200]}")
    return faults


def faults_of_transport_error(reply: Reply, status: int, code: ErrorCode) -> list[str]:
    """What is wrong with an answer of the transport that should have this status and code."""
    return _faults_of_errors(reply, status, code)


def _faults_of_errors(reply: Reply, status: int, code: ErrorCode) -> list[str]:
    if reply.status != status or "data" in reply.body or not reply.errors:
        return [f"status {reply.status} instead of {status}: {str(reply.body)[:300]}"]
    codes = {error.get("extensions", {}).get("code") for error in reply.errors}
    return [] if codes == {code.name} else [f"codes {codes} instead of {code.name}: {str(reply.errors)[:300]}"]


def faults_of_refusal(
    reply: Reply, mutation: str, codes: Sequence[ErrorCode], at: str | None, current_version: int | None = None
) -> list[str]:
    """What is wrong with an answer that should be one `userError` of one of these codes about this argument."""
    if reply.status != 200 or reply.errors:
        return [f"status {reply.status}, errors instead of userErrors: {str(reply.body)[:300]}"]
    payload = reply.body["data"][mutation]
    errors = payload["userErrors"]
    if len(errors) != 1:
        return [f"{len(errors)} userErrors: {str(payload)[:300]}"]
    error, faults = errors[0], []
    if error["code"] not in [code.name for code in codes]:
        faults.append(f"code {error['code']} instead of {[code.name for code in codes]}: {error['message'][:200]}")
    if at is not None and not _points_at(error["field"], at):
        faults.append(f"field {error['field']} instead of {at}: {error['message'][:150]}")
    if error["currentVersion"] != current_version:
        faults.append(f"currentVersion {error['currentVersion']} instead of {current_version}")
    faults += _faults_of_message(error["message"])
    left = [
        name for name, value in payload.items() if name not in ("userErrors", "dryRun") and value not in (None, [], 0)
    ]
    return faults + [f"a refusal that answers {name}: {payload[name]}" for name in left]


def _points_at(field: str | None, at: str) -> bool:
    """Whether the path is that of the argument or of a part of it; an item of a list of texts may go unnumbered."""
    if field is None:
        return False
    return field == at or field.startswith(f"{at}.") or re.fullmatch(rf"{re.escape(field)}\.\d+", at) is not None


def _faults_of_message(message: str) -> list[str]:
    faults = []
    if not LEFT.search(message):
        faults.append(f"the message does not say what was kept: {message[:200]}")
    if LEAK.search(message):
        faults.append(f"the message shows the inside: {message[:200]}")
    if len(message) > 1_000:
        faults.append(f"the message has {len(message)} characters")
    return faults
