"""Concurrent starts of a workflow: allowed, refused, put in line, or in the place of those that run.

A template's `concurrency` says how many executions of a group may be under way, paused ones included. All starts of a
group are counted one after the other, behind its lock. Who waits for a turn is PENDING with `queued_at`, which workers
pass over; the end of another admits it, in the same transaction, by a trigger. Why: docs/adr/0031.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.concurrency import ConcurrencyPolicy, Limit
from app.domain.errors import AlreadyRunning
from app.domain.ids import new_id
from app.domain.principals import Principal
from app.domain.workflows import ACTIVE, ExecutionStatus
from app.services.task_ends import cancel_open_tasks
from db.queries.changes import amend, create, read, transition
from db.queries.entities import EXECUTION
from db.queries.turns import lock_group, members
from db.tables.workflows import workflow_executions

SHOWN = 5
EXECUTIONS = workflow_executions.c


async def begin_execution(
    session: AsyncConnection,
    principal: Principal,
    values: Mapping[str, Any],
    limit: Limit | None,
    detail: Mapping[str, Any],
) -> Row[Any]:
    """Store a pending execution, as far as its template lets more of them run. Raises `AlreadyRunning`."""
    values = {"execution_id": new_id(), **values}
    if limit is None:
        return await create(session, EXECUTION, values, "started", principal.name, detail)
    group = {"concurrency_key": limit.key, "concurrency_max": limit.most}
    turn = await _take_turn(session, principal, values["workflow_name"], limit)
    return await create(
        session, EXECUTION, {**values, **group, **turn}, "started", principal.name, {**detail, "queued": bool(turn)}
    )


async def require_turn(session: AsyncConnection, execution: Row[Any]) -> None:
    """Raise `AlreadyRunning` if an execution that has ended may not run again beside others that do, or wait to."""
    if execution.concurrency_key is None:
        return
    await lock_group(session, execution.workflow_name, execution.concurrency_key)
    others = await members(session, execution.workflow_name, execution.concurrency_key)
    if len(others) >= execution.concurrency_max:
        raise _already_running(execution.workflow_name, others, execution.concurrency_max)


async def _take_turn(
    session: AsyncConnection, principal: Principal, workflow_name: str, limit: Limit
) -> dict[str, Any]:
    """What marks an execution that has to wait; nothing for one that may run."""
    if limit.policy is ConcurrencyPolicy.REPLACE:
        # first of all, since their rows are locked before the group
        await _cancel(session, principal, _surplus(await members(session, workflow_name, limit.key), limit.most))
    await lock_group(session, workflow_name, limit.key)
    known = await members(session, workflow_name, limit.key)
    match limit.policy:
        case ConcurrencyPolicy.REPLACE:
            # those that came while we waited for the lock
            await _cancel(session, principal, _surplus(known, limit.most))
        case ConcurrencyPolicy.QUEUE:
            return await _queue(session, principal, known, limit.most)
        case ConcurrencyPolicy.REJECT if len(known) >= limit.most:
            raise _already_running(workflow_name, known, limit.most)
        case _:
            pass
    return {}


def _surplus(known: Sequence[Row[Any]], most: int) -> Sequence[Row[Any]]:
    """Those that make room for one more; those that only wait give way too."""
    running = [member for member in known if member.queued_at is None]
    waiting = [member for member in known if member.queued_at is not None]
    return [*running[: max(len(running) - most + 1, 0)], *waiting]


async def _cancel(session: AsyncConnection, principal: Principal, surplus: Sequence[Row[Any]]) -> None:
    reason = "replaced by a newer execution"
    for member in surplus:
        await cancel_open_tasks(session, member.execution_id, principal.name, reason)
    for member in surplus:
        if (
            ExecutionStatus((await read(session, EXECUTION, member.execution_id, lock=True)).execution_status)
            not in ACTIVE
        ):
            continue
        now = {"completed_at": func.clock_timestamp(), "last_activity": func.clock_timestamp()}
        taken = {"fence": EXECUTIONS.fence + 1, "lease_owner": null(), "lease_until": null()}
        await transition(
            session,
            EXECUTION,
            member.execution_id,
            ExecutionStatus.CANCELLED,
            "cancelled",
            principal.name,
            values={**now, **taken},
            detail={"reason": reason},
        )
        # as for any cancellation: a worker may have added tasks meanwhile
        await cancel_open_tasks(session, member.execution_id, principal.name, reason)


async def _queue(
    session: AsyncConnection, principal: Principal, known: Sequence[Row[Any]], most: int
) -> dict[str, Any]:
    """Behind those that wait. Where more may run than did, because the template was changed, they go first."""
    waiting = [member for member in known if member.queued_at is not None]
    room = most - (len(known) - len(waiting))
    for member in waiting[: max(room, 0)]:
        await amend(session, EXECUTION, member.execution_id, "admitted", principal.name, values={"queued_at": None})
    return {} if room > len(waiting) else {"queued_at": func.clock_timestamp()}


def _already_running(workflow_name: str, others: Sequence[Row[Any]], most: int) -> AlreadyRunning:
    ids = [str(other.execution_id) for other in others]
    shown = ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
    return AlreadyRunning(
        f"At most {most} of {workflow_name!r} may be under way at once: {shown}. Nothing was changed; wait for the end "
        "of one, or cancel it.",
        ids,
    )
