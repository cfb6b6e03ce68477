"""What is wrong with a request comes back typed, and nothing is written."""

import json
from typing import Any

import pytest

from app.domain.principals import Role
from db.session import Database
from db.tables.events import event_log
from tests.api.conftest import Client, MakeClient
from tests.services.makers import (
    a_gate,
    a_running_task,
    a_task,
    an_agent,
    an_execution,
    count,
    events_of,
)


async def refused(database: Database, client: Client, mutation: str, **fields: Any) -> dict[str, Any]:
    """The one error of a mutation that must write nothing."""
    before = await count(database, event_log)
    payload = await client.do(mutation, **fields)
    assert await count(database, event_log) == before
    assert len(payload["userErrors"]) == 1, payload
    error: dict[str, Any] = payload["userErrors"][0]
    return error


async def test_unknown_template(database: Database, admin: Client) -> None:
    error = await refused(database, admin, "workflowStart", workflowName="no-such-template")
    assert (error["code"], error["field"]) == ("UNKNOWN_TEMPLATE", "input.workflowName")


async def test_illegal_transition(database: Database, admin: Client) -> None:
    await an_agent(database)
    task = await a_task(database)
    error = await refused(database, admin, "taskStart", taskId=str(task.task_id), expectedVersion=1)
    assert error["code"] == "ILLEGAL_TRANSITION"
    assert "allowed: ASSIGNED, CANCELLED" in error["message"]


async def test_stale_version_tells_the_current_one(database: Database, admin: Client) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    error = await refused(
        database, admin, "taskComplete", taskId=str(task.task_id), expectedVersion=task.version - 1, result={}
    )
    assert (error["code"], error["currentVersion"]) == ("STALE_VERSION", task.version)


async def test_lost_claim(database: Database, client_for: MakeClient) -> None:
    await an_agent(database, "james-dev")
    await an_agent(database, "jane-dev")
    task = await a_running_task(database, "james-dev")
    jane = await client_for(Role.AGENT, "jane-dev")
    error = await refused(database, jane, "taskClaim", agentId="jane-dev", taskId=str(task.task_id))
    assert error["code"] == "CLAIM_LOST"
    error = await refused(
        database, jane, "taskComplete", taskId=str(task.task_id), expectedVersion=task.version, result=1
    )
    assert error["code"] == "CLAIM_LOST"


@pytest.mark.parametrize("agent_id", ["James", "james", "james_dev", "", "a-" + "b" * 200, "james-dev "])
async def test_malformed_agent_id(database: Database, admin: Client, agent_id: str) -> None:
    error = await refused(database, admin, "agentRegister", agentId=agent_id, agentRole="DEVELOPER")
    assert (error["code"], error["field"]) == ("INVALID_INPUT", "input.agentId")


async def test_empty_reasoning_and_confidence_out_of_range(database: Database, admin: Client) -> None:
    decision = {
        "decisionType": "TASK_ASSIGNMENT",
        "contextData": {},
        "reasoningProcess": "because",
        "outcome": "so",
        "confidenceScore": 5,
    }
    changes: list[tuple[dict[str, Any], str]] = [
        ({"reasoningProcess": "  "}, "input.reasoningProcess"),
        ({"confidenceScore": 11}, "input.confidenceScore"),
        ({"confidenceScore": 0}, "input.confidenceScore"),
        ({"outcome": ""}, "input.outcome"),
    ]
    for change, field in changes:
        error = await refused(database, admin, "decisionRecord", **(decision | change))
        assert (error["code"], error["field"]) == ("INVALID_INPUT", field)


async def test_another_agents_token(database: Database, client_for: MakeClient) -> None:
    await an_agent(database, "james-dev")
    await an_agent(database, "jane-dev")
    jane = await client_for(Role.AGENT, "jane-dev")
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("agentRegister", {"agentId": "james-dev", "agentRole": "DEVELOPER"}),
        ("agentReport", {"agentId": "james-dev", "observedAt": "2026-01-01T00:00:00Z"}),
        ("agentSetStatus", {"agentId": "james-dev", "status": "OFFLINE"}),
        ("taskClaim", {"agentId": "james-dev"}),
        ("workflowStart", {"workflowName": "code-audit"}),
        ("taskCreate", {"title": "x"}),
        ("apiTokenCreate", {"tokenName": "x", "role": "ADMIN"}),
    ]
    for mutation, fields in attempts:
        assert (await refused(database, jane, mutation, **fields))["code"] == "FORBIDDEN", mutation


async def test_a_viewer_writes_nothing(database: Database, client_for: MakeClient) -> None:
    viewer = await client_for(Role.VIEWER)
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    error = await refused(
        database, viewer, "qualityGateApprove", gateId=str(gate.gate_id), expectedVersion=1, pmDecision="x",
        confidenceScore=5,
    )  # fmt: skip
    assert error["code"] == "FORBIDDEN"


@pytest.mark.parametrize("task_id", ["", "7", "x" * 500, "\x00"])
async def test_malformed_ids(database: Database, admin: Client, task_id: str) -> None:
    error = await refused(database, admin, "taskStart", taskId=task_id, expectedVersion=1)
    assert (error["code"], error["field"]) == ("INVALID_INPUT", "input.taskId")


async def test_an_idempotency_key_repeats_its_answer_and_refuses_another_request(
    database: Database, admin: Client
) -> None:
    first = await admin.do("taskCreate", "task { taskId }", title="once", idempotencyKey="k1")
    again = await admin.do("taskCreate", "task { taskId }", title="once", idempotencyKey="k1")
    assert first == again
    error = await refused(database, admin, "taskCreate", title="another", idempotencyKey="k1")
    assert error["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(await events_of(database, first["task"]["taskId"])) == 1


async def test_without_a_token_there_is_nothing_to_read_or_write(admin: Client) -> None:
    for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": "Basic eDp5"}):
        answer = await admin.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await admin.http.get("/healthz")).status_code == 200
    assert (await admin.http.get("/readyz")).status_code == 200


async def test_sealed_fields_open_for_the_pm_only(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    payload = await pm.do(
        "decisionRecord", "decision { decisionId }", decisionType="ESCALATION", contextData={"who": "mallory"},
        reasoningProcess="step by step", outcome="escalate", confidenceScore=9,
    )  # fmt: skip
    query = "query ($id: ID!) { decision(decisionId: $id) { contextData reasoningProcess outcome } }"
    decision_id = payload["decision"]["decisionId"]
    opened = (await pm.ask(query, id=decision_id))["decision"]
    assert opened == {"contextData": {"who": "mallory"}, "reasoningProcess": "step by step", "outcome": "escalate"}
    for role, agent in [(Role.VIEWER, None), (Role.REVIEWER, None), (Role.AGENT, "jane-dev")]:
        other = await client_for(role, agent)
        seen = (await other.ask(query, id=decision_id))["decision"]
        assert seen == {"contextData": None, "reasoningProcess": None, "outcome": "escalate"}


async def test_an_agents_token_does_not_choose_its_role(database: Database, client_for: MakeClient) -> None:
    eve = await client_for(Role.AGENT, "eve-dev")
    error = await refused(database, eve, "agentRegister", agentId="eve-dev", agentRole="PM")
    assert (error["code"], error["field"]) == ("FORBIDDEN", "input.agentRole")
    await eve.do("agentRegister", agentId="eve-dev", agentRole="DEVELOPER")
    error = await refused(database, eve, "agentRegister", agentId="eve-dev", agentRole="ARCHITECT")
    assert error["code"] == "FORBIDDEN"


@pytest.mark.parametrize("depth", [100, 260, 600, 900])
@pytest.mark.parametrize("key", [None, "k"])
async def test_bottomless_input_is_refused_with_or_without_a_key(
    database: Database, admin: Client, depth: int, key: str | None
) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    nested = json.loads("[" * depth + "]" * depth)
    error = await refused(
        database, admin, "taskComplete", taskId=str(task.task_id), expectedVersion=task.version, result=nested,
        idempotencyKey=key,
    )  # fmt: skip
    assert error["code"] == "INVALID_INPUT"


async def test_what_has_ended_takes_no_verdict_and_no_task(database: Database, admin: Client) -> None:
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    opened = await admin.do("qualityGateOpen", "qualityGate { version }", gateId=str(gate.gate_id), expectedVersion=1)
    await admin.do("workflowCancel", executionId=str(execution.execution_id), expectedVersion=1, reason="enough")
    error = await refused(
        database, admin, "qualityGateApprove", gateId=str(gate.gate_id), pmDecision="late", confidenceScore=5,
        expectedVersion=opened["qualityGate"]["version"],
    )  # fmt: skip
    assert error["code"] == "BLOCKED"
    error = await refused(database, admin, "taskCreate", title="late", executionId=str(execution.execution_id))
    assert error["code"] == "BLOCKED"
