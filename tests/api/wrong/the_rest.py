"""Valid calls of the mutations of model assignments, metrics and tokens."""

from typing import Any

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, ModelChoice, Provider
from app.domain.principals import Role
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.services.model_assignments import RecordAssignment, record_assignment
from tests.api.wrong.agents import fresh_agent
from tests.api.wrong.cases import ADMINS, EVERYBODY_WHO_ACTS, Call, Special, case
from tests.api.wrong.tasks import TASK_OF_JANE, running_task
from tests.api.wrong.world import World, at
from tests.services.makers import ADMIN, run

FALLBACK = ModelChoice(Provider.ZAI_GLM, "glm-4.5")
USE = {"actualCost": "0.25", "tokensUsed": 4_200, "processingTime": 1_500}


async def assignment(world: World, status: AssignmentStatus = AssignmentStatus.ACTIVE) -> Row[Any]:
    task = await running_task(world)
    chosen = RecordAssignment(
        task.assigned_agent_id,
        task.task_id,
        Provider.ANTHROPIC_CLAUDE,
        "claude-sonnet-4",
        AssignmentReason.COMPLEXITY_HIGH,
        assignment_status=status,
        fallbacks=[FALLBACK],
    )
    row: Row[Any] = await run(world.database, record_assignment, ADMIN, chosen)
    return row


def of_assignment(row: Row[Any], **fields: Any) -> Call:
    return Call(
        {"assignmentId": str(row.assignment_id), "expectedVersion": row.version, **fields}, agent_id=row.agent_id
    )


@case(
    "modelAssignmentRecord",
    EVERYBODY_WHO_ACTS,
    other_agent=ErrorCode.FORBIDDEN,
    repeatable="several models may work on a task",
)
async def record(world: World) -> Call:
    task = await running_task(world)
    return Call(
        {
            "agentId": task.assigned_agent_id,
            "taskId": str(task.task_id),
            "providerName": "ANTHROPIC_CLAUDE",
            "modelName": "claude-sonnet-4",
            "assignmentReason": "COMPLEXITY_HIGH",
            "taskComplexity": 8,
            "estimatedCost": "0.5",
            "decisionId": world.known["decision"],
            "fallbacks": [{"providerName": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": "0.125"}],
        },
        [Special(TASK_OF_JANE, {"taskId": world.known["task"]}, [ErrorCode.CLAIM_LOST])],
        task.assigned_agent_id,
    )


@case("modelAssignmentActivate", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def activate(world: World) -> Call:
    return of_assignment(await assignment(world, AssignmentStatus.PENDING))


@case("modelAssignmentComplete", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def complete(world: World) -> Call:
    return of_assignment(await assignment(world), **USE, performanceScore="9.5")


@case("modelAssignmentFail", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def fail(world: World) -> Call:
    return of_assignment(await assignment(world), reason="no answer", **USE)


@case("modelAssignmentCancel", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def cancel(world: World) -> Call:
    return of_assignment(await assignment(world), reason="not needed")


@case(
    "resourceMetricsRecord",
    EVERYBODY_WHO_ACTS,
    other_agent=ErrorCode.FORBIDDEN,
    repeatable="a measurement has no identity but its own; a key makes it come once",
)
async def record_metrics(world: World) -> Call:
    agent_id = await fresh_agent(world)
    measurement = {
        "measurementTime": at(seconds=-1),
        "agentId": agent_id,
        "executionId": world.known["execution"],
        "cpuUsage": "12.5",
        "memoryUsage": "512.25",
        "diskUsage": "1024",
        "networkIo": "0.5",
        "activeSessions": 2,
        "databaseConnections": 5,
        "responseTime": 120,
        "errorRate": "0.5",
        "optimizationScore": "8.5",
        "optimizationSuggestions": ["Use less."],
        "alertLevel": "WARNING",
    }
    late = {**measurement, "measurementTime": at(days=-91)}
    return Call(
        {"measurements": [measurement]},
        [
            Special(
                "the second of two too old",
                {"measurements": [measurement, late]},
                [ErrorCode.INVALID_INPUT],
                "measurements.1.measurementTime",
            )
        ],
        agent_id,
    )


@case("apiTokenCreate", ADMINS, repeatable="a holder may have several tokens")
async def create_api_token(world: World) -> Call:
    return Call(
        {
            "tokenName": world.name("somebody"),
            "role": "AGENT",
            "agentId": "james-dev",
            "expiresAt": at(days=1),
        },
        [Special("an agent's without its agent", {"agentId": None}, [ErrorCode.INVALID_INPUT], "agentId")],
    )


@case("apiTokenRevoke", ADMINS, repeatable="a token that is revoked stays revoked")
async def revoke_api_token(world: World) -> Call:
    made = await run(world.database, create_token, ADMIN, CreateToken("a leaver", Role.VIEWER, new_secret()))
    return Call({"tokenId": str(made.token_id)})
