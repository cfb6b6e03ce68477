"""The way of one request through the graph: decision, workflow, task, agent, model, gate, metrics."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.domain.principals import Role
from db.session import Database
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_gate, a_template

WHOLE = """
query Whole($id: ID!) {
  decision(decisionId: $id) {
    outcome confidenceScore
    workflows { nodes {
      workflowName executionStatus
      tasks { totalCount nodes {
        title status result
        assignedAgent { agentId status metrics(first: 1) { nodes { cpuUsage } } }
        modelAssignments { nodes { modelName actualCost } } } }
      qualityGates { nodes { gateName approvalStatus pmDecision decision { decisionType } } }
      metrics { nodes { agentId memoryUsage } }
      agents { nodes { agentId } }
    } }
  }
}
"""


async def _decided_and_started(pm: Client) -> tuple[str, str]:
    decided = await pm.do(
        "decisionRecord", "decision { decisionId }", decisionType="TASK_ASSIGNMENT", contextData={"request": "login"},
        reasoningProcess="a login page was asked for", outcome="build a login page", confidenceScore=8,
    )  # fmt: skip
    decision_id = decided["decision"]["decisionId"]
    started = await pm.do(
        "workflowStart", "workflow { executionId executionStatus version allowedTransitions }", workflowName="plain",
        decisionId=decision_id,
    )  # fmt: skip
    assert started["workflow"]["executionStatus"] == "PENDING"
    assert started["workflow"]["allowedTransitions"] == ["RUNNING", "CANCELLED"]
    return decision_id, started["workflow"]["executionId"]


async def _worked(agent: Client, task_id: str) -> None:
    await agent.do("agentRegister", "agent { status }", agentId="james-dev", agentRole="DEVELOPER")
    claimed = await agent.do("taskClaim", "task { taskId version status }", agentId="james-dev")
    assert claimed["task"] == {"taskId": task_id, "version": 2, "status": "ASSIGNED"}
    started = await agent.do("taskStart", "task { version }", taskId=task_id, expectedVersion=2)
    recorded = await agent.do(
        "modelAssignmentRecord", "modelAssignment { assignmentId version assignmentStatus }", agentId="james-dev",
        taskId=task_id, providerName="ANTHROPIC_CLAUDE", modelName="claude-sonnet-4",
        assignmentReason="COMPLEXITY_HIGH",
    )  # fmt: skip
    assert recorded["modelAssignment"]["assignmentStatus"] == "ACTIVE"
    await agent.do(
        "modelAssignmentComplete", "modelAssignment { assignmentStatus }", actualCost="0.123456", tokensUsed=4200,
        assignmentId=recorded["modelAssignment"]["assignmentId"],
        expectedVersion=recorded["modelAssignment"]["version"],
    )  # fmt: skip
    await agent.do("taskReportProgress", taskId=task_id, message="half", percent=50)
    done = await agent.do(
        "taskComplete", "task { status progress { percent message } assignedAgent { status } }", taskId=task_id,
        expectedVersion=started["task"]["version"], result={"page": "login.html"},
    )  # fmt: skip
    assert done["task"] == {
        "status": "COMPLETED",
        "progress": {"percent": 50.0, "message": "half"},
        "assignedAgent": {"status": "IDLE"},
    }


async def _measured(agent: Client, execution_id: str) -> None:
    now = datetime.now(UTC).isoformat()
    measurement = {"measurementTime": now, "agentId": "james-dev", "executionId": execution_id}
    payload = await agent.do(
        "resourceMetricsRecord", "recorded metricIds",
        measurements=[measurement | {"cpuUsage": "12.5", "memoryUsage": "300"}],
    )  # fmt: skip
    assert payload["recorded"] == 1


async def _approved(pm: Client, gate_id: str) -> None:
    opened = await pm.do("qualityGateOpen", "qualityGate { version }", gateId=gate_id, expectedVersion=1)
    approved = await pm.do(
        "qualityGateApprove", "qualityGate { approvalStatus } decision { decisionType outcome }", gateId=gate_id,
        expectedVersion=opened["qualityGate"]["version"], pmDecision="fine", confidenceScore=9,
    )  # fmt: skip
    assert approved["qualityGate"]["approvalStatus"] == "APPROVED"
    assert approved["decision"] == {"decisionType": "QUALITY_GATE", "outcome": "approved: fine"}


async def test_one_operation_shows_the_whole_way_in_one_statement(
    database: Database, client_for: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_template(database)
    pm, agent = await client_for(Role.PM), await client_for(Role.AGENT, "james-dev")
    decision_id, execution_id = await _decided_and_started(pm)
    task = await pm.do("taskCreate", "task { taskId }", title="Build it", executionId=execution_id)
    await _worked(agent, task["task"]["taskId"])
    await _measured(agent, execution_id)
    await _approved(pm, str((await a_gate(database, UUID(execution_id))).gate_id))

    statements: list[str] = []
    fetch = Database.fetch_value

    async def counted(self: Database, sql: str, arguments: Sequence[Any] = ()) -> Any:
        statements.append(sql)
        return await fetch(self, sql, arguments)

    monkeypatch.setattr(Database, "fetch_value", counted)
    seen = (await pm.ask(WHOLE, id=decision_id))["decision"]
    assert len(statements) == 1
    assert seen == {
        "outcome": "build a login page",
        "confidenceScore": 8,
        "workflows": {
            "nodes": [
                {
                    "workflowName": "plain",
                    "executionStatus": "PENDING",
                    "tasks": {
                        "totalCount": 1,
                        "nodes": [
                            {
                                "title": "Build it",
                                "status": "COMPLETED",
                                "result": {"page": "login.html"},
                                "assignedAgent": {
                                    "agentId": "james-dev",
                                    "status": "IDLE",
                                    "metrics": {"nodes": [{"cpuUsage": "12.5"}]},
                                },
                                "modelAssignments": {
                                    "nodes": [{"modelName": "claude-sonnet-4", "actualCost": "0.123456"}]
                                },
                            }
                        ],
                    },
                    "qualityGates": {
                        "nodes": [
                            {
                                "gateName": "Review",
                                "approvalStatus": "APPROVED",
                                "pmDecision": "fine",
                                "decision": {"decisionType": "QUALITY_GATE"},
                            }
                        ]
                    },
                    "metrics": {"nodes": [{"agentId": "james-dev", "memoryUsage": "300"}]},
                    "agents": {"nodes": [{"agentId": "james-dev"}]},
                }
            ]
        },
    }
