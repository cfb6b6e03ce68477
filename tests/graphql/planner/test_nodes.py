"""`nodes`: objects of any types by their global ids, in one statement."""

import base64

import pytest

from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader

ASK = """query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename ... on AgentState { agentName shown: status }
    ... on Task { title kept: result } ... on PMDecisionContext { kept: contextData reasoningProcess } } }"""
BAD = "ids must be a list of at most 100, each the `id` of a node of this hub."


def global_id(type_name: str, key: object) -> str:
    return base64.b64encode(f"{type_name}:{key}".encode()).decode()


JOHN, TASK = global_id("AgentState", "john-pm"), global_id("Task", world.task(1))
DECISION, NONE = global_id("PMDecisionContext", world.decision(4)), global_id("Task", world.decision(4))
TEMPLATE = global_id("WorkflowTemplate", "code-audit:1")


async def test_the_order_is_that_of_the_ids_and_what_is_gone_is_null(admin: Reader) -> None:
    ids = [TASK, JOHN, NONE, TEMPLATE, DECISION, TASK]
    found = (await admin.data(ASK, ids=ids))["nodes"]
    assert [node and node["id"] for node in found] == [TASK, JOHN, None, TEMPLATE, DECISION, TASK]
    # one response key, two fields: a result as it is, and a sealed value opened
    assert found[0] == {"id": TASK, "__typename": "Task", "title": "Task 1", "kept": {"lines": 1}}
    assert found[4]["kept"] == {"options": ["a", "b"], "text": 'quotes " and ünïcode 🎉'}
    assert found[4]["reasoningProcess"] == "Because b is cheaper.\nAnd a is slow."


async def test_both_ways_answer_alike(admin: Reader, plain: Reader, viewer: Reader) -> None:
    ids = [TASK, NONE, JOHN, DECISION, TEMPLATE]
    planned, core = await admin.ask(ASK, ids=ids), await plain.ask(ASK, ids=ids)
    assert planned.data == core.data
    assert planned.errors == core.errors == []
    assert (await viewer.data(ASK, ids=ids))["nodes"][3]["kept"] is None


@pytest.mark.parametrize("ids", [["x"], [TASK, global_id("Task", "x")], [TASK] * 101, [global_id("Nothing", "x")]])
async def test_ids_that_the_hub_cannot_have_made_are_refused(admin: Reader, plain: Reader, ids: list[str]) -> None:
    for reader in (admin, plain):
        answer = await reader.ask(ASK, ids=ids)
        assert answer.data == {"nodes": None}
        assert [(error["message"], error["extensions"]) for error in answer.errors] == [
            (BAD, {"code": "INVALID_INPUT", "field": "nodes.ids"})
        ]


async def test_no_ids_and_a_hundred(admin: Reader) -> None:
    assert await admin.data(ASK, ids=[]) == {"nodes": []}
    assert len((await admin.data(ASK, ids=[TASK] * 100))["nodes"]) == 100


async def test_tokens_stay_with_who_may_manage_them(viewer: Reader) -> None:
    answer = await viewer.ask(ASK, ids=[JOHN, global_id("ApiToken", world.task(1))])
    assert answer.data == {"nodes": None}
    assert answer.codes == ["FORBIDDEN"]
