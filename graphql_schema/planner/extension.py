"""Where the planner hangs in Strawberry: documents are parsed and validated once, queries answered by their plans."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType, located_error
from graphql.execution.values import VariableValues, get_variable_values
from strawberry.extensions import SchemaExtension
from strawberry.types import ExecutionResult as PlannedResult

from app.domain.errors import HubError, TooExpensive
from graphql_schema.errors import typed_error
from graphql_schema.planner.documents import WHICH_OPERATION, Document, Documents
from graphql_schema.planner.plan import Failure, Plan, ReadContext
from graphql_schema.planner.planner import Operation, QueryPlanner

COERCION_ERRORS_MAX = 50
"""As many as graphql-core tells."""


class PlannedReads(SchemaExtension):
    """Runs each query operation as one statement; mutations, subscriptions and introspection go to graphql-core."""

    document: Document | None = None
    cost: int | None = None

    def on_parse(self) -> Iterator[None]:
        """Take the document from those that are kept. Raises `GraphQLError` for what cannot be parsed."""
        context = self.execution_context
        self.document = _documents(context.schema).prepare(context.query or "")
        context.graphql_document = self.document.node
        yield

    def on_validate(self) -> Iterator[None]:
        """Tell what validation said."""
        if self.document is not None:
            errors = list(self.document.errors) or self._ambiguity(self.document) or self._unaffordable()
            self.execution_context.pre_execution_errors = errors
        yield

    async def on_execute(self) -> AsyncIterator[None]:
        """Answer a query by its plan."""
        context, operation = self.execution_context, self._operation
        if operation is not None and operation.node.operation is OperationType.QUERY:
            answered = await answer(context.schema, operation, context.variables or {}, context.context)
            if answered is None:
                _planner(context.schema).fallbacks += 1
            else:
                context.result, self.cost = cast("Any", answered.result), answered.cost
        yield

    def get_results(self) -> dict[str, Any]:
        """The operation's cost, where the request asked for it."""
        asked = wants_cost(self.execution_context.operation_extensions)
        return cost_extension(self.cost, _planner(self.execution_context.schema)) if asked else {}

    @property
    def _operation(self) -> Operation | None:
        return self.document.operations.get(self.execution_context.operation_name) if self.document else None

    def _unaffordable(self) -> list[GraphQLError]:
        """A mutation or subscription that costs too much is refused before anything is done."""
        context, operation = self.execution_context, self._operation
        if operation is None or operation.node.operation is OperationType.QUERY:
            return []
        values = coerce(context.schema, operation, context.variables or {})
        if not isinstance(values, VariableValues):
            return []  # graphql-core says what is wrong
        try:
            self.cost = _planner(context.schema).cost(operation, values.coerced)
        except TooExpensive as error:
            return [typed_error(error)]
        except GraphQLError:
            return []
        return []

    def _ambiguity(self, document: Document) -> list[GraphQLError]:
        """Strawberry would run the first of several operations when none is named."""
        named = self.execution_context._provided_operation_name is not None
        return [] if named or len(document.operations) == 1 else [GraphQLError(WHICH_OPERATION)]


@dataclass
class PlannedAnswer(PlannedResult):
    """A result without errors, with the plan that it was made by."""

    plan: Plan | None = None


@dataclass(frozen=True)
class Answered:
    """The answer to a query, and its cost where it was planned."""

    result: ExecutionResult | PlannedResult
    cost: int | None = None


async def answer(
    schema: Any, operation: Operation, variables: Mapping[str, Any], context: ReadContext
) -> Answered | None:
    """The answer to a query operation by its plan; None for introspection, which has none."""
    values = coerce(schema, operation, variables)
    if not isinstance(values, VariableValues):
        return Answered(ExecutionResult(None, errors=values))
    try:
        planned = _planner(schema).plan_operation(operation, values.coerced, context.principal)
    except TooExpensive as error:
        return Answered(ExecutionResult(None, errors=[typed_error(error)]))
    except GraphQLError as error:
        return Answered(ExecutionResult(None, errors=[error]))
    if not isinstance(planned, Plan):
        return None
    if planned.is_void:
        return Answered(ExecutionResult(None, errors=_errors(planned)), planned.cost)
    data = cast("Any", orjson.Fragment(await planned.text(context, values.coerced) or "null"))
    if planned.failures:
        return Answered(ExecutionResult(data, errors=_errors(planned)), planned.cost)
    return Answered(PlannedAnswer(data, errors=None, plan=planned), planned.cost)


def coerce(schema: Any, operation: Operation, variables: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
    """The variables as the operation's types have them, or what is wrong with them."""
    return get_variable_values(
        schema._schema, operation.node.variable_definitions or (), dict(variables), max_errors=COERCION_ERRORS_MAX
    )


def wants_cost(asked: Mapping[str, Any] | None) -> bool:
    """Whether a request's `extensions` ask for the cost: `{"cost": true}`."""
    return bool(asked) and asked is not None and asked.get("cost") is True


def cost_extension(cost: int | None, planner: QueryPlanner) -> dict[str, Any]:
    """What `extensions` of an answer tell of its cost; nothing for introspection, which has none."""
    return {} if cost is None else {"cost": {"requested": cost, "limit": planner.max_cost}}


def _planner(schema: Any) -> QueryPlanner:
    planner: QueryPlanner = schema.planner
    return planner


def _documents(schema: Any) -> Documents:
    documents: Documents = schema.documents
    return documents


def _errors(plan: Plan) -> list[GraphQLError]:
    return [_located(failure) for failure in plan.failures]


def _located(failure: Failure) -> GraphQLError:
    error = failure.error
    if isinstance(error, HubError):
        return typed_error(error, failure.nodes, [failure.key])
    return located_error(error, list(failure.nodes), [failure.key])
