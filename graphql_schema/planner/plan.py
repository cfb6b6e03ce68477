"""A plan: one statement, how its arguments are taken from a request, and what is filled in afterwards."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from graphql import FieldNode, GraphQLError
from sqlalchemy import Text, cast, select
from sqlalchemy.dialects.postgresql import asyncpg

from app.domain.errors import HubError
from app.domain.events import Aggregate
from app.domain.principals import Principal
from graphql_schema.planner.builder import Builder, Extract, TypesOf
from graphql_schema.planner.decisions import Variables
from graphql_schema.planner.fills import Fill, Opener, fill
from graphql_schema.planner.reading import aggregates_of
from graphql_schema.planner.sql import Expression

DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]


class Reads(Protocol):
    """What answers a statement; `db.session.Database` does."""

    async def fetch_value(self, sql: str, arguments: Sequence[Any] = ()) -> Any: ...


class ReadContext(Protocol):
    """What an operation is answered with; `graphql_schema.context.HubContext` is one."""

    @property
    def principal(self) -> Principal: ...
    @property
    def database(self) -> Reads: ...
    @property
    def sealer(self) -> Opener: ...


@dataclass(frozen=True)
class Statement:
    """One statement with a single value, and how its arguments are taken from a request."""

    sql: str
    extracts: tuple[Extract, ...]

    async def fetch(self, context: ReadContext, variables: Variables) -> Any:
        """The value. Raises `Unavailable` when the database is away."""
        arguments = [extract(variables, context.principal) for extract in self.extracts]
        return await context.database.fetch_value(self.sql, arguments)


@dataclass(frozen=True)
class Failure:
    """A root field that cannot be answered: it is null, and the error says why."""

    key: str
    nodes: tuple[FieldNode, ...]
    error: HubError | GraphQLError


@dataclass(frozen=True)
class Plan:
    """A selection as one statement with a single text value: the JSON of its data.

    `node_types` tells the types of the objects that `node` or `nodes` was asked for; `is_void` says that a failed root
    field may not be null, so that there is no data at all; `cost` is that of the operation, in values; `is_personal`
    says that the data depends on who asks, not on the rights alone.
    """

    statement: Statement
    fills: tuple[Fill, ...] = ()
    failures: tuple[Failure, ...] = ()
    node_types: TypesOf | None = None
    is_void: bool = False
    cost: int = 0
    is_personal: bool = False

    @functools.cached_property
    def reads(self) -> frozenset[Aggregate]:
        """The aggregates whose tables the statement names."""
        return aggregates_of(self.statement.sql)

    async def text(self, context: ReadContext, variables: Variables) -> str | None:
        """The JSON text of the data; None for null. Raises `Unavailable` when the database is away."""
        text: str | None = await self.statement.fetch(context, variables)
        if text is None or not self.fills:
            return text
        return orjson.dumps(fill(orjson.loads(text), self.fills, context.sealer)).decode()

    async def value(self, context: ReadContext, variables: Variables) -> Any:
        """The data itself, parsed."""
        text: str | None = await self.statement.fetch(context, variables)
        return None if text is None else fill(orjson.loads(text), self.fills, context.sealer)


def compile_plan(
    expression: Expression, build: Builder, failures: Sequence[Failure] = (), is_void: bool = False, cost: int = 0
) -> Plan:
    """The plan that answers with this expression, for the builder that made it."""
    statement = compile_statement(cast(expression, Text), build)
    return Plan(statement, tuple(build.fills), tuple(failures), build.node_types, is_void, cost, build.is_personal)


def compile_statement(expression: Expression, build: Builder) -> Statement:
    """The statement that selects this expression, for the builder that made it."""
    compiled = select(expression).compile(dialect=DIALECT)
    constants = {**compiled.params, **build.constants}
    extracts = (build.extracts.get(name) or _constant(constants[name]) for name in compiled.positiontup or ())
    return Statement(compiled.string, tuple(extracts))


def _constant(value: Any) -> Extract:
    return lambda _variables, _principal: value
