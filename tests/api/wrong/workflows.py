"""Valid calls of the workflows' mutations."""

from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.domain.workflows import ExecutionStatus
from app.services.templates import TemplateSource, register_template
from app.services.workflows import StartWorkflow, start_workflow
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from tests.api.wrong.cases import PMS, Call, Special, case
from tests.api.wrong.world import TEMPLATE, World
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


@case("workflowTemplateRegister", PMS, repeatable="the same template is the same version")
async def register(world: World) -> Call:
    return Call(
        {"spec": listening_spec(world.name("Waits"))},
        [Special("no template", {"spec": {"name": 7}}, [ErrorCode.INVALID_INPUT], "spec")],
    )


@case("workflowTemplateValidate", PMS, repeatable="nothing is written", writes=False)
async def validate(world: World) -> Call:
    return Call({"spec": listening_spec(world.name("Waits"))})
