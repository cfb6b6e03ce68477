"""Executions as a queue: what is runnable, who has the lease, and the fence that every write of a worker checks.

A row is runnable while `wake_seq > handled_seq`, and from `wake_at` on, which a claim turns into a wake-up. A claim
takes the lease and a new fencing number; whoever had the lease before fails the check of the fence at its next write,
however long it slept.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.domain.workflows import EXECUTION_MACHINE, RUNNABLE, ExecutionStatus
from db.tables.workflows import workflow_executions as executions
from db.tables.workflows import workflow_steps as steps

# written out and not bound, so that a generic plan can still prove that a partial index fits
IS_RUNNABLE = and_(
    executions.c.execution_status.in_(literal_column(f"'{status.value}'") for status in RUNNABLE),
    # one that waits for its turn is woken by whoever ends the one before it
    executions.c.queued_at.is_(None),
)
UNFINISHED = [
    status.value
    for status in ExecutionStatus
    if status is not ExecutionStatus.FAILED and not EXECUTION_MACHINE.is_final(status)
]


def _ahead(seconds: ColumnElement[float]) -> Any:
    """The time in so many seconds, by the database's clock."""
    return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


# the moment of the statement, which an index can be searched for
IS_DUE = executions.c.wake_at <= func.statement_timestamp()


def _claim_statement() -> ReturningUpdate[Any]:
    free = or_(executions.c.lease_until.is_(None), executions.c.lease_until < func.clock_timestamp())
    woken = _claimable(executions.c.wake_seq > executions.c.handled_seq, free, order=executions.c.execution_id)
    due = _claimable(IS_DUE, free, order=executions.c.wake_at).cte("due")
    runnable = union(select(woken.cte("runnable").c.execution_id), select(due.c.execution_id)).subquery()
    leased = {
        "lease_owner": bindparam("new_owner"),
        "lease_until": _ahead(bindparam("seconds", type_=Float)),
        "fence": executions.c.fence + 1,
        "wake_seq": case((IS_DUE, executions.c.wake_seq + 1), else_=executions.c.wake_seq),
        "wake_at": case((IS_DUE, null()), else_=executions.c.wake_at),
    }
    return (
        update(executions)
        .where(executions.c.execution_id.in_(select(runnable.c.execution_id).limit(bindparam("most", type_=Integer))))
        .values(**leased)
        .returning(*executions.c)
    )


def _claimable(condition: ColumnElement[bool], free: ColumnElement[bool], order: ColumnElement[Any]) -> Select[Any]:
    return (
        select(executions.c.execution_id)
        .where(condition, IS_RUNNABLE, free)
        .order_by(order)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(key_share=True, skip_locked=True)
    )


# built once: these two are what a worker asks most
CLAIM = _claim_statement()
HOLD = (
    select(executions.c.execution_id)
    .where(executions.c.execution_id == bindparam("held_id"), executions.c.fence == bindparam("held_fence"))
    .with_for_update(key_share=True)
)


async def wake(connection: AsyncConnection, execution_id: UUID) -> None:
    """Make the execution runnable, unless it has ended. Call it late: executions are locked after all other rows."""
    statement = (
        update(executions)
        .where(executions.c.execution_id == execution_id)
        .where(executions.c.execution_status == func.any(literal(UNFINISHED, ARRAY(Text))))
        .values(wake_seq=executions.c.wake_seq + 1, last_activity=func.clock_timestamp())
    )
    await connection.execute(statement)


async def claim(connection: AsyncConnection, owner: str, lease_seconds: float, limit: int) -> Sequence[Row[Any]]:
    """Take the lease of up to `limit` runnable executions that nobody has, the oldest; the rows as they are now.

    Rows that others are claiming or changing are passed over; whoever changes one wakes it again or is asked again.
    """
    given = {"new_owner": owner, "seconds": lease_seconds, "most": limit}
    rows: Sequence[Row[Any]] = (await connection.execute(CLAIM, given)).all()
    return rows


async def renew(connection: AsyncConnection, held: Mapping[UUID, int], lease_seconds: float) -> set[UUID]:
    """Prolong the leases, given as fences by execution; the executions whose fence still holds."""
    pairs = select(
        func.unnest(literal(list(held), ARRAY(PG_UUID(as_uuid=True)))).label("execution_id"),
        func.unnest(literal(list(held.values()), ARRAY(BigInteger))).label("fence"),
    ).cte("held")
    statement = (
        update(executions)
        .where(executions.c.execution_id == pairs.c.execution_id, executions.c.fence == pairs.c.fence)
        .where(executions.c.lease_until.is_not(None))
        .values(lease_until=_ahead(literal(lease_seconds, Float)))
        .returning(executions.c.execution_id)
    )
    return set((await connection.execute(statement)).scalars())


async def release(connection: AsyncConnection, execution_id: UUID, fence: int, handled_seq: int | None) -> bool:
    """Give the lease back; wakes up to `handled_seq` are done with, None leaves them to the next worker.

    False, and nothing changed, when the fence no longer holds.
    """
    values: dict[str, Any] = {"lease_owner": None, "lease_until": None}
    if handled_seq is not None:
        values["handled_seq"] = func.greatest(executions.c.handled_seq, handled_seq)
    return await _change_fenced(connection, execution_id, fence, values)


async def postpone(connection: AsyncConnection, execution_id: UUID, fence: int, seconds: float) -> bool:
    """Keep the lease for so long and let nobody work on it; then it is runnable again. False if it is not ours.

    The fence is given up with it, lest a renewal that is under way prolongs the lease.
    """
    values = {"lease_until": _ahead(literal(seconds, Float)), "fence": executions.c.fence + 1}
    return await _change_fenced(connection, execution_id, fence, values, executions.c.lease_owner.is_not(None))


async def arm(connection: AsyncConnection, execution_id: UUID, step_number: int, seconds: float) -> None:
    """Wake the execution so many seconds after the step began, or, once it has ended, after its end.

    The execution is held. A timer that was set before is replaced.
    """
    await connection.execute(
        update(executions)
        .where(executions.c.execution_id == execution_id)
        .values(wake_at=_moment_of_step(execution_id, step_number, seconds))
    )


async def disarm(connection: AsyncConnection, execution_id: UUID) -> None:
    """Take back the timer of an execution, which is held."""
    await connection.execute(update(executions).where(executions.c.execution_id == execution_id).values(wake_at=None))


async def is_over(connection: AsyncConnection, execution_id: UUID, step_number: int, seconds: float) -> bool:
    """Whether so many seconds have passed since the step began, or, once it has ended, since its end."""
    moment = _moment_of_step(execution_id, step_number, seconds)
    return bool((await connection.execute(select(moment <= func.clock_timestamp()))).scalar())


def _moment_of_step(execution_id: UUID, step_number: int, seconds: float) -> Any:
    begun = select(func.coalesce(steps.c.completed_at, steps.c.started_at)).where(
        steps.c.execution_id == execution_id, steps.c.step_number == step_number
    )
    return begun.scalar_subquery() + func.make_interval(0, 0, 0, 0, 0, 0, literal(seconds, Float))


async def arm_at(connection: AsyncConnection, execution_id: UUID, moment: datetime) -> None:
    """Wake the execution at this time, unless a timer of it is earlier. It is held."""
    await connection.execute(
        update(executions)
        .where(executions.c.execution_id == execution_id)
        .values(wake_at=func.least(executions.c.wake_at, moment))
    )


async def has_come(connection: AsyncConnection, moment: datetime) -> bool:
    """Whether this time has come, by the database's clock."""
    return bool((await connection.execute(select(literal(moment) <= func.clock_timestamp()))).scalar())


async def hold_fence(connection: AsyncConnection, execution_id: UUID, fence: int) -> bool:
    """Lock the execution until the transaction ends; False when the fence no longer holds. Other locks come first."""
    return (await connection.execute(HOLD, {"held_id": execution_id, "held_fence": fence})).first() is not None


async def _change_fenced(
    connection: AsyncConnection,
    execution_id: UUID,
    fence: int,
    values: Mapping[str, Any],
    *conditions: ColumnElement[bool],
) -> bool:
    statement = (
        update(executions)
        .where(executions.c.execution_id == execution_id, executions.c.fence == fence, *conditions)
        .values(**values)
        .returning(executions.c.execution_id)
    )
    return (await connection.execute(statement)).first() is not None
