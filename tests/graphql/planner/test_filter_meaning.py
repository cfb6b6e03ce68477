"""Filters: every operator and combination, against what it means in plain Python; and what is refused."""

import random
from typing import Any

import pytest

from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.meaning import all_tasks, fits

ASK = "query ($f: TaskFilter) { tasks(first: 100, filter: $f) { totalCount nodes { taskId } } }"

PARTS: list[dict[str, Any]] = [
    {"status": {"eq": "COMPLETED"}},
    {"status": {"ne": "COMPLETED"}},
    {"status": {"in": ["PENDING", "ASSIGNED"]}},
    {"status": {"in": []}},
    {"requiredRole": {"eq": "DEVELOPER"}},
    {"requiredRole": {"ne": "DEVELOPER"}},
    {"requiredRole": {"isNull": True}},
    {"taskId": {"eq": str(world.task(7))}},
    {"taskId": {"in": [str(world.task(7)), str(world.task(46))]}},
    {"executionId": {"ne": str(world.execution(1))}},
    {"assignedAgentId": {"eq": "james-dev"}},
    {"title": {"contains": "ASK 1"}},
    {"title": {"startsWith": "task 4"}},
    {"title": {"contains": "%"}},
    {"title": {"gte": "Task 30", "lt": "Task 40"}},
    {"complexity": {"gt": 3, "lte": 8}},
    {"complexity": {"in": [1, 2, 3]}},
    {"phaseAttempt": {"isNull": False}},
    {"completedAt": {"lt": "2026-03-01T12:00:20.123456+00:00"}},
    {"completedAt": {"isNull": True}},
    {"durationMs": {"gte": 20_000}},
    {"requiredCapabilities": {"containsAll": ["python"]}},
    {"requiredCapabilities": {"containsAny": ["sql", "python"]}},
    {"requiredCapabilities": {"isEmpty": True}},
    {"dependsOn": {"containsAll": [str(world.task(45))]}},
    {"dependsOn": {"isEmpty": False}},
    {"result": {"contains": {"lines": 5}}},
    {"result": {"hasKey": "lines"}},
    {"result": {"isNull": True}},
    {"assignedAgent": {"agentRole": {"eq": "QA"}}},
    {"assignedAgent": {"capabilities": {"containsAll": ["python"]}}},
    {"gate": {"approvalStatus": {"ne": "APPROVED"}}},
    {"dependencies": {"some": {"complexity": {"gt": 5}}}},
    {"dependencies": {"none": {"complexity": {"gt": 5}}}},
    {"dependencies": {"every": {"status": {"eq": "COMPLETED"}}}},
    {"dependencies": {"some": {"status": {"ne": "COMPLETED"}}, "every": {"complexity": {"lt": 9}}}},
    {"and": []},
    {"or": []},
    {},
]


async def expect(reader: Reader, rows: list[dict[str, Any]], asked: dict[str, Any]) -> int:
    """What the API finds is what fits; how many."""
    found = (await reader.data(ASK, f=asked))["tasks"]
    wanted = [row["taskId"] for row in rows if fits(row, asked)]
    assert [node["taskId"] for node in found["nodes"]] == wanted, asked
    assert found["totalCount"] == len(wanted)
    return len(wanted)


async def test_each_operator_means_what_it_says(admin: Reader) -> None:
    rows = await all_tasks(admin)
    found = [await expect(admin, rows, part) for part in PARTS]
    # a filter that lets everything through, or nothing, would prove little
    assert sum(0 < number < len(rows) for number in found) >= 30


@pytest.mark.parametrize("seed", range(4))
async def test_conditions_combine(admin: Reader, seed: int) -> None:
    rows, chance = await all_tasks(admin), random.Random(seed)  # noqa: S311  (a seed is wanted)

    def made(depth: int) -> dict[str, Any]:
        kind = chance.choice(["part", "part", "and", "or", "not", "both"]) if depth else "part"
        match kind:
            case "and" | "or":
                return {kind: [made(depth - 1) for _ in range(chance.randint(1, 3))]}
            case "not":
                return {"not": made(depth - 1)}
            case "both":
                return {**chance.choice(PARTS), "or": [made(depth - 1), made(depth - 1)]}
        return chance.choice(PARTS)

    for _ in range(60):
        await expect(admin, rows, made(3))


async def test_values_may_stand_in_the_document_or_in_variables_within_it(admin: Reader) -> None:
    literal = '{ tasks(filter: {status: {eq: PENDING}, title: {contains: "46"}}) { totalCount } }'
    nested = """query ($s: TaskStatus!, $t: String = "46", $none: Int) {
        tasks(filter: {status: {eq: $s}, or: [{title: {contains: $t}}], complexity: {gt: $none}}) { totalCount } }"""
    assert await admin.data(literal) == {"tasks": {"totalCount": 1}}
    assert await admin.data(nested, s="PENDING") == {"tasks": {"totalCount": 1}}
    assert await admin.data(nested, s="PENDING", t="47") == {"tasks": {"totalCount": 0}}
    assert await admin.data(nested, s="COMPLETED", t="4", none=5) == {"tasks": {"totalCount": 1}}


async def test_filters_of_one_shape_share_a_plan(admin: Reader) -> None:
    await admin.data(ASK, f={"complexity": {"gt": 3}})
    made = admin.schema.planner.plans_made
    for number in range(5):
        await admin.data(ASK, f={"complexity": {"gt": number}})
    assert admin.schema.planner.plans_made == made
    await admin.data(ASK, f={"complexity": {"gte": 3}, "attempts": {"gte": 1}})
    assert admin.schema.planner.plans_made == made + 1


async def test_nested_connections_and_other_types_are_filtered_too(admin: Reader) -> None:
    query = """{ agent(agentId: "james-dev") { tasks(filter: {status: {eq: ASSIGNED}}) { nodes { title } totalCount } }
        workflows(filter: {qualityGates: {some: {approvalStatus: {in: [PENDING, IN_REVIEW]}}}}) { totalCount }
        resourceMetrics(filter: {agentId: {isNull: true}, cpuUsage: {gte: "12.5"}}) { totalCount }
        agents(filter: {isStale: {eq: true}, capabilities: {containsAll: ["python"]}}) { nodes { agentId } } }"""
    found = await admin.data(query)
    assert found["agent"]["tasks"] == {"nodes": [{"title": "Task 47"}], "totalCount": 1}
    assert found["workflows"]["totalCount"] == 1
    assert found["resourceMetrics"] == {"totalCount": 1}
    assert found["agents"]["nodes"] == [{"agentId": "james-dev"}]


MANY = [{"complexity": {"eq": 1}}] * 51
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no UUID": ({"taskId": {"eq": "x"}}, "taskId.eq"),
    "no UUID in a list": ({"dependsOn": {"containsAll": ["x"]}}, "dependsOn.containsAll"),
    "NUL": ({"title": {"eq": "a\x00b"}}, "title.eq"),
    "null for an operator": ({"title": {"eq": None}}, "title.eq"),
    "null for a field": ({"title": None}, "title"),
    "null for a quantifier": ({"dependencies": {"some": None}}, "dependencies.some"),
    "too many conditions": ({"or": MANY}, "or.50.complexity.eq"),
    "too many values": ({"complexity": {"in": [1] * 501}}, "complexity.in"),
    "too many relations": (
        {"gate": {"execution": {"decision": {"agent": {"tasks": {"some": {"title": {"eq": "x"}}}}}}}},
        "gate.execution.decision.agent.tasks",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_cannot_be_asked_is_a_typed_error_before_any_statement(admin: Reader, name: str) -> None:
    asked, place = WRONG[name]
    answer = await admin.ask(ASK, f=asked)
    assert answer.data == {"tasks": None}
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.errors[0]["extensions"]["field"] == f"tasks.filter.{place}"
    assert answer.statements[0][1] == []


@pytest.mark.parametrize(
    "wrong",
    [{"complexity": {"gt": "3"}}, {"status": {"eq": "NOTHING"}}, {"nothing": {"eq": 1}}, {"title": {"gt": ["a"]}}, 3],
)
async def test_filters_of_the_wrong_type_do_not_coerce(admin: Reader, wrong: Any) -> None:
    answer = await admin.ask(ASK, f=wrong)
    assert answer.data is None
    assert "$f" in answer.errors[0]["message"]
    assert answer.statements == []
