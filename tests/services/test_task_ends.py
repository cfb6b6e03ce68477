"""How tasks end without an answer, and how they begin again."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from app.domain.errors import Blocked, HubError, IllegalTransition, InvalidInput, NotFound, StaleVersion
from app.domain.ids import new_id
from app.services.task_ends import CancelTask, RetryTask, cancel_task, retry_task
from app.services.tasks import (
    ClaimTask,
    CompleteTask,
    CreateTask,
    FailTask,
    claim_task,
    complete_task,
    create_task,
    fail_task,
)
from app.services.workflows import CancelWorkflow, cancel_workflow
from db.session import Database
from db.tables.agents import agents
from db.tables.events import event_log
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.services.makers import (
    ADMIN,
    a_running_task,
    a_task,
    agent_principal,
    an_agent,
    an_execution,
    count,
    events_of,
    row_of,
    run,
)

JAMES = agent_principal("james-dev")


async def a_failed_task(database: Database, **options: Any) -> Any:
    task = await a_running_task(database, **options)
    return await run(database, fail_task, JAMES, FailTask(task.task_id, task.version, "broken"))


async def test_a_failed_task_begins_again_and_its_failures_stay(database: Database) -> None:
    await an_agent(database)
    execution = await an_execution(database)
    failed = await a_failed_task(database, execution_id=execution.execution_id)
    woken = (await row_of(database, workflow_executions, execution_id=execution.execution_id)).wake_seq
    retried = await run(database, retry_task, ADMIN, RetryTask(failed.task_id, failed.version, "it was the network"))
    assert (retried.status, retried.assigned_agent_id, retried.result, retried.completed_at) == (
        "pending", None, None, None,
    )  # fmt: skip
    assert (retried.failures, retried.attempts, retried.version) == (1, 1, failed.version + 1)
    assert (await events_of(database, failed.task_id))[-1] == ("retried", "failed", "pending", retried.version)
    after = await row_of(database, workflow_executions, execution_id=execution.execution_id)
    assert after.wake_seq == woken + 1
    claimed = await run(database, claim_task, JAMES, ClaimTask("james-dev"))
    assert claimed.task_id == failed.task_id


async def test_only_what_failed_is_tried_again(database: Database) -> None:
    await an_agent(database, concurrency=3)
    free, running = await a_task(database), await a_running_task(database)
    done = await a_running_task(database)
    done = await run(database, complete_task, JAMES, CompleteTask(done.task_id, done.version, 1))
    failed = await a_failed_task(database)
    before = await count(database, event_log)
    cases: list[tuple[RetryTask, type[HubError]]] = [
        (RetryTask(free.task_id, free.version), IllegalTransition),
        (RetryTask(running.task_id, running.version), Blocked),
        (RetryTask(done.task_id, done.version), IllegalTransition),
        (RetryTask(failed.task_id, failed.version - 1), StaleVersion),
        (RetryTask(failed.task_id, failed.version, "x" * 2_001), InvalidInput),
        (RetryTask(new_id(), 1), NotFound),
    ]
    for command, error in cases:
        with pytest.raises(error):
            await run(database, retry_task, ADMIN, command)
    assert await count(database, event_log) == before


async def test_a_task_of_an_ended_workflow_stays_as_it_is(database: Database) -> None:
    await an_agent(database)
    execution = await an_execution(database)
    failed = await a_failed_task(database, execution_id=execution.execution_id)
    statement = (
        update(workflow_executions)
        .where(workflow_executions.c.execution_id == execution.execution_id)
        .values(execution_status="failed")
    )
    await database.transact(lambda session: session.execute(statement))
    with pytest.raises(Blocked, match="FAILED"):
        await run(database, retry_task, ADMIN, RetryTask(failed.task_id, failed.version))
    assert (await row_of(database, tasks, task_id=failed.task_id)).status == "failed"


@pytest.mark.parametrize("status", ["pending", "assigned", "running", "failed"])
async def test_whatever_is_open_can_be_cancelled(database: Database, status: str) -> None:
    await an_agent(database)
    execution = await an_execution(database)
    options = {"execution_id": execution.execution_id}
    match status:
        case "pending":
            task = await a_task(database, **options)
        case "assigned":
            made = await a_task(database, **options)
            task = await run(database, claim_task, JAMES, ClaimTask("james-dev", made.task_id))
        case "running":
            task = await a_running_task(database, **options)
        case _:
            task = await a_failed_task(database, **options)
    assert task.status == status
    woken = (await row_of(database, workflow_executions, **options)).wake_seq
    cancelled = await run(database, cancel_task, ADMIN, CancelTask(task.task_id, task.version, "not needed"))
    assert (cancelled.status, cancelled.version) == ("cancelled", task.version + 1)
    assert cancelled.completed_at is not None
    assert (await events_of(database, task.task_id))[-1] == ("cancelled", status, "cancelled", cancelled.version)
    assert (await row_of(database, agents, agent_id="james-dev")).status == "idle"
    assert (await row_of(database, workflow_executions, **options)).wake_seq == woken + 1
    with pytest.raises(IllegalTransition, match="it is final"):
        await run(database, cancel_task, ADMIN, CancelTask(task.task_id, cancelled.version, "again"))


async def test_cancelling_needs_a_reason_and_the_present_version(database: Database) -> None:
    task = await a_task(database)
    for command, error in [
        (CancelTask(task.task_id, 1, " "), InvalidInput),
        (CancelTask(task.task_id, 1, "x" * 2_001), InvalidInput),
        (CancelTask(task.task_id, 2, "x"), StaleVersion),
        (CancelTask(new_id(), 1, "x"), NotFound),
    ]:
        with pytest.raises(error):
            await run(database, cancel_task, ADMIN, command)
    assert (await row_of(database, tasks, task_id=task.task_id)).version == 1


async def test_a_task_that_is_created_while_its_workflow_is_cancelled_does_not_outlive_it(database: Database) -> None:
    execution = await an_execution(database)
    made, go_on = asyncio.Event(), asyncio.Event()

    async def make(session: Any) -> None:
        await create_task(session, ADMIN, CreateTask("late", execution_id=execution.execution_id))
        made.set()
        await go_on.wait()

    making = asyncio.create_task(database.transact(make))
    await made.wait()
    cancel = CancelWorkflow(execution.execution_id, execution.version, "enough")
    cancelling = asyncio.create_task(run(database, cancel_workflow, ADMIN, cancel))
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(making, cancelling)
    assert (await row_of(database, tasks, execution_id=execution.execution_id)).status == "cancelled"
