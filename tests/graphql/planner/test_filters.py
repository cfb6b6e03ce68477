"""Filters: for every field and operator, and for filters put together of them, what Python says of all rows."""

from random import Random
from typing import Any

import pytest

from tests.graphql.planner.asking import any_filter, conditions
from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.oracle import Facts, Filter, is_writable, literal

PAGE = "page: %s(first: 100, filter: %s) { nodes { id } totalCount }"
ROOTS = {
    "AgentMessage": "agentMessages",
    "AgentState": "agents",
    "ApiToken": "apiTokens",
    "GateReview": "gateReviews",
    "ModelAssignment": "modelAssignments",
    "PMDecisionContext": "decisions",
    "QualityGateExecution": "qualityGates",
    "ResourceMetrics": "resourceMetrics",
    "Task": "tasks",
    "WorkflowError": "workflowErrors",
    "WorkflowExecution": "workflows",
    "WorkflowSchedule": "schedules",
    "WorkflowTemplate": "workflowTemplates",
}
SEEDS = range(6)
FILTERS_A_SEED = 60


async def by_variable(reader: Reader, type_name: str, asked: Filter) -> list[str]:
    query = f"query ($f: {type_name}Filter) {{ {PAGE % (ROOTS[type_name], '$f')} }}"
    return _keys(await reader.data(query, f=asked))


async def by_literal(reader: Reader, facts: Facts, type_name: str, asked: Filter) -> list[str]:
    if not is_writable(asked):
        return await by_variable(reader, type_name, asked)
    written = literal(asked, facts.input(f"{type_name}Filter"))
    return _keys(await reader.data(f"{{ {PAGE % (ROOTS[type_name], written)} }}"))


async def by_nested_variables(reader: Reader, facts: Facts, type_name: str, asked: Filter) -> list[str]:
    """Every value below the first field comes from a variable of its own within the literal."""
    type_ = facts.input(f"{type_name}Filter")
    given, declared, written = {}, [], []
    for number, (name, value) in enumerate(asked.items()):
        given[f"v{number}"] = value
        declared.append(f"$v{number}: {type_.fields[name].type}")
        written.append(f"{name}: $v{number}")
    query = f"query ({', '.join(declared)}) {{ {PAGE % (ROOTS[type_name], '{' + ', '.join(written) + '}')} }}"
    return _keys(await reader.data(query, **given))


def _keys(data: Any) -> list[str]:
    keys = [node["id"] for node in data["page"]["nodes"]]
    assert data["page"]["totalCount"] == len(keys)
    return keys


@pytest.mark.parametrize("type_name", ROOTS)
async def test_every_operator_on_every_field(admin: Reader, facts: Facts, type_name: str) -> None:
    assert facts.roots == ROOTS
    found = set()
    for name, inputs in facts.questions(type_name).items():
        if facts.related(type_name, name) is not None:
            continue
        for number, condition in enumerate(conditions(facts, type_name, name, inputs)):
            asked = {name: condition}
            expected = facts.fitting(type_name, asked)
            # a literal is a new document each time, variables share a plan
            if number % 6 == 5:
                answer = await by_literal(admin, facts, type_name, asked)
            else:
                answer = await by_variable(admin, type_name, asked)
            assert answer == expected, asked
            found.add(len(expected))
    assert {0, len(facts.order[type_name])} <= found
    assert len(found) > 2 or len(facts.order[type_name]) < 2


@pytest.mark.parametrize("type_name", ROOTS)
async def test_every_operator_behind_every_relation(admin: Reader, facts: Facts, type_name: str) -> None:
    random = Random(type_name)  # noqa: S311
    for name in facts.questions(type_name):
        related = facts.related(type_name, name)
        if related is None:
            continue
        other, is_many = related
        asked = [
            {inner: condition}
            for inner, inputs in facts.questions(other).items()
            if facts.related(other, inner) is None and other in facts.rows
            for condition in conditions(facts, other, inner, inputs)
        ]
        for part in [{}, *random.sample(asked, min(8, len(asked)))]:
            for quantifier in ("some", "none", "every") if is_many else ("",):
                whole: Filter = {name: {quantifier: part} if is_many else part}
                assert await by_variable(admin, type_name, whole) == facts.fitting(type_name, whole), whole


@pytest.mark.parametrize("seed", SEEDS)
async def test_filters_put_together_at_random(admin: Reader, facts: Facts, seed: int) -> None:
    random = Random(seed)  # noqa: S311
    sizes = set()
    for number in range(FILTERS_A_SEED):
        type_name = random.choice(list(ROOTS))
        asked = any_filter(facts, random, type_name, 3, 3)
        expected = facts.fitting(type_name, asked)
        if number % 3 == 0:
            answer = await by_variable(admin, type_name, asked)
        elif number % 3 == 1:
            answer = await by_literal(admin, facts, type_name, asked)
        else:
            answer = await by_nested_variables(admin, facts, type_name, asked)
        assert answer == expected, asked
        sizes.add((type_name, len(expected)))
    assert len(sizes) > 10


SHAPE = "query ($f: TaskFilter) { tasks(first: 100, filter: $f) { totalCount } }"


async def test_filters_of_one_shape_share_a_plan(admin: Reader) -> None:
    await admin.data(SHAPE, f={"complexity": {"gt": 3}})
    made = admin.schema.planner.plans_made
    for number in range(5):
        await admin.data(SHAPE, f={"complexity": {"gt": number}})
    assert admin.schema.planner.plans_made == made
    await admin.data(SHAPE, f={"complexity": {"gte": 3}, "attempts": {"gte": 1}})
    assert admin.schema.planner.plans_made == made + 1


async def test_nested_connections_are_filtered_too(admin: Reader) -> None:
    query = """{ agent(agentId: "james-dev") { tasks(filter: {status: {eq: ASSIGNED}}) { nodes { title } totalCount } }
        resourceMetrics(filter: {agentId: {isNull: true}, cpuUsage: {gte: "12.5"}}) { totalCount } }"""
    found = await admin.data(query)
    assert found["agent"]["tasks"] == {"nodes": [{"title": "Task 47"}], "totalCount": 1}
    assert found["resourceMetrics"] == {"totalCount": 1}
