"""Entities in the payloads of mutations and subscriptions: graphql-core runs those, the planner answers below."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionResult

from app.domain.principals import Role
from db.session import Database
from graphql_schema.agents.types import AgentState
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.planner.bridge import entity_of
from graphql_schema.planner.extension import PlannedReads
from graphql_schema.query import Query
from graphql_schema.scalars import SCALARS
from graphql_schema.schema import HubSchema
from graphql_schema.tasks.types import Task
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Answer, Context, Reader, Statements, principal


@strawberry.type
class Payload:
    entity_id: strawberry.Private[object] = None
    agent_id: strawberry.Private[str | None] = None
    decision_id: strawberry.Private[object] = None
    task: Task | None = entity_of("Task", description="A task.")
    agent: AgentState | None = entity_of("AgentState", "agent_id", description="An agent.")
    decision: PMDecisionContext | None = entity_of("PMDecisionContext", key="decision_id", description="A decision.")
    note: str = "plain"


PAYLOAD = Payload(entity_id=str(world.task(45)), agent_id="james-dev", decision_id=world.decision(1))


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def touch(self) -> Payload:
        return PAYLOAD

    @strawberry.mutation
    async def miss(self) -> Payload:
        return Payload(entity_id=world.task(999))


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def touched(self) -> AsyncIterator[Payload]:
        for number in (1, 2, 999):
            yield Payload(entity_id=world.task(number))


@pytest.fixture(scope="module")
def payload_schema() -> HubSchema:
    return HubSchema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[PlannedReads],
        config=StrawberryConfig(scalar_map=SCALARS),
    )


@pytest.fixture
def writer(payload_schema: HubSchema, hub: Database) -> Reader:
    return Reader(payload_schema, hub, principal(Role.PM))


async def test_each_entity_is_one_statement(writer: Reader) -> None:
    answer = await writer.ask("mutation { touch { note task { title status } agent { agentId status } } }")
    assert answer.errors == []
    assert answer.data == {
        "touch": {
            "note": "plain",
            "task": {"title": "Task 45", "status": "COMPLETED"},
            "agent": {"agentId": "james-dev", "status": "BUSY"},
        }
    }
    assert len(answer.statements) == 2


async def test_all_that_a_query_can_do_works_below(writer: Reader) -> None:
    answer = await writer.ask(
        """mutation ($n: Int, $c: Cursor, $yes: Boolean!) { t: touch {
            task { ...A allowedTransitions assignedAgent { role: agentRole tasks(first: $n, after: $c) { nodes { title }
                pageInfo { hasNextPage } edges { node { ... on Node { __typename id } } } } } }
            task { dependencies { nodes { title @skip(if: $yes) taskId } } }
            decision { contextData @include(if: $yes) reasoningProcess @skip(if: $yes) }
        } } fragment A on Task { requiredCapabilities createdAt durationMs }""",
        n=1,
        yes=True,
    )
    assert answer.errors == []
    task = answer.data["t"]["task"]
    assert task["requiredCapabilities"] == ["python"]
    assert task["createdAt"] == "2026-03-01T12:00:00.123456+00:00"
    assert task["assignedAgent"]["role"] == "DEVELOPER"
    assert task["assignedAgent"]["tasks"]["nodes"] == [{"title": "Task 47"}]
    assert task["assignedAgent"]["tasks"]["edges"][0]["node"]["__typename"] == "Task"
    assert task["dependencies"]["nodes"] == [{"taskId": str(world.task(43))}, {"taskId": str(world.task(44))}]
    assert answer.data["t"]["decision"] == {"contextData": world.CONTEXT}
    assert len(answer.statements) == 2


async def test_no_id_and_no_row_are_null(writer: Reader) -> None:
    answer = await writer.ask("mutation { miss { task { title } agent { agentId } } }")
    assert (answer.data, answer.errors) == ({"miss": {"task": None, "agent": None}}, [])
    assert len(answer.statements) == 1


async def test_a_wrong_argument_below_fails_the_entity_alone(writer: Reader) -> None:
    answer = await writer.ask("mutation { touch { note agent { tasks(first: 0) { totalCount } } } }")
    assert answer.data == {"touch": {"note": "plain", "agent": None}}
    assert answer.errors == [
        {
            "message": "first must be from 1 to 100.",
            "locations": [{"line": 1, "column": 25}],
            "path": ["touch", "agent"],
            "extensions": {"code": "INVALID_INPUT", "field": "agent.tasks.first"},
        }
    ]
    assert answer.statements == []


async def test_events_of_one_subscription_are_planned_once(payload_schema: HubSchema, hub: Database) -> None:
    planned = payload_schema.planner.plans_made
    context = Context(principal(Role.VIEWER), Statements(hub))
    query = "subscription ($n: Int = 1) { touched { task { title dependencies(first: $n) { totalCount } } } }"
    stream: Any = await payload_schema.subscribe(query, context_value=context)
    results: list[ExecutionResult] = [result async for result in stream]
    assert [result.errors for result in results] == [None] * 3
    assert [orjson.loads(orjson.dumps(result.data))["touched"]["task"] for result in results] == [
        {"title": "Task 1", "dependencies": {"totalCount": 0}},
        {"title": "Task 2", "dependencies": {"totalCount": 0}},
        None,
    ]
    assert len(context.database.asked) == 3
    assert payload_schema.planner.plans_made == planned + 1


async def test_the_shape_of_variables_and_rights_tell_plans_apart(payload_schema: HubSchema, hub: Database) -> None:
    query = (
        "mutation ($n: Int!) { touch { agent { tasks(first: $n) { nodes { title } } } decision { reasoningProcess } } }"
    )

    async def ask(role: Role, size: int) -> Answer:
        return await Reader(payload_schema, hub, principal(role)).ask(query, n=size)

    for _ in range(2):
        assert len((await ask(Role.PM, 2)).data["touch"]["agent"]["tasks"]["nodes"]) == 2
        assert len((await ask(Role.PM, 3)).data["touch"]["agent"]["tasks"]["nodes"]) == 3
        assert (await ask(Role.PM, 3)).data["touch"]["decision"] == {"reasoningProcess": world.REASONING}
        assert (await ask(Role.VIEWER, 3)).data["touch"]["decision"] == {"reasoningProcess": None}
