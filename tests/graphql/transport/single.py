"""Streams that share nothing: each receiver has an execution by graphql-core of its own."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from strawberry.types.execution import PreExecutionError

from app.domain.principals import Principal
from graphql_schema.incoming import GraphQLRequest
from graphql_schema.outgoing import describe_error, encode_json, failed_before_data, masked, result_body
from graphql_schema.streams.delivery import Payload, Receiver


@dataclass
class Running:
    """One receiver's place."""

    task: asyncio.Task[None]

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@dataclass
class SingleStreams:
    """Opens subscriptions of a schema whose context is the principal."""

    schema: strawberry.Schema
    running: set[Running] = field(default_factory=set)

    def takes(self, request: GraphQLRequest) -> bool:
        try:
            document = parse(request.query)
        except (GraphQLError, RecursionError):
            return False
        return any(
            isinstance(node, OperationDefinitionNode) and node.operation is OperationType.SUBSCRIPTION
            for node in document.definitions
        )

    async def open(self, request: GraphQLRequest, principal: Principal, receiver: Receiver) -> Running:
        return Running(asyncio.create_task(self._run(request, principal, receiver)))

    async def close(self) -> None:
        return

    async def _run(self, request: GraphQLRequest, principal: Principal, receiver: Receiver) -> None:
        try:
            receiver.finish(await self._deliver(request, principal, receiver))
        except Exception as defect:
            receiver.finish([masked(defect)])

    async def _deliver(self, request: GraphQLRequest, principal: Principal, receiver: Receiver) -> list[dict[str, Any]]:
        results: Any = await self.schema.stream(
            request.query,
            variable_values=request.variables,
            context_value=principal,
            operation_name=request.operation_name,
        )
        async with aclosing(results):
            async for result in results:
                if isinstance(result, PreExecutionError) or failed_before_data(result):
                    return [describe_error(error) for error in result.errors]
                await receiver.ready()
                receiver.deliver([Payload(encode_json(result_body(result, describe_error)))])
                await asyncio.sleep(0)
        return []
