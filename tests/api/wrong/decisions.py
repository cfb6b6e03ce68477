"""Valid calls of the decisions' mutations."""

from typing import Any

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.services.decisions import EraseDecision, erase_decision, record_decision
from tests.api.wrong.agents import fresh_agent
from tests.api.wrong.cases import ADMINS, PMS, Call, Special, case
from tests.api.wrong.tasks import taken
from tests.api.wrong.workflows import RUNNING, fresh_execution
from tests.api.wrong.world import JAMES, World, a_decision, at
from tests.services.makers import ADMIN, SEALER, a_gate, a_request, a_task, run

INVALID = [ErrorCode.INVALID_INPUT]


async def fresh_decision(world: World) -> Row[Any]:
    row: Row[Any] = await run(world.database, record_decision, ADMIN, a_decision(), SEALER)
    return row


def of_decision(row: Row[Any], *special: Special, **fields: Any) -> Call:
    return Call({"decisionId": str(row.decision_id), "expectedVersion": row.version, **fields}, special)


@case("decisionRecord", PMS, again=ErrorCode.STALE_VERSION)
async def record(world: World) -> Call:
    execution = await fresh_execution(world, RUNNING)
    request = await a_request(world.database, "decision", execution.execution_id)
    task = await taken(world, request.task_id, await fresh_agent(world))
    gate = await a_gate(world.database, execution.execution_id)
    of_gate = await a_request(world.database, "decision", execution.execution_id, gate.gate_id)
    work = await a_task(world.database)
    evidence = {
        "intervalStart": at(hours=-1),
        "intervalEnd": at(),
        "agentId": JAMES,
        "executionId": str(execution.execution_id),
        "snapshot": {"cpu_usage": 12.5},
    }
    computed = {name: value for name, value in evidence.items() if name != "snapshot"}
    old = {**computed, "intervalStart": at(days=-91)}
    ahead = {**computed, "intervalStart": at(hours=1), "intervalEnd": at(hours=2)}
    nobody = {name: value for name, value in evidence.items() if name not in ("agentId", "executionId")}
    return Call(
        {
            "decisionType": "TASK_ASSIGNMENT",
            "contextData": {"request": "login"},
            "reasoningProcess": "A login page was asked for.",
            "outcome": "Build it.",
            "confidenceScore": 8,
            "agentAssignments": {JAMES: "login"},
            "resourceOptimization": {"parallel": 2},
            "learningNotes": "Ask earlier.",
            "executionId": str(execution.execution_id),
            "taskId": str(task.task_id),
            "expectedVersion": task.version,
            "evidence": [evidence],
            "qualityGates": [
                {
                    "workflowExecutionId": str(execution.execution_id),
                    "gateName": "Review",
                    "gateType": "TECHNICAL_REVIEW",
                    "validationCriteria": {"min_score": 7},
                    "reviewers": [JAMES],
                }
            ],
        },
        [
            Special("evidence of nobody", {"evidence": [nobody]}, INVALID, "evidence.0"),
            Special("evidence older than metrics", {"evidence": [old]}, INVALID, "evidence.0.intervalStart"),
            Special("evidence of the future", {"evidence": [ahead]}, INVALID, "evidence.0.intervalEnd"),
            Special("a request for a verdict", {"taskId": str(of_gate.task_id)}, INVALID, "taskId"),
            Special("a task that is work", {"taskId": str(work.task_id)}, INVALID, "taskId"),
        ],
    )


@case("decisionAnnotate", PMS, again=ErrorCode.STALE_VERSION)
async def annotate(world: World) -> Call:
    return of_decision(await fresh_decision(world), learningNotes="Ask earlier.")


@case("decisionErase", ADMINS, again=ErrorCode.STALE_VERSION)
async def erase(world: World) -> Call:
    gone = await fresh_decision(world)
    erased = await run(world.database, erase_decision, ADMIN, EraseDecision(gone.decision_id, 1, "on request"))
    twice = {"decisionId": str(erased.decision_id), "expectedVersion": erased.version}
    return of_decision(
        await fresh_decision(world),
        Special("what is erased already", twice, [ErrorCode.ILLEGAL_TRANSITION]),
        reason="on request",
    )
