"""A world to read, and two ways of reading it: by the planner's hook, and by graphql-core alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from app.domain.principals import Principal, Role
from app.security.sealing import Sealer
from db.embedded import EmbeddedServer
from db.session import Database
from graphql_schema.outgoing import describe_error
from graphql_schema.schema import HubSchema, build_schema
from tests.graphql.planner import world
from tests.graphql.planner.building import build
from tests.graphql.planner.oracle import Facts, read_facts

WORLD = "planner_world"


@dataclass
class Statements:
    """A database that notes what it is asked."""

    database: Database
    asked: list[tuple[str, Sequence[Any]]] = field(default_factory=list)

    async def fetch_value(self, sql: str, arguments: Sequence[Any] = ()) -> Any:
        self.asked.append((sql, arguments))
        return await self.database.fetch_value(sql, arguments)


@dataclass
class Context:
    """As much of a context as reads need."""

    principal: Principal
    database: Statements
    sealer: Sealer = world.SEALER


@dataclass
class Answer:
    """What a client would get, and what it cost."""

    data: Any
    errors: list[Mapping[str, Any]]
    statements: list[tuple[str, Sequence[Any]]]

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]


@dataclass
class Reader:
    """Asks as somebody."""

    schema: HubSchema
    database: Database
    principal: Principal

    async def ask(self, query: str, operation_name: str | None = None, **variables: Any) -> Answer:
        context = Context(self.principal, Statements(self.database))
        result = await self.schema.execute(
            query, variable_values=variables, context_value=context, operation_name=operation_name
        )
        data = orjson.loads(orjson.dumps(result.data))
        return Answer(data, [describe_error(error) for error in result.errors or []], context.database.asked)

    async def data(self, query: str, **variables: Any) -> Any:
        """The data; the test fails when there are errors, or more or less than one statement."""
        answer = await self.ask(query, **variables)
        assert answer.errors == []
        assert len(answer.statements) == 1
        return answer.data


@pytest.fixture(scope="session")
def schema() -> HubSchema:
    """The schema as it is served."""
    return build_schema()


@pytest.fixture(scope="session")
def plain_schema() -> HubSchema:
    """The same schema without the hook: every operation goes through graphql-core."""
    return build_schema(extensions=())


@pytest.fixture(scope="session")
def world_url(postgres: EmbeddedServer, template_database: str) -> str:
    """A database with the world in it; tests only read it."""
    postgres.create_database(WORLD, template_database)
    build(postgres.url(WORLD))
    return postgres.url(WORLD)


@pytest.fixture(scope="session")
def facts(world_url: str, plain_schema: HubSchema) -> Facts:
    """All rows of the world, as graphql-core shows them."""

    async def read() -> Facts:
        database = Database(world_url, pool_size=1, read_pool_size=1)
        await database.open()
        try:
            return await read_facts(plain_schema._schema, Reader(plain_schema, database, principal(Role.ADMIN)))
        finally:
            await database.close()

    return asyncio.run(read())


@pytest.fixture
async def hub(world_url: str) -> AsyncIterator[Database]:
    """The world's database, opened as the hub opens it."""
    database = Database(world_url, pool_size=1, read_pool_size=1)
    await database.open()
    yield database
    await database.close()


def principal(role: Role) -> Principal:
    """Somebody with this role."""
    return Principal(f"some {role.value}", role, "james-dev" if role is Role.AGENT else None)


@pytest.fixture
def admin(schema: HubSchema, hub: Database) -> Reader:
    """An administrator, answered by the planner."""
    return Reader(schema, hub, principal(Role.ADMIN))


@pytest.fixture
def viewer(schema: HubSchema, hub: Database) -> Reader:
    """Somebody who may only read, answered by the planner."""
    return Reader(schema, hub, principal(Role.VIEWER))


@pytest.fixture
def plain(plain_schema: HubSchema, hub: Database) -> Reader:
    """An administrator, answered by graphql-core."""
    return Reader(plain_schema, hub, principal(Role.ADMIN))
