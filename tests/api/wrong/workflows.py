"""Valid calls of the mutations of workflows and their schedules."""

from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.domain.schedules import Timing
from app.domain.workflows import ExecutionStatus
from app.services import schedules as services
from app.services.schedules import CreateSchedule, PauseSchedule, create_schedule
from app.services.templates import TemplateSource, register_template
from app.services.workflows import StartWorkflow, start_workflow
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.queries.steps import begin_step
from tests.api.wrong.cases import PMS, Call, Special, case
from tests.api.wrong.world import TEMPLATE, World, at
from tests.services.makers import ADMIN, run

RUNNING = ExecutionStatus.RUNNING


async def fresh_execution(world: World, *ways: ExecutionStatus) -> Row[Any]:
    """An execution of this case alone, which went these ways."""
    row: Row[Any] = await run(world.database, start_workflow, ADMIN, StartWorkflow(TEMPLATE))
    for status in ways:
        row = await _moved(world, row.execution_id, status)
    return row


async def _moved(world: World, execution_id: UUID, status: ExecutionStatus) -> Row[Any]:
    return await world.database.transact(
        lambda session: transition(session, EXECUTION, execution_id, status, "moved", "test")
    )


def of_execution(row: Row[Any], **fields: Any) -> Call:
    return Call({"executionId": str(row.execution_id), "expectedVersion": row.version, **fields})


@case("workflowStart", PMS, repeatable="the same workflow may run many times")
async def start(world: World) -> Call:
    return Call(
        {
            "workflowName": TEMPLATE,
            "inputContext": {"page": world.name("login")},
            "triggerType": "MANUAL",
            "decisionId": world.known["decision"],
        }
    )


@case("workflowPause", PMS, again=ErrorCode.STALE_VERSION)
async def pause(world: World) -> Call:
    return of_execution(await fresh_execution(world, RUNNING), reason="lunch")


@case("workflowResume", PMS, again=ErrorCode.STALE_VERSION)
async def resume(world: World) -> Call:
    return of_execution(await fresh_execution(world, RUNNING, ExecutionStatus.PAUSED))


@case("workflowRetry", PMS, again=ErrorCode.STALE_VERSION)
async def retry(world: World) -> Call:
    return of_execution(await fresh_execution(world, RUNNING, ExecutionStatus.FAILED), reason="it may work now")


@case("workflowFail", PMS, again=ErrorCode.STALE_VERSION)
async def fail(world: World) -> Call:
    return of_execution(await fresh_execution(world, RUNNING), reason="it cannot work")


@case("workflowCancel", PMS, again=ErrorCode.STALE_VERSION)
async def cancel(world: World) -> Call:
    return of_execution(await fresh_execution(world, RUNNING), reason="nobody needs it")


LISTENING = "listening"
"""A template that awaits a signal."""


def listening_spec(description: str = "Waits.") -> dict[str, Any]:
    return {
        "name": LISTENING,
        "description": description,
        "phases": [{"name": "hold", "kind": "wait", "signal": "go", "schema": {"type": "object"}}],
    }


@case("workflowSignal", PMS, repeatable="a signal may be sent many times; one of the same key counts once")
async def signal(world: World) -> Call:
    await run(world.database, register_template, ADMIN, TemplateSource(listening_spec()))
    row = await run(world.database, start_workflow, ADMIN, StartWorkflow(LISTENING))
    return Call(
        {"executionId": str(row.execution_id), "name": "go", "payload": {"by": "ann"}, "key": world.name("key")},
        [
            Special("a signal that nobody awaits", {"name": "stop"}, [ErrorCode.INVALID_INPUT], "name"),
            Special("a payload that does not fit", {"payload": []}, [ErrorCode.INVALID_INPUT], "payload"),
        ],
    )


async def begun_execution(world: World) -> Row[Any]:
    """An execution of this case alone that is in its first step."""
    row = await fresh_execution(world, RUNNING)
    await world.database.transact(lambda session: begin_step(session, row.execution_id, 1, "build", 1))
    return row


@case("workflowFork", PMS, repeatable="what was repeated once may be repeated again")
async def fork(world: World) -> Call:
    row = await begun_execution(world)
    other = {"executionId": str(row.execution_id), "step": 1}
    return Call(
        {**other, "inputContext": {"page": world.name("login")}, "reason": "another try"},
        [Special("no such step", {"step": 2}, [ErrorCode.INVALID_INPUT], "step")],
    )


@case("workflowSkipPhase", PMS, again=ErrorCode.STALE_VERSION)
async def skip_phase(world: World) -> Call:
    return of_execution(await begun_execution(world), reason="not needed")


async def fresh_schedule(world: World) -> Row[Any]:
    """A schedule of this case alone."""
    command = CreateSchedule(world.name("nightly"), TEMPLATE, Timing("0 7 * * *"))
    row: Row[Any] = await run(world.database, create_schedule, ADMIN, command)
    return row


def of_schedule(row: Row[Any], **fields: Any) -> Call:
    return Call({"scheduleId": str(row.schedule_id), "expectedVersion": row.version, **fields})


@case("scheduleCreate", PMS, repeatable="two schedules may be alike")
async def create(world: World) -> Call:
    return Call(
        {
            "scheduleName": world.name("nightly"),
            "workflowName": TEMPLATE,
            "intervalSeconds": 3600,
            "startAt": at(hours=1),
            "timeZone": "Europe/Berlin",
            "inputContext": {"page": "login"},
            "missedRuns": "SKIP",
        },
        [
            Special("both", {"cronExpression": "0 7 * * *"}, [ErrorCode.INVALID_INPUT], "cronExpression"),
            Special("none", {"intervalSeconds": None, "startAt": None}, [ErrorCode.INVALID_INPUT], "cronExpression"),
            Special("past", {"intervalSeconds": None, "startAt": at(hours=-1)}, [ErrorCode.INVALID_INPUT], "startAt"),
        ],
    )


@case("workflowTemplateRegister", PMS, repeatable="the same template is the same version")
async def register(world: World) -> Call:
    return Call(
        {"spec": listening_spec(world.name("Waits"))},
        [Special("no template", {"spec": {"name": 7}}, [ErrorCode.INVALID_INPUT], "spec")],
    )


@case("workflowTemplateValidate", PMS, repeatable="nothing is written", writes=False)
async def validate(world: World) -> Call:
    return Call({"spec": listening_spec(world.name("Waits"))})


@case("scheduleUpdate", PMS, again=ErrorCode.STALE_VERSION)
async def update(world: World) -> Call:
    return of_schedule(
        await fresh_schedule(world),
        scheduleName=world.name("daily"),
        workflowName=TEMPLATE,
        intervalSeconds=60,
        startAt=at(hours=1),
        timeZone="UTC",
        inputContext={"page": "login"},
        missedRuns="RUN_ALL",
    )


@case("schedulePause", PMS, again=ErrorCode.STALE_VERSION)
async def pause_schedule(world: World) -> Call:
    return of_schedule(await fresh_schedule(world), reason="holidays")


@case("scheduleResume", PMS, again=ErrorCode.STALE_VERSION)
async def resume_schedule(world: World) -> Call:
    row = await fresh_schedule(world)
    paused = PauseSchedule(row.schedule_id, row.version)
    return of_schedule(await run(world.database, services.pause_schedule, ADMIN, paused))


@case("scheduleDelete", PMS, again=ErrorCode.STALE_VERSION)
async def delete(world: World) -> Call:
    return of_schedule(await fresh_schedule(world), reason="nobody needs it")


@case("scheduleTrigger", PMS, repeatable="it may run as often as somebody asks")
async def trigger(world: World) -> Call:
    return Call({"scheduleId": str((await fresh_schedule(world)).schedule_id)})
