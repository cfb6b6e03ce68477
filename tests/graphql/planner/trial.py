"""Sends operations both ways and compares: by the planner, and by graphql-core under the same limits."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import orjson
from graphql import ExecutionResult, GraphQLError
from graphql.execution.values import VariableValues
from strawberry.extensions import SchemaExtension

from app.domain.errors import TooExpensive
from app.domain.principals import Role
from db.session import Database
from graphql_schema.errors import typed_error
from graphql_schema.limits import MAX_TOKENS, over_the_limits
from graphql_schema.planner.documents import Documents
from graphql_schema.planner.extension import coerce
from graphql_schema.planner.planner import operations_of
from graphql_schema.schema import HubSchema
from tests.graphql.planner.conftest import Answer, Reader, principal
from tests.graphql.planner.dressing import Operation

CONNECTION = frozenset({"nodes", "edges", "pageInfo", "totalCount", "groups"})


class Limits(SchemaExtension):
    """The limits of documents and of costs for what graphql-core answers; costs are counted anew for each request."""

    documents: ClassVar[Documents]
    """Parsed and validated ones, which need not be again: the planner leaves both to graphql-core anyway."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options["max_tokens"] = MAX_TOKENS
        known = self.documents.get(context.query or "")
        if known is not None:
            context.graphql_document = known.node
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        known = self.documents.get(context.query or "")
        if known is not None:
            context.pre_execution_errors = [*known.errors]
        elif context.graphql_document is not None:
            context.pre_execution_errors = over_the_limits(context.graphql_document) or None
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        context = self.execution_context
        document, schema = context.graphql_document, cast("HubSchema", context.schema)
        assert document is not None
        operation = operations_of(document)[context.operation_name]
        values = coerce(schema, operation, context.variables or {})
        if isinstance(values, VariableValues):
            try:
                schema.planner.cost(operation, values.coerced)
            except TooExpensive as error:
                context.result = ExecutionResult(None, errors=[typed_error(error)])
            except GraphQLError:
                pass  # graphql-core has the words for it
        yield


@dataclass
class Trial:
    """Two ways to ask, and what came of it."""

    database: Database
    planned: HubSchema
    plain: HubSchema
    operations: int = 0
    """Documents: each was sent once at least, with one set of variables or with two."""
    seen: Counter[str] = field(default_factory=Counter)

    async def both_ways(self, operation: Operation, role: Role, told: str) -> None:
        """Fail where the answers differ, or where the planner's takes more than one statement."""
        for number, variables in enumerate((operation.variables, *operation.others)):
            first = await self._compare(operation, variables, role, told)
            if number == 0:
                self._count(first)
        if not operation.others:
            # known by now, it goes straight to its plan
            again = await self._ask(self.planned, operation, operation.variables, role)
            assert (as_bytes(again.data), again.errors) == (as_bytes(first.data), first.errors), told
        self.operations += 1

    async def _compare(self, operation: Operation, variables: dict[str, Any], role: Role, told: str) -> Answer:
        told = f"{told}, as {role}:\n{operation.text}\n{variables}"
        fallbacks = self.planned.planner.fallbacks
        planned = await self._ask(self.planned, operation, variables, role)
        executed = await self._ask(self.plain, operation, variables, role)
        # fields are answered in no set order, so neither are the errors of several
        assert sorted(planned.errors, key=repr) == sorted(executed.errors, key=repr), told
        assert as_bytes(planned.data) == as_bytes(executed.data), told
        assert len(planned.statements) == (0 if planned.data is None else 1), told
        assert self.planned.planner.fallbacks == fallbacks, told
        self.seen["requests"] += 1
        return planned

    async def _ask(self, schema: HubSchema, operation: Operation, variables: dict[str, Any], role: Role) -> Answer:
        reader = Reader(schema, self.database, principal(role))
        return await reader.ask(operation.text, operation.name, **variables)

    def _count(self, answer: Answer) -> None:
        codes = {error.get("extensions", {}).get("code") for error in answer.errors}
        if answer.data is None:
            is_limited = "TOO_EXPENSIVE" in codes or any("allowed" in error["message"] for error in answer.errors)
            self.seen["over the limits" if is_limited else "refused as a whole"] += 1
        else:
            self.seen["refused in part" if answer.errors else "answered"] += 1
            self.seen["with rows"] += _has_rows(answer.data)


def as_bytes(data: Any) -> bytes:
    """The data in one way of writing: JSON has one kind of number, and graphql-core writes 1.0 for a Float of 1."""
    return orjson.dumps(_plain(data))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _has_rows(data: Any) -> bool:
    """Whether there is an object that is no connection, below the root."""
    if isinstance(data, dict):
        parts = [each for each in data.values() if isinstance(each, dict)]
        return any(not CONNECTION & each.keys() for each in parts) or any(map(_has_rows, data.values()))
    return isinstance(data, list) and any(isinstance(each, dict) for each in data)
