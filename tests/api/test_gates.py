"""Gates over the API: who counts and why not, what was seen, and who may waive."""

from typing import Any

import pytest

from app.domain.principals import Role
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from db.session import Database
from tests.api.conftest import Client, MakeClient
from tests.services.makers import ADMIN, run
from tests.services.reviewing import amend_result, under_review

GATE = """
query ($id: ID!) { qualityGate(gateId: $id) {
  approvalStatus allowedTransitions revision evidenceHash verdictEvidenceHash timesVoided waivedBy waiverReason
  evidence { kind phase name value sha256 }
  reviewers(first: 10) { nodes {
    reviewer revision verdict feedback isNamed countsToQuorum excludedBecause evidenceHash } }
} }
"""


async def of(client: Client, gate: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(GATE, id=str(gate.gate_id)))["qualityGate"]
    return found


async def refused(client: Client, mutation: str, **fields: Any) -> tuple[str, str | None]:
    """Code and field of the refusal."""
    (error,) = (await client.do(mutation, "qualityGate { gateId }", **fields))["userErrors"]
    return error["code"], error["field"]


@pytest.fixture
async def another_token_of_the_author(database: Database, admin: Client) -> Client:
    secret = new_secret()
    await run(database, create_token, ADMIN, CreateToken("jimmy", Role.REVIEWER, secret, "james-dev"))
    return Client(admin.http, secret)


async def test_the_author_under_another_token_does_not_count_and_everybody_sees_why(
    database: Database, client_for: MakeClient, another_token_of_the_author: Client
) -> None:
    pm, rita = await client_for(Role.PM), await client_for(Role.REVIEWER)
    gate = await under_review(database, ["reviewer", "james-dev"], quorum=1)
    given = {"gateId": str(gate.gate_id), "feedback": "I made it well."}
    payload = await another_token_of_the_author.do(
        "qualityGateReview", "qualityGate { approvalStatus }", verdict="APPROVE", **given
    )
    assert payload["userErrors"] == []
    verdict = {
        "gateId": str(gate.gate_id), "expectedVersion": gate.version, "pmDecision": "Fine.", "confidenceScore": 9,
    }  # fmt: skip
    assert await refused(pm, "qualityGateApprove", **verdict) == ("BLOCKED", None)
    await rita.do("qualityGateReview", "qualityGate { gateId }", verdict="APPROVE", **given)
    told = await of(rita, gate)
    assert {review["reviewer"]: (review["countsToQuorum"], review["excludedBecause"])
            for review in told["reviewers"]["nodes"]} == {
        "reviewer": (True, None), "james-dev": (False, "AUTHOR"),
    }  # fmt: skip
    assert all(review["evidenceHash"] == told["evidenceHash"] for review in told["reviewers"]["nodes"])
    assert told["evidence"] == [
        {"kind": "RESULT", "phase": "build", "name": "build", "value": None, "sha256": told["evidence"][0]["sha256"]}
    ]
    approved = await pm.do(
        "qualityGateApprove", "qualityGate { approvalStatus } decision { decisionType outcome }",
        evidenceHash=told["evidenceHash"], **verdict,
    )  # fmt: skip
    assert approved["qualityGate"] == {"approvalStatus": "APPROVED"}
    assert approved["decision"] == {"decisionType": "QUALITY_GATE", "outcome": "approved: Fine."}
    after = await of(pm, gate)
    assert (after["verdictEvidenceHash"], after["allowedTransitions"]) == (told["evidenceHash"], ["IN_REVIEW"])
    again = {"gateId": str(gate.gate_id), "expectedVersion": gate.version + 1}
    assert await refused(pm, "qualityGateOpen", **again) == ("ILLEGAL_TRANSITION", None)


async def test_work_that_changed_since_it_was_read_is_not_judged(database: Database, client_for: MakeClient) -> None:
    pm, rita = await client_for(Role.PM), await client_for(Role.REVIEWER)
    gate = await under_review(database, ["reviewer"], quorum=1)
    seen = (await of(rita, gate))["evidenceHash"]
    await amend_result(database, gate.workflow_execution_id, {"files": 4})
    given = {"gateId": str(gate.gate_id), "evidenceHash": seen}
    wrong = ("EVIDENCE_CHANGED", "input.evidenceHash")
    assert await refused(rita, "qualityGateReview", verdict="APPROVE", **given) == wrong
    waiver = given | {"expectedVersion": gate.version, "reason": "The demo is today."}
    assert await refused(pm, "qualityGateWaive", **waiver) == wrong
    assert await refused(pm, "qualityGateWaive", **waiver | {"evidenceHash": "x"}) == (
        "INVALID_INPUT", "input.evidenceHash",
    )  # fmt: skip
    told = await of(pm, gate)
    assert told["reviewers"]["nodes"][0]["verdict"] is None
    assert (told["approvalStatus"], told["waivedBy"]) == ("IN_REVIEW", None)


async def test_only_pm_and_admin_waive_and_a_dry_run_tells_what_would_be(
    database: Database, client_for: MakeClient
) -> None:
    pm, rita, agent = [await client_for(role) for role in (Role.PM, Role.REVIEWER)] + [
        await client_for(Role.AGENT, "james-dev")
    ]
    gate = await under_review(database, quorum=2)
    waiver = {"gateId": str(gate.gate_id), "expectedVersion": gate.version, "reason": "The demo is today."}
    for client in (rita, agent):
        assert (await refused(client, "qualityGateWaive", **waiver))[0] == "FORBIDDEN"
    rehearsed = await pm.do("qualityGateWaive", "dryRun { changes { eventType } }", dryRun=True, **waiver)
    assert [change["eventType"] for change in rehearsed["dryRun"]["changes"]] == ["recorded", "waived"]
    assert (await of(pm, gate))["approvalStatus"] == "IN_REVIEW"
    done = await pm.do("qualityGateWaive", "qualityGate { waivedBy waiverReason approvalStatus }", **waiver)
    assert done["qualityGate"] == {
        "waivedBy": "pm", "waiverReason": "The demo is today.", "approvalStatus": "APPROVED",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({"criteria": ["score >="]}, "is no CEL expression"),
        ({"criteria": ["nothing > 1"]}, "known here: results, checks, score, measured"),
        ({"criteria": ["1 + 1"]}, "gives int, and not true or false"),
        ({"criteria": [7]}, "does not fit its JSON Schema"),
    ],
)
async def test_criteria_that_cannot_be_judged_are_refused(
    database: Database, client_for: MakeClient, criteria: dict[str, Any], said: str
) -> None:
    pm = await client_for(Role.PM)
    gate = await under_review(database)
    payload = await pm.do(
        "qualityGateCreate", "qualityGate { gateId }", workflowExecutionId=str(gate.workflow_execution_id),
        gateName="Second", gateType="SECURITY_CHECK", validationCriteria=criteria,
    )  # fmt: skip
    (error,) = payload["userErrors"]
    assert (payload["qualityGate"], error["code"], error["field"]) == (
        None,
        "INVALID_INPUT",
        "input.validationCriteria",
    )
    assert said in error["message"]
