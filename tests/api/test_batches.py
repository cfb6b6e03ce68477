"""Batches over the API: both modes, repetition with a key, and dry runs that tell the truth of each item."""

from typing import Any

import pytest

from app.domain.ids import new_id
from app.domain.principals import Role
from db.session import Database
from db.tables.access import idempotency_keys
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.tasks import tasks
from tests.api.conftest import ERRORS, Client, MakeClient
from tests.services.makers import a_running_task, an_agent, an_execution, count, events_of, row_of

TASKS = f"results {{ index task {{ taskId title dependsOn }} {ERRORS} }} dryRun {{ wouldSucceed changeCount }}"
AGENTS = f"results {{ index agent {{ agentId status }} {ERRORS} }} dryRun {{ wouldSucceed changeCount }}"


async def unchanged(database: Database, client: Client, mutation: str, selection: str, **fields: Any) -> Any:
    """The payload of a request that must leave nothing behind."""
    tables = (tasks, agents, event_log, idempotency_keys)
    before = [await count(database, table) for table in tables]
    payload = await client.do(mutation, selection, **fields)
    assert [await count(database, table) for table in tables] == before
    return payload


def titles(payload: dict[str, Any]) -> list[str | None]:
    return [result["task"] and result["task"]["title"] for result in payload["results"]]


def faults(payload: dict[str, Any]) -> dict[int, tuple[str, str]]:
    """Code and field of each item's refusal."""
    return {
        result["index"]: (error["code"], error["field"])
        for result in payload["results"]
        for error in result["userErrors"]
    }


async def test_the_breakdown_of_a_decision_in_any_order(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    decided = await pm.do(
        "decisionRecord", "decision { decisionId }", decisionType="TASK_ASSIGNMENT", contextData={}, outcome="build it",
        reasoningProcess="it was asked for", confidenceScore=8,
    )  # fmt: skip
    decision_id, execution = decided["decision"]["decisionId"], await an_execution(database)
    payload = await pm.do(
        "tasksCreate", TASKS, decisionId=decision_id, executionId=str(execution.execution_id),
        tasks=[
            {"title": "report", "dependsOnKeys": ["build", "test"]},
            {"title": "test", "key": "test", "dependsOnKeys": ["build"]},
            {"title": "build", "key": "build"},
        ],
    )  # fmt: skip
    assert (payload["userErrors"], payload["dryRun"], faults(payload)) == ([], None, {})
    assert titles(payload) == ["report", "test", "build"]
    report, test, build = (result["task"] for result in payload["results"])
    assert (report["dependsOn"], test["dependsOn"], build["dependsOn"]) == (
        [test["taskId"], build["taskId"]], [build["taskId"]], [],
    )  # fmt: skip
    for result in payload["results"]:
        row = await row_of(database, tasks, task_id=result["task"]["taskId"])
        assert (str(row.decision_id), row.execution_id) == (decision_id, execution.execution_id)
        assert await events_of(database, row.task_id) == [("created", None, "pending", 1)]


ITEMS: list[dict[str, Any]] = [
    {"title": "good", "key": "good"},
    {"title": " "},
    {"title": "lone", "dependsOnKeys": ["no-such"]},
    {"title": "one", "key": "twin"},
    {"title": "two", "key": "twin"},
    {"title": "chicken", "key": "chicken", "dependsOnKeys": ["egg"]},
    {"title": "egg", "key": "egg", "dependsOnKeys": ["chicken"]},
    {"title": "after the egg", "dependsOnKeys": ["egg", "good"]},
    {"title": "ghost", "dependsOn": [str(new_id())]},
    {"title": "malformed", "dependsOn": ["7"]},
    {"title": "hard", "complexity": 11},
    {"title": "also good", "dependsOnKeys": ["good"]},
]
FAULTS = {
    1: ("INVALID_INPUT", "input.tasks.1.title"),
    2: ("INVALID_INPUT", "input.tasks.2.dependsOnKeys"),
    3: ("INVALID_INPUT", "input.tasks.3.key"),
    4: ("INVALID_INPUT", "input.tasks.4.key"),
    5: ("INVALID_INPUT", "input.tasks.5.dependsOnKeys"),
    6: ("INVALID_INPUT", "input.tasks.6.dependsOnKeys"),
    7: ("BLOCKED", "input.tasks.7.dependsOnKeys"),
    8: ("NOT_FOUND", "input.tasks.8.dependsOn"),
    9: ("INVALID_INPUT", "input.tasks.9.dependsOn"),
    10: ("INVALID_INPUT", "input.tasks.10.complexity"),
}


async def test_each_by_itself(database: Database, admin: Client) -> None:
    dry = await unchanged(database, admin, "tasksCreate", TASKS, tasks=ITEMS, mode="EACH", dryRun=True)
    assert dry["dryRun"] == {"wouldSucceed": True, "changeCount": 2}
    assert set(titles(dry)) == {None}
    events = await count(database, event_log)
    payload = await admin.do("tasksCreate", TASKS, tasks=ITEMS, mode="EACH", idempotencyKey="k")
    assert payload["userErrors"] == []
    assert [result["index"] for result in payload["results"]] == list(range(len(ITEMS)))
    assert faults(payload) == faults(dry) == FAULTS
    assert [title for title in titles(payload) if title] == ["good", "also good"]
    assert (await count(database, tasks), await count(database, event_log)) == (2, events + 2)
    again = await unchanged(database, admin, "tasksCreate", TASKS, tasks=ITEMS, mode="EACH", idempotencyKey="k")
    assert again == payload


@pytest.mark.parametrize("index", [index for index in FAULTS if index not in (3, 4, 5, 6, 7)])
async def test_the_first_refusal_refuses_all(database: Database, admin: Client, index: int) -> None:
    batch = [ITEMS[0], ITEMS[11], ITEMS[index]]
    expected = (FAULTS[index][0], FAULTS[index][1].replace(f".{index}.", ".2."))
    dry = await unchanged(database, admin, "tasksCreate", TASKS, tasks=batch, dryRun=True)
    assert dry["dryRun"] == {"wouldSucceed": False, "changeCount": 0}
    payload = await unchanged(database, admin, "tasksCreate", TASKS, tasks=batch, idempotencyKey="k")
    assert payload["results"] == dry["results"] == []
    assert payload["userErrors"] == dry["userErrors"]
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == expected
    # a refused request leaves its key free
    good = await admin.do("tasksCreate", TASKS, tasks=batch[:2], idempotencyKey="k")
    assert titles(good) == ["good", "also good"]
    assert await unchanged(database, admin, "tasksCreate", TASKS, tasks=batch[:2], idempotencyKey="k") == good


async def test_what_the_items_share_refuses_the_request_in_both_modes(database: Database, admin: Client) -> None:
    execution = await an_execution(database)
    await admin.do("workflowCancel", executionId=str(execution.execution_id), expectedVersion=1, reason="enough")
    item = {"title": "x"}
    cases: list[tuple[dict[str, Any], str, str | None]] = [
        ({"tasks": []}, "INVALID_INPUT", "input.tasks"),
        ({"tasks": [item] * 201}, "INVALID_INPUT", "input.tasks"),
        ({"tasks": [item], "decisionId": str(new_id())}, "NOT_FOUND", "input.decisionId"),
        ({"tasks": [item], "executionId": str(new_id())}, "NOT_FOUND", "input.executionId"),
        ({"tasks": [item], "executionId": "7"}, "INVALID_INPUT", "input.executionId"),
        ({"tasks": [item], "executionId": str(execution.execution_id)}, "BLOCKED", None),
    ]
    for mode in ("EACH", "ALL_OR_NOTHING"):
        for fields, code, field in cases:
            payload = await unchanged(database, admin, "tasksCreate", TASKS, mode=mode, **fields)
            assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [(code, field)]
            assert payload["results"] == []


async def test_only_who_plans_work_creates_tasks(database: Database, client_for: MakeClient) -> None:
    agent = await client_for(Role.AGENT, "james-dev")
    payload = await unchanged(database, agent, "tasksCreate", TASKS, tasks=[{"title": "x"}])
    assert [error["code"] for error in payload["userErrors"]] == ["FORBIDDEN"]


async def test_statuses_of_many_agents(database: Database, client_for: MakeClient) -> None:
    admin, james = await client_for(), await client_for(Role.AGENT, "james-dev")
    for name in ("james-dev", "jane-dev", "zoe-qa"):
        await an_agent(database, name)
    task = await a_running_task(database, "james-dev")
    named = ["zoe-qa", "no-one", "james-dev", "Nobody", "zoe-qa"]
    refusals = {
        1: ("NOT_FOUND", "input.agentIds.1"),
        3: ("INVALID_INPUT", "input.agentIds.3"),
        4: ("INVALID_INPUT", "input.agentIds.4"),
    }
    for index, (code, _) in refusals.items():
        batch = ["zoe-qa", named[index]]
        payload = await unchanged(database, admin, "agentsSetStatus", AGENTS, agentIds=batch, status="OFFLINE")
        assert payload["results"] == []
        assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [(code, "input.agentIds.1")]
    fields: dict[str, Any] = {"agentIds": named, "status": "OFFLINE", "mode": "EACH", "reason": "maintenance"}
    dry = await unchanged(database, admin, "agentsSetStatus", AGENTS, dryRun=True, **fields)
    assert dry["dryRun"] == {"wouldSucceed": True, "changeCount": 3}
    assert dry["results"][2]["agent"] == {"agentId": "james-dev", "status": "BUSY"}
    payload = await admin.do("agentsSetStatus", AGENTS, idempotencyKey="k", **fields)
    assert faults(payload) == faults(dry) == refusals
    assert [result["agent"] for result in payload["results"]] == [
        {"agentId": "zoe-qa", "status": "OFFLINE"}, None, {"agentId": "james-dev", "status": "OFFLINE"}, None, None,
    ]  # fmt: skip
    assert (await row_of(database, tasks, task_id=task.task_id)).status == "pending"
    assert await unchanged(database, admin, "agentsSetStatus", AGENTS, idempotencyKey="k", **fields) == payload

    mixed = await admin.do("agentsSetStatus", AGENTS, agentIds=["zoe-qa", "jane-dev"], status="IDLE", mode="EACH")
    assert faults(mixed) == {1: ("ILLEGAL_TRANSITION", "input.agentIds.1")}
    own = await james.do("agentsSetStatus", AGENTS, agentIds=["james-dev", "jane-dev"], status="IDLE", mode="EACH")
    assert faults(own) == {1: ("FORBIDDEN", "input.agentIds.1")}
    whole = await unchanged(database, admin, "agentsSetStatus", AGENTS, agentIds=["jane-dev"], status="BUSY")
    assert [(error["code"], error["field"]) for error in whole["userErrors"]] == [("INVALID_INPUT", "input.status")]
