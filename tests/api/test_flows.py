"""The four flows of the data model, end to end over the API; what came of each is read in both directions at once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.principals import Role
from db.session import Database
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_template

IN_WORDS = {
    "contextData": {"request": "login"},
    "reasoningProcess": "A login page was asked for.",
    "outcome": "Build a login page.",
    "confidenceScore": 8,
}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement with which a query is answered."""
    asked: list[str] = []
    fetch = Database.fetch_value

    async def counted(self: Database, sql: str, arguments: Sequence[Any] = ()) -> Any:
        asked.append(sql)
        return await fetch(self, sql, arguments)

    monkeypatch.setattr(Database, "fetch_value", counted)
    return asked


async def in_one_statement(client: Client, statements: list[str], query: str, **variables: Any) -> Any:
    """The query's only root field; the test fails when it took more than one statement."""
    statements.clear()
    (value,) = (await client.ask(query, **variables)).values()
    assert len(statements) == 1
    return value


async def done(client: Client, mutation: str, selection: str, **fields: Any) -> Any:
    """The first field of the payload of a mutation, which must not be refused."""
    payload = await client.do(mutation, selection, **fields)
    assert payload["userErrors"] == []
    return next(iter(payload.values()))


async def decided(pm: Client, **fields: Any) -> str:
    given = {"decisionType": "TASK_ASSIGNMENT"} | IN_WORDS | fields
    decision: dict[str, str] = await done(pm, "decisionRecord", "decision { decisionId }", **given)
    return decision["decisionId"]


async def started(pm: Client, **fields: Any) -> str:
    workflow: dict[str, str] = await done(
        pm, "workflowStart", "workflow { executionId }", workflowName="plain", **fields
    )
    return workflow["executionId"]


async def approved(pm: Client, gate_id: str, version: int) -> str:
    decision: dict[str, str] = await done(
        pm, "qualityGateApprove", "decision { decisionId }", gateId=gate_id, expectedVersion=version,
        pmDecision="Fine.", confidenceScore=9,
    )  # fmt: skip
    return decision["decisionId"]


FORWARD = """
query ($id: ID!) { decision(decisionId: $id) { workflows { nodes { tasks { nodes { assignedAgent {
  agentId modelAssignments { nodes { modelName assignmentStatus assignmentReason failureReason actualCost
    fallback { modelName } fallbackChain { providerName modelName estimatedCost } } } } } } } } } }
"""
BACKWARD = """
query ($id: ID!) { modelAssignment(assignmentId: $id) {
  fallbackOf { modelName } decision { outcome } agent { agentId tasks { nodes { execution { executionId
    decision { decisionId modelAssignments { totalCount } } } } } } } }
"""


async def test_decision_to_workflow_to_agent_to_model_assignment(
    database: Database, client_for: MakeClient, statements: list[str]
) -> None:
    await a_template(database)
    pm, agent = await client_for(Role.PM), await client_for(Role.AGENT, "james-dev")
    decision_id = await decided(pm)
    execution_id = await started(pm, decisionId=decision_id)
    await done(agent, "agentRegister", "agent { status }", agentId="james-dev", agentRole="DEVELOPER")
    task = await done(
        pm, "taskCreate", "task { taskId }", title="Build it", executionId=execution_id, decisionId=decision_id
    )
    choice = {"agentId": "james-dev", "taskId": task["taskId"], "assignmentReason": "COMPLEXITY_HIGH"}
    planned = await done(
        pm, "modelAssignmentRecord", "modelAssignment { assignmentId version assignmentStatus }", **choice,
        providerName="ANTHROPIC_CLAUDE", modelName="claude-opus-4", assignmentStatus="PENDING",
        fallbacks=[{"providerName": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": 0.02},
                   {"providerName": "CLAUDE_CODE", "modelName": "claude-sonnet-4"}],
    )  # fmt: skip
    assert planned["assignmentStatus"] == "PENDING"
    claimed = await done(agent, "taskClaim", "task { version }", agentId="james-dev")
    await done(agent, "taskStart", "task { version }", taskId=task["taskId"], expectedVersion=claimed["version"])
    first = {"assignmentId": planned["assignmentId"]}
    begun = await done(
        agent, "modelAssignmentActivate", "modelAssignment { version allowedTransitions }", **first,
        expectedVersion=planned["version"],
    )  # fmt: skip
    assert begun["allowedTransitions"] == ["COMPLETED", "FAILED", "CANCELLED"]
    failed = await agent.do(
        "modelAssignmentFail",
        "modelAssignment { failureReason } fallback { assignmentId version assignmentStatus fallbackOfId }",
        **first, expectedVersion=begun["version"], reason="Overloaded.", actualCost="0.001",
    )  # fmt: skip
    assert (failed["userErrors"], failed["modelAssignment"]) == ([], {"failureReason": "Overloaded."})
    fallback = failed["fallback"]
    assert (fallback["assignmentStatus"], fallback["fallbackOfId"]) == ("ACTIVE", planned["assignmentId"])
    await done(
        agent, "modelAssignmentComplete", "modelAssignment { assignmentStatus }", actualCost=0.0123456789,
        assignmentId=fallback["assignmentId"], expectedVersion=fallback["version"],
    )  # fmt: skip

    sonnet = {"providerName": "CLAUDE_CODE", "modelName": "claude-sonnet-4", "estimatedCost": None}
    glm = {"providerName": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": "0.02"}
    seen = await in_one_statement(pm, statements, FORWARD, id=decision_id)
    (of_task,) = seen["workflows"]["nodes"][0]["tasks"]["nodes"]
    assert of_task["assignedAgent"] == {
        "agentId": "james-dev",
        "modelAssignments": {
            "nodes": [
                {
                    "modelName": "glm-4.5",
                    "assignmentStatus": "COMPLETED",
                    "assignmentReason": "FALLBACK",
                    "failureReason": None,
                    "actualCost": "0.012346",
                    "fallback": None,
                    "fallbackChain": [sonnet],
                },
                {
                    "modelName": "claude-opus-4",
                    "assignmentStatus": "FAILED",
                    "assignmentReason": "COMPLEXITY_HIGH",
                    "failureReason": "Overloaded.",
                    "actualCost": "0.001",
                    "fallback": {"modelName": "glm-4.5"},
                    "fallbackChain": [glm, sonnet],
                },
            ]
        },
    }
    back = await in_one_statement(pm, statements, BACKWARD, id=fallback["assignmentId"])
    origin = {"decisionId": decision_id, "modelAssignments": {"totalCount": 2}}
    assert back == {
        "fallbackOf": {"modelName": "claude-opus-4"},
        "decision": {"outcome": "Build a login page."},
        "agent": {
            "agentId": "james-dev",
            "tasks": {"nodes": [{"execution": {"executionId": execution_id, "decision": origin}}]},
        },
    }


OF_EXECUTION = """
query ($id: ID!) { workflow(executionId: $id) { pendingApprovals { totalCount } qualityGates { nodes {
  gateName approvalStatus automatedChecks { name measured atLeast passed } escalationRequired escalationReason
  reviewerAssignments { nodes { reviewer } } reviewerFeedback { nodes { reviewer verdict agent { agentId } } }
  decision { decisionId decisionType outcome execution { executionId } } } } } }
"""
OF_VERDICT = """
query ($id: ID!) { decision(decisionId: $id) { verdictOn { gateName execution { executionId qualityGates { totalCount }
  } } } }
"""


async def test_workflow_to_gate_to_decision(database: Database, client_for: MakeClient, statements: list[str]) -> None:
    await a_template(database)
    pm, reviewer = await client_for(Role.PM), await client_for(Role.AGENT, "quinn-qa")
    await done(reviewer, "agentRegister", "agent { status }", agentId="quinn-qa", agentRole="QA")
    execution_id = await started(pm)
    gate = await done(
        pm, "qualityGateCreate", "qualityGate { gateId version approvalStatus phase }",
        workflowExecutionId=execution_id, gateName="Release", gateType="FINAL_APPROVAL",
    )  # fmt: skip
    assert (gate["approvalStatus"], gate["phase"]) == ("PENDING", None)
    this = {"gateId": gate["gateId"]}
    version = "qualityGate { version }"
    opened = await done(pm, "qualityGateOpen", version, **this, expectedVersion=1)
    asked = await done(
        pm, "qualityGateAssignReviewers", version, **this, expectedVersion=opened["version"], reviewers=["quinn-qa"]
    )
    checked = await done(
        reviewer, "qualityGateRecordChecks", version, **this, expectedVersion=asked["version"],
        checks=[{"name": "coverage", "measured": 71, "atLeast": 80}],
    )  # fmt: skip
    escalated = await done(
        reviewer, "qualityGateEscalate", version, **this, expectedVersion=checked["version"], reason="Too low?"
    )
    verdict = {"pmDecision": "Fine.", "confidenceScore": 9, **this}
    blocked = await pm.do("qualityGateApprove", **verdict, expectedVersion=escalated["version"], dryRun=True)
    assert [error["code"] for error in blocked["userErrors"]] == ["BLOCKED"]
    assert "of quinn-qa. Automated checks that failed" in blocked["userErrors"][0]["message"]
    await done(reviewer, "qualityGateReview", version, **this, verdict="APPROVE")
    resolved = await done(
        pm, "qualityGateResolveEscalation", version, **this, expectedVersion=escalated["version"], note="It may pass."
    )
    rehearsed = await pm.do(
        "qualityGateApprove", "dryRun { wouldSucceed changes { eventType detail } }", **verdict,
        expectedVersion=resolved["version"], dryRun=True,
    )  # fmt: skip
    assert rehearsed["dryRun"]["wouldSucceed"]
    told = {change["eventType"]: change["detail"] for change in rehearsed["dryRun"]["changes"]}
    assert told["approved"]["checks_failed"] == ["coverage"]
    decision_id = await approved(pm, gate["gateId"], resolved["version"])

    seen = await in_one_statement(pm, statements, OF_EXECUTION, id=execution_id)
    assert seen == {
        "pendingApprovals": {"totalCount": 0},
        "qualityGates": {
            "nodes": [
                {
                    "gateName": "Release",
                    "approvalStatus": "APPROVED",
                    "automatedChecks": [{"name": "coverage", "measured": 71, "atLeast": 80, "passed": False}],
                    "escalationRequired": False,
                    "escalationReason": None,
                    "reviewerAssignments": {"nodes": [{"reviewer": "quinn-qa"}]},
                    "reviewerFeedback": {
                        "nodes": [{"reviewer": "quinn-qa", "verdict": "APPROVE", "agent": {"agentId": "quinn-qa"}}]
                    },
                    "decision": {
                        "decisionId": decision_id,
                        "decisionType": "QUALITY_GATE",
                        "outcome": "approved: Fine.",
                        "execution": {"executionId": execution_id},
                    },
                }
            ]
        },
    }
    back = await in_one_statement(pm, statements, OF_VERDICT, id=decision_id)
    execution = {"executionId": execution_id, "qualityGates": {"totalCount": 1}}
    assert back == {"verdictOn": {"gateName": "Release", "execution": execution}}


ASKED_FOR = """
query ($id: ID!) { decision(decisionId: $id) { qualityGates { nodes { gateName approvalStatus
  requestedByDecision { decisionId } decision { outcome } } } } }
"""
ASKED_BY = """
query ($id: ID!) { decision(decisionId: $id) { outcome verdictOn { gateName requestedByDecision { decisionId
  qualityGates { totalCount } } } } }
"""


async def test_decision_to_the_gates_that_it_creates_to_verdicts(
    database: Database, client_for: MakeClient, statements: list[str]
) -> None:
    await a_template(database)
    pm, reviewer = await client_for(Role.PM), await client_for(Role.REVIEWER)
    execution_id = await started(pm)
    gates = [
        {"workflowExecutionId": execution_id, "gateName": "Design", "gateType": "TECHNICAL_REVIEW",
         "reviewers": ["reviewer"]},
        {"workflowExecutionId": execution_id, "gateName": "Safety", "gateType": "SECURITY_CHECK"},
    ]  # fmt: skip
    decision_id = await decided(pm, executionId=execution_id, qualityGates=gates)
    made = (await pm.ask("{ qualityGates { nodes { gateId gateName version approvalStatus } } }"))["qualityGates"]
    safety, design = made["nodes"]
    assert (design["approvalStatus"], safety["approvalStatus"]) == ("IN_REVIEW", "PENDING")
    await done(reviewer, "qualityGateReview", "qualityGate { version }", gateId=design["gateId"], verdict="APPROVE")
    verdict_id = await approved(pm, design["gateId"], design["version"])
    opened = await done(
        pm, "qualityGateOpen", "qualityGate { version }", gateId=safety["gateId"], expectedVersion=safety["version"]
    )
    await done(
        pm, "qualityGateReject", "qualityGate { approvalStatus }", gateId=safety["gateId"], pmDecision="It leaks.",
        confidenceScore=10, expectedVersion=opened["version"],
    )  # fmt: skip

    seen = await in_one_statement(pm, statements, ASKED_FOR, id=decision_id)
    by = {"requestedByDecision": {"decisionId": decision_id}}
    assert seen["qualityGates"]["nodes"] == [
        {"gateName": "Safety", "approvalStatus": "REJECTED", **by, "decision": {"outcome": "rejected: It leaks."}},
        {"gateName": "Design", "approvalStatus": "APPROVED", **by, "decision": {"outcome": "approved: Fine."}},
    ]
    back = await in_one_statement(pm, statements, ASKED_BY, id=verdict_id)
    origin = {"decisionId": decision_id, "qualityGates": {"totalCount": 2}}
    assert back == {"outcome": "approved: Fine.", "verdictOn": {"gateName": "Design", "requestedByDecision": origin}}


OF_AGENT = """
query ($id: ID!) { agent(agentId: $id) { metrics { nodes { cpuUsage } } evidence { nodes { snapshot decision {
  decisionId resourceOptimization } } } } }
"""
OF_DECISION = """
query ($id: ID!) { decision(decisionId: $id) { sealed { access } evidence { nodes { snapshot execution { executionId
  evidence { totalCount } } agent { agentId metrics { nodes { memoryUsage } } } } } } }
"""


async def test_agent_to_metrics_to_a_decision_with_computed_evidence(
    database: Database, client_for: MakeClient, statements: list[str]
) -> None:
    await a_template(database)
    pm, agent = await client_for(Role.PM), await client_for(Role.AGENT, "james-dev")
    await done(agent, "agentRegister", "agent { status }", agentId="james-dev", agentRole="DEVELOPER")
    execution_id = await started(pm)
    now = datetime.now(UTC)
    taken = [
        {"measurementTime": (now - timedelta(seconds=20 - number)).isoformat(), "agentId": "james-dev",
         "executionId": execution_id, "cpuUsage": f"{number}0.25", "memoryUsage": number}
        for number in (1, 2, 4)
    ]  # fmt: skip
    await done(agent, "resourceMetricsRecord", "recorded", measurements=taken)
    decision_id = await decided(
        pm, decisionType="RESOURCE_ALLOCATION", resourceOptimization={"james-dev": "give it more memory"},
        evidence=[{"intervalStart": (now - timedelta(minutes=1)).isoformat(), "intervalEnd": now.isoformat(),
                   "agentId": "james-dev", "executionId": execution_id}],
    )  # fmt: skip

    figures = {
        "count": 3,
        "cpu_usage": {"min": 10.25, "avg": 23.5833, "max": 40.25},
        "memory_usage": {"min": 1, "avg": 2.3333, "max": 4},
    }
    seen = await in_one_statement(pm, statements, OF_AGENT, id="james-dev")
    origin = {"decisionId": decision_id, "resourceOptimization": {"james-dev": "give it more memory"}}
    assert seen == {
        "metrics": {"nodes": [{"cpuUsage": usage} for usage in ("40.25", "20.25", "10.25")]},
        "evidence": {"nodes": [{"snapshot": figures, "decision": origin}]},
    }
    back = await in_one_statement(pm, statements, OF_DECISION, id=decision_id)
    assert back == {
        "sealed": {"access": "OPEN"},
        "evidence": {
            "nodes": [
                {
                    "snapshot": figures,
                    "execution": {"executionId": execution_id, "evidence": {"totalCount": 1}},
                    "agent": {"agentId": "james-dev", "metrics": {"nodes": [{"memoryUsage": m} for m in "421"]}},
                }
            ]
        },
    }
