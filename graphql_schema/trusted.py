"""The file of trusted documents: read, judged and planned when the hub starts, so that a wrong one is told of then."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    OperationType,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.execution.values import VariableValues

from app.domain.documents import WrongDocument, texts_by_sha256
from app.domain.errors import HubError, TooExpensive
from app.domain.principals import Principal, Role
from graphql_schema.documents import DocumentStore
from graphql_schema.planner.documents import LONGEST_KEPT, Document
from graphql_schema.planner.extension import coerce
from graphql_schema.planner.plan import Plan
from graphql_schema.planner.planner import Operation
from graphql_schema.planner.windows import PAGE_DEFAULT
from graphql_schema.schema import HubSchema

READER = Principal("trusted documents", Role.VIEWER)
"""Whose rights documents are planned for; with others they are planned when they are first asked."""
STAND_INS: Mapping[str, Any] = {
    "Boolean": True,
    "Float": 1.0,
    "ID": "00000000-0000-0000-0000-000000000000",
    "String": "a",
    "DateTime": "2026-01-01T00:00:00Z",
    "Decimal": "1",
    "BigInt": 1,
    "JSON": {},
    "Cursor": "a",
}
"""Values for variables that must have one, by type; what numbers stand for depends on what is asked."""


def document_store(schema: HubSchema, file: Path | None, *, only: bool) -> DocumentStore:
    """What tells the documents of requests; those of the file are registered. Raises `WrongDocument`."""
    trusted = register(schema, file) if file is not None else {}
    return DocumentStore(lambda text: _is_valid(schema, text), trusted, only=only)


def _is_valid(schema: HubSchema, text: str) -> bool:
    try:
        return len(text) <= LONGEST_KEPT and not schema.documents.prepare(text).errors
    except (GraphQLError, RecursionError):
        return False


def register(schema: HubSchema, file: Path) -> Mapping[str, str]:
    """Judge and plan every document of the file, and keep them for good; the texts by hash. Raises `WrongDocument`."""
    try:
        texts = read_documents(file)
        for sha256, text in texts.items():
            _register(schema, sha256, text)
    except WrongDocument as error:
        raise WrongDocument(f"{error.message} It is in {file}, which HUB_TRUSTED_DOCUMENTS names.") from None
    return texts


def read_documents(file: Path) -> dict[str, str]:
    """The texts of a file by their hashes. Raises `WrongDocument`."""
    try:
        return texts_by_sha256(orjson.loads(file.read_bytes()))
    except (OSError, orjson.JSONDecodeError) as error:
        raise WrongDocument(f"The file cannot be read: {error}.") from None


def _register(schema: HubSchema, sha256: str, text: str) -> None:
    try:
        schema.documents.pin(text, _planned(schema, text))
    except (GraphQLError, HubError) as error:
        raise WrongDocument.named(sha256, error.message) from None
    except RecursionError:
        raise WrongDocument.named(sha256, "it nests too deeply") from None


def _planned(schema: HubSchema, text: str) -> Document:
    document = schema.documents.prepare(text)
    for error in document.errors:
        raise error
    for operation in document.operations.values():
        _afford(schema, operation)
        if operation.node.operation is OperationType.QUERY:
            _plan(schema, operation)
    return document


def _afford(schema: HubSchema, operation: Operation) -> None:
    """Raises `TooExpensive` where not even the smallest pages that the variables can ask for are within the limit."""
    values = coerce(schema, operation, _stand_ins(schema, operation, 1, all_numbers=True))
    if isinstance(values, VariableValues):
        schema.planner.cost(operation, values.coerced)


def _plan(schema: HubSchema, operation: Operation) -> None:
    """Plan a query for usual variables.

    Raises the error of a root field that can be answered for no variables, since it has none.
    """
    values = coerce(schema, operation, _stand_ins(schema, operation, PAGE_DEFAULT))
    if not isinstance(values, VariableValues):
        return  # it is planned when it is asked
    try:
        planned = schema.planner.plan_operation(operation, values.coerced, READER)
    except TooExpensive:
        return  # it can be asked for less
    if isinstance(planned, Plan) and not operation.node.variable_definitions:
        for failure in planned.failures:
            raise failure.error


def _stand_ins(
    schema: HubSchema, operation: Operation, number: int, *, all_numbers: bool = False
) -> Mapping[str, object]:
    """Values for the variables that must have one, and with `all_numbers` for all that can be one."""
    core: GraphQLSchema = schema._schema
    values = {}
    for definition in operation.node.variable_definitions or ():
        type_: Any = type_from_ast(core, definition.type)
        is_number = all_numbers and getattr(get_nullable_type(type_), "name", None) == "Int"
        if is_number or (is_non_null_type(type_) and definition.default_value is None):
            values[definition.variable.name.value] = _stand_in(type_, number)
    return values


def _stand_in(type_: GraphQLInputType, number: int) -> object:
    plain: Any = get_nullable_type(type_)
    if is_list_type(plain):
        return [_stand_in(plain.of_type, number)]
    if isinstance(plain, GraphQLEnumType):
        return next(iter(plain.values))
    if isinstance(plain, GraphQLInputObjectType):
        required = {name: field for name, field in plain.fields.items() if is_required_input_field(field)}
        return {name: _stand_in(field.type, number) for name, field in required.items()}
    return number if plain.name == "Int" else STAND_INS.get(plain.name)
