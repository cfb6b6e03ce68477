"""Who may annotate, erase, escalate and fail; what a dry run of a decision with gates tells."""

from typing import Any

from app.domain.principals import Role
from db.session import Database
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.quality_gates import quality_gates
from tests.api.conftest import Client, MakeClient
from tests.services.makers import a_gate, a_running_task, an_agent, an_execution, count

DECISION: dict[str, Any] = {
    "decisionType": "ESCALATION",
    "contextData": ["a", None],
    "reasoningProcess": "Step by step.",
    "outcome": "Ask a person.",
    "confidenceScore": 3,
}
SEALED = "decision { version learningNotes contextData reasoningProcess sealed { access reason } }"


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def a_decision(pm: Client) -> dict[str, Any]:
    made = await pm.do("decisionRecord", "decision { decisionId version }", **DECISION)
    return {"decisionId": made["decision"]["decisionId"], "expectedVersion": made["decision"]["version"]}


async def test_only_an_administrator_erases_and_only_once(client_for: MakeClient) -> None:
    pm, admin, viewer = await client_for(Role.PM), await client_for(), await client_for(Role.VIEWER)
    decision = await a_decision(pm)
    wish = decision | {"reason": "She asked for it."}
    assert codes(await pm.do("decisionErase", SEALED, **wish)) == ["FORBIDDEN"]
    rehearsed = await admin.do("decisionErase", f"dryRun {{ wouldSucceed }} {SEALED}", **wish, dryRun=True)
    assert rehearsed["dryRun"] == {"wouldSucceed": True}
    assert rehearsed["decision"]["sealed"]["access"] == "OPEN"
    erased = await admin.do("decisionErase", SEALED, **wish, idempotencyKey="once")
    reason = "Its key was destroyed on request; nobody can read it any more."
    gone = {"contextData": None, "reasoningProcess": None, "sealed": {"access": "ERASED", "reason": reason}}
    assert erased["decision"] == {"version": 2, "learningNotes": ""} | gone
    again = await admin.do("decisionErase", SEALED, **wish, idempotencyKey="once")
    assert (again["userErrors"], again["decision"]["version"]) == ([], 2)
    assert codes(await admin.do("decisionErase", SEALED, **wish)) == ["STALE_VERSION"]
    assert codes(await admin.do("decisionErase", SEALED, **wish | {"expectedVersion": 2})) == ["ILLEGAL_TRANSITION"]
    query = "query ($id: ID!) { decision(decisionId: $id) { outcome sealed { access } } }"
    seen = (await viewer.ask(query, id=decision["decisionId"]))["decision"]
    assert seen == {"outcome": "Ask a person.", "sealed": {"access": "ERASED"}}


async def test_notes_by_those_who_decide(client_for: MakeClient) -> None:
    pm, viewer = await client_for(Role.PM), await client_for(Role.VIEWER)
    decision = await a_decision(pm)
    assert codes(await viewer.do("decisionAnnotate", SEALED, **decision, learningNotes="Mine.")) == ["FORBIDDEN"]
    noted = await pm.do("decisionAnnotate", SEALED, **decision, learningNotes="Ask earlier.")
    opened = {"contextData": ["a", None], "reasoningProcess": "Step by step."}
    assert noted["decision"] == {
        "version": 2, "learningNotes": "Ask earlier.", **opened, "sealed": {"access": "OPEN", "reason": None},
    }  # fmt: skip
    unknown = await pm.do("decisionAnnotate", SEALED, decisionId="x", expectedVersion=1, learningNotes="")
    assert unknown["userErrors"][0]["field"] == "input.decisionId"


async def test_a_dry_run_tells_the_gates_that_a_decision_would_make(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    execution = await an_execution(database)
    gate = {"workflowExecutionId": str(execution.execution_id), "gateName": "Safety", "gateType": "SECURITY_CHECK"}
    tables = (decisions, quality_gates, event_log)
    before = [await count(database, table) for table in tables]
    payload = await pm.do(
        "decisionRecord", "decision { outcome } dryRun { changes { aggregate eventType toStatus } }", **DECISION,
        dryRun=True, qualityGates=[gate | {"reviewers": ["mary"]}],
    )  # fmt: skip
    assert payload["decision"] is None
    assert payload["dryRun"]["changes"] == [
        {"aggregate": "DECISION", "eventType": "recorded", "toStatus": None},
        {"aggregate": "QUALITY_GATE", "eventType": "created", "toStatus": "PENDING"},
        {"aggregate": "QUALITY_GATE", "eventType": "opened", "toStatus": "IN_REVIEW"},
    ]
    assert [await count(database, table) for table in tables] == before
    wrong = await pm.do("decisionRecord", **DECISION, qualityGates=[gate, gate | {"workflowExecutionId": "x"}])
    assert wrong["userErrors"][0]["field"] == "input.qualityGates.1.workflowExecutionId"
    assert [await count(database, table) for table in tables] == before


async def test_reviewers_escalate_and_measure_and_do_not_decide(database: Database, client_for: MakeClient) -> None:
    reviewer, viewer = await client_for(Role.REVIEWER), await client_for(Role.VIEWER)
    execution = await an_execution(database)
    gate = await a_gate(database, execution.execution_id)
    this: dict[str, Any] = {"gateId": str(gate.gate_id), "expectedVersion": 1}
    assert codes(await viewer.do("qualityGateEscalate", **this, reason="Look!")) == ["FORBIDDEN"]
    selection = "qualityGate { escalationReason version }"
    escalated = await reviewer.do("qualityGateEscalate", selection, **this, reason="Look!")
    assert escalated["qualityGate"] == {"escalationReason": "Look!", "version": 2}
    this["expectedVersion"] = 2
    checks = [{"name": "errors", "measured": 3, "atMost": 2.5}]
    measured = await reviewer.do(
        "qualityGateRecordChecks", "qualityGate { automatedChecks { measured atMost passed } }", **this, checks=checks
    )
    assert measured["qualityGate"]["automatedChecks"] == [{"measured": 3, "atMost": 2.5, "passed": False}]
    this["expectedVersion"] = 3
    for mutation in ("qualityGateResolveEscalation", "qualityGateOpen"):
        assert codes(await reviewer.do(mutation, **this)) == ["FORBIDDEN"]
    assert codes(await reviewer.do("qualityGateAssignReviewers", **this, reviewers=["mary"])) == ["FORBIDDEN"]
    made = {"workflowExecutionId": str(execution.execution_id), "gateName": "Mine", "gateType": "FINAL_APPROVAL"}
    assert codes(await reviewer.do("qualityGateCreate", **made)) == ["FORBIDDEN"]


async def test_an_agent_ends_its_own_assignments_only(database: Database, client_for: MakeClient) -> None:
    james, jane = await client_for(Role.AGENT, "james-dev"), await client_for(Role.AGENT, "jane-dev")
    await an_agent(database)
    task = await a_running_task(database)
    made = await james.do(
        "modelAssignmentRecord", "modelAssignment { assignmentId version }", agentId="james-dev",
        taskId=str(task.task_id), providerName="ZAI_GLM", modelName="glm-4.5", assignmentReason="FALLBACK",
    )  # fmt: skip
    this = {
        "assignmentId": made["modelAssignment"]["assignmentId"],
        "expectedVersion": made["modelAssignment"]["version"],
    }
    assert codes(await jane.do("modelAssignmentCancel", **this)) == ["CLAIM_LOST"]
    assert codes(await jane.do("modelAssignmentFail", **this, reason="Mine now.")) == ["CLAIM_LOST"]
    payload = "modelAssignment { assignmentStatus } fallback { assignmentId } dryRun { changeCount }"
    rehearsed = await james.do("modelAssignmentFail", payload, **this, reason="Overloaded.", dryRun=True)
    assert rehearsed["dryRun"] == {"changeCount": 1}
    failed = await james.do("modelAssignmentFail", payload, **this, reason="Overloaded.")
    assert (failed["modelAssignment"], failed["fallback"]) == ({"assignmentStatus": "FAILED"}, None)
