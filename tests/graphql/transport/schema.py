"""A schema with one field for each thing that can happen to an operation on its way to the client."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, NewType

import orjson
import strawberry
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult

from app.domain.errors import Forbidden, ResyncRequired, StaleVersion, Unavailable
from app.domain.principals import Principal

Anything = NewType("Anything", object)

running: set[str] = set()
"""Streams that have begun and not ended."""


class Planned(SchemaExtension):
    """Answers the operation `Planned` without graphql-core, as the planner does."""

    async def on_execute(self) -> Any:
        context = self.execution_context
        if context.operation_name == "Planned":
            data: Any = orjson.Fragment(b'{"planned":"bytes"}')
            context.result = ExecutionResult(data=data, errors=None)
        yield


@strawberry.type
class Query:
    @strawberry.field
    def whoami(self, info: strawberry.Info[Principal, None]) -> str:
        return info.context.name

    @strawberry.field
    def echo(self, value: Anything) -> Anything:
        return value

    @strawberry.field
    def number(self, value: int) -> int:
        return value

    @strawberry.field
    def planned(self) -> str:
        return "resolved"

    @strawberry.field
    def defect(self) -> str | None:
        raise RuntimeError("the secret reason")

    @strawberry.field
    def fatal(self) -> str:
        raise RuntimeError("the secret reason")

    @strawberry.field
    def stale(self) -> str | None:
        raise StaleVersion("task", "t-1", 3, 7)

    @strawberry.field
    def forbidden(self) -> str | None:
        raise Forbidden("Not with this token.")

    @strawberry.field
    def away(self) -> str:
        raise Unavailable("The database does not answer.")

    @strawberry.field
    def inner(self) -> "Query | None":
        return Query()


@strawberry.type
class Mutation:
    @strawberry.mutation
    def touch(self, name: str) -> str:
        return f"touched {name}"


async def _too_old() -> list[int]:
    raise ResyncRequired("The cursor is too old. Read the state anew.")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def endless(self, name: str) -> AsyncGenerator[int, None]:
        running.add(name)
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            running.discard(name)

    @strawberry.subscription
    async def breaking(self) -> AsyncGenerator[int, None]:
        yield 0
        raise RuntimeError("the secret reason")

    @strawberry.subscription
    async def resync(self) -> AsyncGenerator[int, None]:
        for number in await _too_old():
            yield number

    @strawberry.subscription
    def refused(self) -> AsyncGenerator[int, None]:
        raise Forbidden("Not with this token.")

    @strawberry.subscription
    async def holes(self) -> AsyncGenerator[Query, None]:
        yield Query()
        yield Query()


class Schema(strawberry.Schema):
    """As the hub's: nothing is logged here, the transports do that."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        pass


schema = Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    extensions=[Planned],
    config=StrawberryConfig(
        scalar_map={Anything: strawberry.scalar(name="Anything", serialize=lambda v: v, parse_value=lambda v: v)}
    ),
)
