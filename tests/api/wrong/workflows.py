"""Valid calls of the workflows' mutations."""

from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row

from app.domain.errors import ErrorCode
from app.domain.workflows import ExecutionStatus
from app.services.workflows import StartWorkflow, start_workflow
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from tests.api.wrong.cases import PMS, Call, case
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
