"""Typed objects out of a JSON array column: exact values, in the array's order, from the one statement."""

from typing import Any

import pytest

from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader


async def test_every_item_is_there_in_order_with_null_where_it_says_nothing(admin: Reader) -> None:
    query = "query ($id: ID!) { qualityGate(gateId: $id) { automatedChecks { %s } } }"
    every = await admin.data(query % "name measure measured atMost atLeast passed", id=str(world.gate(1)))
    nothing: dict[str, Any] = {"measure": None, "measured": None, "atMost": None, "atLeast": None, "passed": False}
    assert every["qualityGate"]["automatedChecks"] == [
        {"name": "errors", "measure": "audit.errors", "measured": 0, "atMost": 0, "atLeast": None, "passed": True},
        nothing | {"name": 'cov"erage', "measured": 71.25, "atLeast": 80},
        nothing | {"name": "latency", "atMost": 1e-07},
    ]
    empty = await admin.data(query % "name", id=str(world.gate(2)))
    assert empty["qualityGate"]["automatedChecks"] == []


async def test_enum_values_are_in_upper_case_and_decimals_are_exact_texts(admin: Reader) -> None:
    query = "query ($id: ID!) { modelAssignment(assignmentId: $id) { fallbackChain { %s } } }"
    data = await admin.data(query % "p: providerName modelName estimatedCost", id=str(world.uid(world.ASSIGNMENT, 4)))
    assert data["modelAssignment"]["fallbackChain"] == [
        {"p": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": "0.12"},
        {"p": "CLAUDE_CODE", "modelName": "claude-sonnet-4", "estimatedCost": None},
        {"p": "ANTHROPIC_CLAUDE", "modelName": "claude-opus-4", "estimatedCost": None},
    ]


async def test_only_what_is_selected_is_taken_out_of_the_items(admin: Reader) -> None:
    answer = await admin.ask("{ qualityGates { nodes { automatedChecks { passed } } } }")
    assert len(answer.statements) == 1
    statement = answer.statements[0][0]
    assert "'passed'" in statement
    assert "'measured'" not in statement
    assert "'name'" not in statement


@pytest.mark.parametrize(
    ("field", "names"), [("reviewers", ["quinn-qa", "alice", "alice"]), ("reviewerAssignments", ["quinn-qa", "alice"]),
                         ("reviewerFeedback", ["quinn-qa"])],
)  # fmt: skip
async def test_reviews_of_all_revisions_of_this_one_and_those_given(
    admin: Reader, field: str, names: list[str]
) -> None:
    query = f"query ($id: ID!) {{ qualityGate(gateId: $id) {{ {field} {{ nodes {{ reviewer }} totalCount }} }} }}"
    data = await admin.data(query, id=str(world.gate(1)))
    assert data["qualityGate"][field] == {"nodes": [{"reviewer": name} for name in names], "totalCount": len(names)}
