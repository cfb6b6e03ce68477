"""Valid calls of the quality gates' mutations."""

from typing import Any

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.services.gate_changes import EscalateGate, escalate_gate
from app.services.quality_gates import OpenGate, open_gate
from tests.api.wrong.agents import fresh_agent
from tests.api.wrong.cases import PMS, REVIEWERS, Call, Special, case
from tests.api.wrong.tasks import taken
from tests.api.wrong.workflows import RUNNING, fresh_execution
from tests.api.wrong.world import JAMES, World
from tests.services.makers import ADMIN, a_gate, a_request, run

INVALID = [ErrorCode.INVALID_INPUT]


async def fresh_gate(world: World, *, opened: bool = False) -> Row[Any]:
    execution = await fresh_execution(world, RUNNING)
    gate = await a_gate(world.database, execution.execution_id)
    if opened:
        gate = await run(world.database, open_gate, ADMIN, OpenGate(gate.gate_id, gate.version))
    return gate


def of_gate(gate: Row[Any], *special: Special, **fields: Any) -> Call:
    return Call({"gateId": str(gate.gate_id), "expectedVersion": gate.version, **fields}, special)


@case("qualityGateCreate", PMS, repeatable="an execution may have many gates")
async def create(world: World) -> Call:
    execution = await fresh_execution(world, RUNNING)
    return Call(
        {
            "workflowExecutionId": str(execution.execution_id),
            "gateName": "Review",
            "gateType": "SECURITY_CHECK",
            "validationCriteria": {"verdict_by": "human"},
            "requestedByDecisionId": world.known["decision"],
        }
    )


@case("qualityGateOpen", PMS, again=ErrorCode.STALE_VERSION)
async def open_(world: World) -> Call:
    return of_gate(await fresh_gate(world), reviewers=[JAMES])


@case("qualityGateReview", REVIEWERS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def review(world: World) -> Call:
    gate = await fresh_gate(world, opened=True)
    request = await a_request(world.database, "review", gate.workflow_execution_id, gate.gate_id)
    task = await taken(world, request.task_id, await fresh_agent(world))
    alone = {"taskId": None, "expectedVersion": None}
    return Call(
        {
            "gateId": str(gate.gate_id),
            "verdict": "APPROVE",
            "score": "8.5",
            "feedback": "Well done.",
            "taskId": str(task.task_id),
            "expectedVersion": task.version,
            "evidenceHash": gate.evidence_hash,
        },
        [
            Special("another gate than the task's", {"gateId": world.known["gate"]}, INVALID, "taskId"),
            Special("a gate that is not in review", {"gateId": world.known["gate"], **alone}, [ErrorCode.BLOCKED]),
            Special("other evidence", {"evidenceHash": "0" * 64}, [ErrorCode.EVIDENCE_CHANGED], "evidenceHash"),
        ],
        task.assigned_agent_id,
    )


async def verdict(world: World) -> Call:
    """A verdict on a gate, asked for by a task."""
    gate = await fresh_gate(world, opened=True)
    request = await a_request(world.database, "decision", gate.workflow_execution_id, gate.gate_id)
    task = await taken(world, request.task_id, await fresh_agent(world))
    return of_gate(
        gate,
        Special("a task of another gate", {"taskId": world.known["task"]}, INVALID, "taskId"),
        Special("other evidence", {"evidenceHash": "0" * 64}, [ErrorCode.EVIDENCE_CHANGED], "evidenceHash"),
        pmDecision="It is good.",
        confidenceScore=9,
        reasoningProcess="All reviews say so.",
        qualityScore="8.5",
        improvementSuggestions="More tests.",
        taskId=str(task.task_id),
        evidenceHash=gate.evidence_hash,
    )


for mutation in ("qualityGateApprove", "qualityGateReject", "qualityGateRequestRevision"):
    case(mutation, PMS, again=ErrorCode.ILLEGAL_TRANSITION)(verdict)


@case("qualityGateWaive", PMS, again=ErrorCode.STALE_VERSION)
async def waive(world: World) -> Call:
    gate = await fresh_gate(world, opened=True)
    seen = {"evidenceHash": "0" * 64}
    return of_gate(
        gate,
        Special("evidence that is not there", seen, [ErrorCode.EVIDENCE_CHANGED], "evidenceHash"),
        reason="The demo is today.",
        confidenceScore=7,
        evidenceHash=gate.evidence_hash,
    )


@case("qualityGateAssignReviewers", PMS, again=ErrorCode.STALE_VERSION)
async def assign_reviewers(world: World) -> Call:
    return of_gate(await fresh_gate(world), reviewers=[JAMES, "A person"])


@case("qualityGateRecordChecks", REVIEWERS, again=ErrorCode.STALE_VERSION)
async def record_checks(world: World) -> Call:
    check = {"name": "coverage", "measured": 91.5, "measure": "per cent of lines", "atLeast": 90.0, "atMost": 100.0}
    bare = {"name": "coverage", "measured": 91.5}
    never = {**check, "atLeast": 100.5}
    return of_gate(
        await fresh_gate(world),
        Special("a name twice", {"checks": [check, check]}, INVALID, "checks.1.name"),
        Special("no threshold", {"checks": [bare]}, INVALID, "checks.0"),
        Special("never to be passed", {"checks": [never]}, INVALID, "checks.0"),
        checks=[check],
    )


@case("qualityGateEscalate", REVIEWERS, again=ErrorCode.STALE_VERSION)
async def escalate(world: World) -> Call:
    return of_gate(await fresh_gate(world), reason="Nobody agrees.", escalateTo="The leads")


@case("qualityGateResolveEscalation", PMS, again=ErrorCode.BLOCKED)
async def resolve_escalation(world: World) -> Call:
    gate = await fresh_gate(world)
    escalated = await run(world.database, escalate_gate, ADMIN, EscalateGate(gate.gate_id, gate.version, "Help."))
    return of_gate(escalated, note="We talked.")
