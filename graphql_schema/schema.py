"""The schema: what can be asked, changed and followed, and how reads are planned."""

from collections.abc import Iterable, Sequence
from typing import Any

import strawberry
from graphql import ExecutionResult as CoreResult
from graphql import GraphQLError, GraphQLObjectType, get_named_type
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType

from graphql_schema.errors import add_codes
from graphql_schema.mutation import Mutation
from graphql_schema.planner.costs import MAX_COST
from graphql_schema.planner.documents import Documents
from graphql_schema.planner.extension import (
    Answered,
    PlannedReads,
    answer,
    cost_extension,
    wants_cost,
)
from graphql_schema.planner.planner import Operation, QueryPlanner
from graphql_schema.planner.vocabulary import Vocabulary
from graphql_schema.query import Query
from graphql_schema.scalars import SCALARS
from graphql_schema.subscription import Subscription


class HubSchema(strawberry.Schema):
    """Strawberry's schema with the planner, and with the documents and plans that it keeps."""

    def __init__(self, *, max_cost: int = MAX_COST, **options: Any) -> None:
        super().__init__(**options)
        _describe_inputs(self._schema.mutation_type)
        Vocabulary(self._schema).add()
        self.planner = QueryPlanner(self._schema, max_cost)
        self.documents = Documents(self._schema)

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """As Strawberry does; a query that is known already goes straight to its plan, past all that was settled."""
        if self.extensions and query:
            operation = self.documents.known_query(query, operation_name)
            if operation is not None:
                answered = await self._straight(operation, variable_values or {}, context_value)
                if answered is not None:
                    return self._finished(answered, operation_extensions)
        return await super().execute(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )

    async def _straight(self, operation: Operation, variables: dict[str, Any], context: Any) -> Answered | None:
        try:
            return await answer(self, operation, variables, context)
        except Exception as error:  # as Strawberry does: what it is, the transports find out
            return Answered(CoreResult(None, errors=[GraphQLError(str(error), original_error=error)]))

    def _finished(self, answered: Answered, extensions: dict[str, Any] | None) -> ExecutionResult:
        result: Any = answered.result
        if result.errors:
            self.process_errors(result.errors)
        if wants_cost(extensions):
            result.extensions = cost_extension(answered.cost, self.planner)
        finished: ExecutionResult = result
        return finished

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Give expected failures their codes. Defects are logged where they are masked: at the transports."""
        add_codes(errors)


def build_schema(
    extensions: Sequence[type[SchemaExtension]] = (PlannedReads,), *, max_cost: int = MAX_COST
) -> HubSchema:
    """The hub's schema. Batches of operations are off, introspection is on. `max_cost` is that of one operation.

    Without extensions every operation goes through graphql-core, which answers the same in more statements.
    """
    return HubSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=extensions,
        max_cost=max_cost,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def _describe_inputs(mutations: GraphQLObjectType | None) -> None:
    """Every mutation takes one `input`, and all there is to say of it is said by its type."""
    for field in mutations.fields.values() if mutations else ():
        for argument in field.args.values():
            argument.description = argument.description or get_named_type(argument.type).description
