"""How a task ends without an answer, or begins again after it failed: cancel, retry."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import StaleVersion
from app.domain.principals import Principal
from app.domain.rules import clean_text, required_text
from app.domain.tasks import HELD, REASON_MAX, TaskStatus, require_retryable
from app.services.tasks import UNESCALATED, cancel_dependants, let_go, require_unended, task_detail
from app.services.workload import follow_load
from db.queries import tasks as queries
from db.queries.changes import amend, read, transition
from db.queries.entities import TASK


@dataclass(frozen=True)
class RetryTask:
    """The work is to be tried again."""

    task_id: UUID
    expected_version: int
    reason: str = ""


async def retry_task(session: AsyncConnection, principal: Principal, command: RetryTask) -> Row[Any]:
    """Failed → pending, free for any agent that fits; `failures` stays, what the failed attempt left goes.

    What waits for a person because it came back too often is offered again, and may come back as often anew.
    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`; `Blocked` while an agent holds it, or when
    its execution has ended.
    """
    reason = clean_text("reason", command.reason, REASON_MAX)
    task = await read(session, TASK, command.task_id, lock=True)
    if task.version != command.expected_version:
        raise StaleVersion(TASK.kind, task.task_id, command.expected_version, task.version)
    require_retryable(TaskStatus(task.status), escalated=task.escalated_at is not None)
    counted = {"failures": task.failures, "max_failures": task.max_failures}
    detail = task_detail(task) | counted | {"reason": reason}
    anew = {**UNESCALATED, "releases": 0}
    if TaskStatus(task.status) is TaskStatus.PENDING:
        retried = await amend(session, TASK, task.task_id, "retried", principal.name, values=anew, detail=detail)
    else:
        retried = await transition(
            session,
            TASK,
            task.task_id,
            TaskStatus.PENDING,
            "retried",
            principal.name,
            values=anew | {"assigned_agent_id": None, "started_at": None, "completed_at": None, "result": None},
            detail=detail,
        )
    await let_go(session, principal.name, task)
    if task.execution_id is not None:
        await require_unended(session, task.execution_id)
    return retried


@dataclass(frozen=True)
class CancelTask:
    """Nobody needs the task any more."""

    task_id: UUID
    expected_version: int
    reason: str


async def cancel_task(session: AsyncConnection, principal: Principal, command: CancelTask) -> Row[Any]:
    """Any status that is not final → cancelled; its holder's status follows, its execution looks again.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    reason = required_text("reason", command.reason, REASON_MAX)
    task = await read(session, TASK, command.task_id, lock=True)
    cancelled = await _cancel(session, task, principal.name, reason, command.expected_version)
    waiting = await cancel_dependants(session, cancelled, principal.name)
    await let_go(session, principal.name, task, waiting)
    return cancelled


async def cancel_open_tasks(
    session: AsyncConnection, execution_id: UUID, actor: str, reason: str, phase: str | None = None
) -> list[str]:
    """Cancel the open tasks of an execution, or of a phase of it; the agents that held some, whose status then follows
    their load.
    """
    found = await queries.open_of_execution(session, execution_id)
    open_tasks = [task for task in found if phase is None or task.phase == phase]
    for task in open_tasks:
        await _cancel(session, task, actor, reason)
    holders = sorted({task.assigned_agent_id for task in open_tasks if TaskStatus(task.status) in HELD})
    for agent_id in holders:
        await follow_load(session, agent_id, actor)
    return holders


async def _cancel(
    session: AsyncConnection, task: Row[Any], actor: str, reason: str, expected_version: int | None = None
) -> Row[Any]:
    return await transition(
        session,
        TASK,
        task.task_id,
        TaskStatus.CANCELLED,
        "cancelled",
        actor,
        expected_version=expected_version,
        values={"completed_at": func.clock_timestamp(), **UNESCALATED},
        detail=task_detail(task) | {"reason": reason},
    )
