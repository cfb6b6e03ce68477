"""What operations cost, counted by hand, and that what costs too much is refused before anything is done."""

import base64
from typing import Any

import pytest
from graphql import parse
from strawberry.types import ExecutionResult

from app.domain.principals import Role
from db.session import Database
from graphql_schema.planner.costs import COUNT_COST, GROUPS_COST, LIST_SIZE
from graphql_schema.planner.planner import operations_of
from graphql_schema.schema import HubSchema, build_schema
from tests.graphql.planner.conftest import Context, Reader, Statements, principal

TASKS = "tasks { nodes { title } }"
FIGURES = dict.fromkeys(("mutation", "subscription"), 1 + 1 + 1 + 100 * (1 + 20))
NODE_ID = base64.b64encode(b"AgentState:john-pm").decode()


def cost(schema: HubSchema, query: str, **variables: Any) -> int:
    (operation,) = operations_of(parse(query)).values()
    return schema.planner.cost(operation, variables)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ viewer { name role } }", 1 + 2),
        ('{ agent(agentId: "john-pm") { agentId agentName } }', 1 + 2),
        # the connection, and twenty objects with one value each
        ("{ tasks { nodes { title } } }", 1 + 20),
        ("{ tasks(first: 7) { nodes { title status } } }", 1 + 7 * 2),
        ("{ tasks(last: 3) { nodes { title } } }", 1 + 3),
        ("{ tasks(first: 5) { edges { cursor node { title } } } }", 1 + 5 * (1 + 1 + 1)),
        ("{ tasks { totalCount } }", 1 + COUNT_COST),
        ("{ tasks { pageInfo { hasNextPage endCursor } } }", 1 + 1 + 2),
        # nested: each of four agents is one object with a connection of ten
        ("{ agents(first: 4) { nodes { tasks(first: 10) { nodes { title } } } } }", 1 + 4 * (1 + 10)),
        ("{ tasks(first: 2) { nodes { assignedAgent { agentName } } } }", 1 + 2 * (1 + 1)),
        ("{ tasks { groups(by: [{field: STATUS}], first: 5) { count } } }", 1 + GROUPS_COST + 5),
        # fragments are written out, the same field counts once
        ("{ tasks(first: 2) { ...F ...F nodes { title } } } fragment F on TaskConnection { nodes { title } }", 1 + 2),
        ("{ tasks(first: 2) @skip(if: true) { nodes { title } } viewer { name } }", 1 + 1),
        ("{ __typename viewer { __typename } }", 1),
        ("{ __schema { types { fields { name } } } }", 0),
        # of an interface, the most expensive of its types
        (f'{{ node(id: "{NODE_ID}") {{ id ... on Task {{ title status }} ... on AgentState {{ status }} }} }}', 1 + 3),
        (f'{{ nodes(ids: ["{NODE_ID}", "{NODE_ID}"]) {{ id }} }}', 1 + 2),
        ("{ qualityGates(first: 1) { nodes { automatedChecks { name } } } }", 1 + 1 + LIST_SIZE),
        (f"mutation {{ agentReport(input: {{}}) {{ agent {{ agentId {TASKS} }} }} }}", 1 + 1 + 1 + 1 + 20),
        (f"subscription {{ agentStateChanged {{ agent {{ {TASKS} }} }} }}", 1 + 1 + 1 + 20),
    ],
)
def test_cost_is_the_number_of_values(schema: HubSchema, query: str, expected: int) -> None:
    assert cost(schema, query) == expected


def test_variables_count_as_what_they_are(schema: HubSchema) -> None:
    query = "query ($n: Int, $all: Boolean!) { tasks(first: $n) { nodes { title status @include(if: $all) } } }"
    assert cost(schema, query, n=9, all=True) == 1 + 9 * 2
    assert cost(schema, query, n=None, all=False) == 1 + 20


@pytest.fixture
async def thrifty(hub: Database) -> Reader:
    """A hub where an operation may cost a thousand."""
    return Reader(build_schema(max_cost=1_000), hub, principal(Role.ADMIN))


async def test_what_costs_too_much_is_refused_with_the_figure(thrifty: Reader) -> None:
    query = "query ($n: Int) { agents(first: 20) { nodes { tasks(first: $n) { nodes { title } } } } }"
    for _ in range(2):
        answer = await thrifty.ask(query, n=50)
        assert (answer.data, answer.statements) == (None, [])
        (error,) = answer.errors
        assert error["extensions"] == {"code": "TOO_EXPENSIVE", "cost": {"requested": 1_021, "limit": 1_000}}
        assert error["message"] == (
            "The operation may come to 1021 values; at most 1000 are allowed. Nothing was done. Ask for smaller pages, "
            "or for fewer fields below them."
        )
        assert (await thrifty.ask(query, n=48)).errors == []


async def test_a_deep_operation_is_refused_however_it_is_spelled(thrifty: Reader) -> None:
    fragment = "fragment A on Task { assignedAgent { tasks(first: 100) { totalCount } } }"
    answer = await thrifty.ask("{ tasks(first: 100) { nodes { ...A } } } " + fragment)
    assert answer.codes == ["TOO_EXPENSIVE"]


@pytest.mark.parametrize("kind", ["mutation", "subscription"])
async def test_mutations_and_subscriptions_are_refused_before_anything_is_done(thrifty: Reader, kind: str) -> None:
    agent = "{ agent { tasks(first: 100) { nodes { dependencies(first: 20) { nodes { title } } } } } }"
    fields = {
        "mutation": f'agentSetStatus(input: {{expectedVersion: 1, status: ERROR, agentId: "john-pm"}}) {agent}',
        "subscription": f"agentStateChanged {agent}",
    }
    statements = Statements(thrifty.database)
    results = await thrifty.schema.stream(
        f"{kind} {{ {fields[kind]} }}", context_value=Context(thrifty.principal, statements)
    )
    (refusal,) = [result async for result in results]
    assert isinstance(refusal, ExecutionResult)
    assert [error.extensions for error in refusal.errors or ()] == [
        {"code": "TOO_EXPENSIVE", "cost": {"requested": FIGURES[kind], "limit": 1_000}}
    ]
    assert statements.asked == []


async def test_the_cost_is_told_on_request(schema: HubSchema, hub: Database) -> None:
    query = "{ tasks(first: 3) { nodes { title } } }"

    async def told(query: str, **extensions: Any) -> Any:
        context = Context(principal(Role.VIEWER), Statements(hub))
        result = await schema.execute(query, context_value=context, operation_extensions=extensions)
        return result.extensions or None

    expected = {"cost": {"requested": 4, "limit": schema.planner.max_cost}}
    # the first time by way of Strawberry's hooks, the second straight
    assert [await told(query, cost=True) for _ in range(2)] == [expected, expected]
    assert [await told(query), await told(query, cost="yes"), await told(query, cost=False)] == [None] * 3
    assert await told("{ __schema { description } }", cost=True) is None
