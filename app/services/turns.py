"""Concurrent starts of a workflow: allowed, refused, put in line, or in the place of those that run.

A template's `concurrency` says how many executions of a group may be under way, paused ones included. Starts of a group
come one after the other. Who waits for a turn is PENDING with `queued_at`, which workers pass over; the end of another
admits it, in the same transaction, by a trigger. Why: docs/adr/0031.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.concurrency import ConcurrencyPolicy, Limit
from app.domain.errors import AlreadyRunning
from app.domain.ids import new_id
from app.domain.principals import Principal
from app.domain.workflows import ExecutionStatus
from app.services.task_ends import cancel_open_tasks
from db.queries.changes import amend, create, transition
from db.queries.checkpoints import prune
from db.queries.entities import EXECUTION
from db.queries.turns import hold_running, lock_starts, running, waiting
from db.tables.workflows import workflow_executions

SHOWN = 5
WAITING_MAX = 10_000
"""As many that wait are cancelled with what they waited for."""
REPLACED = "replaced by a newer execution"
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
    name, key = execution.workflow_name, execution.concurrency_key
    if key is None:
        return
    await lock_starts(session, name, key)
    others = [*await running(session, name, key), *await waiting(session, name, key, execution.concurrency_max)]
    if len(others) >= execution.concurrency_max:
        raise _already_running(name, others, execution.concurrency_max)


async def _take_turn(
    session: AsyncConnection, principal: Principal, workflow_name: str, limit: Limit
) -> dict[str, Any]:
    """What marks an execution that has to wait; nothing for one that may run."""
    await lock_starts(session, workflow_name, limit.key)
    match limit.policy:
        case ConcurrencyPolicy.REPLACE:
            await _replace(session, principal, workflow_name, limit)
        case ConcurrencyPolicy.QUEUE:
            return await _queue(session, principal, workflow_name, limit)
        case _:
            known = await running(session, workflow_name, limit.key)
            known = [*known, *await waiting(session, workflow_name, limit.key, limit.most)]
            if len(known) >= limit.most:
                raise _already_running(workflow_name, known, limit.most)
    return {}


async def _replace(session: AsyncConnection, principal: Principal, workflow_name: str, limit: Limit) -> None:
    """Cancel the oldest, as many as make room for one more, and all that wait.

    Their tasks are locked before them, and all of them before the first is cancelled, as ends are counted then.
    """
    waits = await waiting(session, workflow_name, limit.key, WAITING_MAX)
    for member in [*_surplus(await running(session, workflow_name, limit.key), limit), *waits]:
        await cancel_open_tasks(session, member.execution_id, principal.name, REPLACED)
    known = await hold_running(session, workflow_name, limit.key)
    for member in [*await waiting(session, workflow_name, limit.key, WAITING_MAX), *_surplus(known, limit)]:
        await _cancel(session, principal, member.execution_id)


def _surplus(known: Sequence[Row[Any]], limit: Limit) -> Sequence[Row[Any]]:
    return known[: max(len(known) - limit.most + 1, 0)]


async def _cancel(session: AsyncConnection, principal: Principal, execution_id: UUID) -> None:
    now = {"completed_at": func.clock_timestamp(), "last_activity": func.clock_timestamp()}
    taken = {"fence": EXECUTIONS.fence + 1, "lease_owner": null(), "lease_until": null()}
    await transition(
        session,
        EXECUTION,
        execution_id,
        ExecutionStatus.CANCELLED,
        "cancelled",
        principal.name,
        values={**now, **taken},
        detail={"reason": REPLACED},
    )
    # as for any cancellation: a worker may have added tasks meanwhile
    await cancel_open_tasks(session, execution_id, principal.name, REPLACED)
    await prune(session, [str(execution_id)])


async def _queue(session: AsyncConnection, principal: Principal, workflow_name: str, limit: Limit) -> dict[str, Any]:
    """Behind those that wait. Where more may run than did, because the template was changed, they go first."""
    room = limit.most - len(await hold_running(session, workflow_name, limit.key))
    first = await waiting(session, workflow_name, limit.key, max(room, 1))
    for member in first[: max(room, 0)]:
        await amend(session, EXECUTION, member.execution_id, "admitted", principal.name, values={"queued_at": None})
    return {} if room > len(first) else {"queued_at": func.clock_timestamp()}


def _already_running(workflow_name: str, others: Sequence[Row[Any]], most: int) -> AlreadyRunning:
    ids = [str(other.execution_id) for other in others]
    shown = ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
    return AlreadyRunning(
        f"At most {most} of {workflow_name!r} may be under way at once: {shown}. Nothing was changed; wait for the end "
        "of one, or cancel it.",
        ids,
    )
