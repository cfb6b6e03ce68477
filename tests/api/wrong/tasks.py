"""Valid calls of the tasks' mutations."""

from typing import Any

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.services.tasks import ClaimTask, FailTask, StartTask, claim_task, fail_task, start_task
from tests.api.wrong.agents import fresh_agent
from tests.api.wrong.cases import EVERYBODY_WHO_ACTS, PMS, Call, Special, case
from tests.api.wrong.world import World
from tests.services.makers import ADMIN, a_running_task, a_task, run

TASK_OF_JANE = "of another agent's task"


async def claimed_task(world: World) -> Row[Any]:
    task = await a_task(world.database)
    row: Row[Any] = await run(world.database, claim_task, ADMIN, ClaimTask(await fresh_agent(world), task.task_id))
    return row


async def running_task(world: World) -> Row[Any]:
    return await a_running_task(world.database, await fresh_agent(world))


async def taken(world: World, task_id: Any, agent_id: str) -> Row[Any]:
    """The task, running in the hands of this agent."""
    claimed = await run(world.database, claim_task, ADMIN, ClaimTask(agent_id, task_id))
    row: Row[Any] = await run(world.database, start_task, ADMIN, StartTask(task_id, claimed.version))
    return row


def of_task(task: Row[Any], *special: Special, **fields: Any) -> Call:
    """A call about a task that its agent has at hand."""
    return Call(
        {"taskId": str(task.task_id), "expectedVersion": task.version, **fields}, special, task.assigned_agent_id
    )


def planned(**fields: Any) -> dict[str, Any]:
    return {
        "title": "Build it",
        "description": "All of it.",
        "requiredRole": "DEVELOPER",
        "requiredCapabilities": ["python"],
        "complexity": 3,
        "input": {"page": "login"},
        **fields,
    }


@case("taskCreate", PMS, repeatable="two tasks may be alike")
async def create(world: World) -> Call:
    parents = {"decisionId": world.known["decision"], "executionId": world.known["execution"]}
    return Call(planned(title=world.name("Build"), dependsOn=[world.known["task"]], **parents))


@case("tasksCreate", PMS, repeatable="two tasks may be alike")
async def create_many(world: World) -> Call:
    first = planned(title=world.name("Build"), key="first", dependsOn=[world.known["task"]], dependsOnKeys=["second"])
    second = planned(key="second")
    same, circle = {**second, "key": "first"}, {**second, "dependsOnKeys": ["first"]}
    invalid = [ErrorCode.INVALID_INPUT]
    return Call(
        {
            "decisionId": world.known["decision"],
            "executionId": world.known["execution"],
            "tasks": [first, second],
        },
        [
            Special("a key twice", {"tasks": [first, same]}, invalid, "tasks"),
            Special("a circle", {"tasks": [first, circle]}, invalid, "tasks"),
            Special("an unknown key", {"tasks": [first]}, invalid, "tasks.0.dependsOnKeys"),
        ],
    )


@case("taskRetry", PMS, again=ErrorCode.STALE_VERSION)
async def retry(world: World) -> Call:
    task = await running_task(world)
    failed = await run(world.database, fail_task, ADMIN, FailTask(task.task_id, task.version, "it broke"))
    return of_task(failed, reason="try again")


@case("taskCancel", PMS, again=ErrorCode.STALE_VERSION)
async def cancel(world: World) -> Call:
    return of_task(await running_task(world), reason="nobody needs it")


@case("taskClaim", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.FORBIDDEN, again=ErrorCode.STALE_VERSION)
async def claim(world: World) -> Call:
    agent_id = await fresh_agent(world)
    task = await a_task(world.database)
    theirs = {"taskId": world.known["task"], "expectedVersion": None}
    return Call(
        {"agentId": agent_id, "taskId": str(task.task_id), "expectedVersion": 1},
        [Special(TASK_OF_JANE, theirs, [ErrorCode.CLAIM_LOST])],
        agent_id,
    )


@case("taskStart", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def start(world: World) -> Call:
    return of_task(await claimed_task(world))


@case("taskReportProgress", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, repeatable="the latest is kept")
async def report_progress(world: World) -> Call:
    task = await running_task(world)
    free = await a_task(world.database)
    return Call(
        {"taskId": str(task.task_id), "message": "half of it", "percent": 50.0},
        [Special("of a task that nobody has", {"taskId": str(free.task_id)}, [ErrorCode.CLAIM_LOST])],
        task.assigned_agent_id,
    )


@case("taskComplete", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def complete(world: World) -> Call:
    return of_task(await running_task(world), result={"page": "login.html"})


@case("taskFail", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.STALE_VERSION)
async def fail(world: World) -> Call:
    return of_task(await running_task(world), reason="it broke", result={"page": None})


@case("taskRelease", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.CLAIM_LOST, again=ErrorCode.CLAIM_LOST)
async def release(world: World) -> Call:
    return of_task(await running_task(world), reason="another can do it")
