"""Tasks: which one an agent may claim, what an agent holds, what is still open."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Text, and_, bindparam, exists, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.tasks import HELD, TASK_MACHINE, TaskStatus
from db.tables.decisions import decisions
from db.tables.tasks import task_progress, tasks
from db.tables.workflows import workflow_executions

HELD_VALUES = [status.value for status in HELD]
OPEN_VALUES = [status.value for status in TaskStatus if not TASK_MACHINE.is_final(status)]


def _dependencies_open() -> Any:
    needed = tasks.alias("needed")
    return exists(
        select(needed.c.task_id).where(
            and_(needed.c.task_id == func.any(tasks.c.depends_on), needed.c.status != TaskStatus.COMPLETED.value)
        )
    )


async def next_claimable(
    connection: AsyncConnection, agent_id: str, role: str, capabilities: Sequence[str], task_id: UUID | None = None
) -> Row[Any] | None:
    """Lock and return the pending task that fits agent, role and capabilities and is first; None when there is none.

    First is what has the lowest `priority`, of those the oldest. What waits for a person is not offered. A task that
    another transaction is claiming is passed over, so that no two agents wait for each other.
    """
    statement = claimable(agent_id, role, capabilities).with_for_update(key_share=True, skip_locked=True, of=tasks)
    if task_id is not None:
        statement = statement.where(tasks.c.task_id == task_id)
    found: Row[Any] | None = (await connection.execute(statement)).first()
    return found


def claimable(agent_id: str, role: str, capabilities: Sequence[str]) -> Select[Any]:
    """The first task that such an agent may claim. The index gives them in order, so that the search ends at it."""
    return (
        select(tasks)
        .where(
            # as the index ix_tasks_claimable has it, which gives them in order
            text("status = 'pending' AND escalated_at IS NULL"),
            or_(tasks.c.required_role.is_(None), tasks.c.required_role == role),
            or_(tasks.c.required_agent_id.is_(None), tasks.c.required_agent_id == agent_id),
            tasks.c.required_capabilities.contained_by(literal(list(capabilities), ARRAY(Text))),
            ~_dependencies_open(),
        )
        .order_by(tasks.c.priority, tasks.c.task_id)
        .limit(1)
    )


async def has_open_dependencies(connection: AsyncConnection, task_id: UUID) -> bool:
    """Whether a task that this one depends on is not completed yet."""
    statement = select(_dependencies_open()).select_from(tasks).where(tasks.c.task_id == task_id)
    return bool((await connection.execute(statement)).scalar())


async def count_held(connection: AsyncConnection, agent_id: str) -> int:
    """How many tasks the agent has at hand."""
    statement = select(func.count()).where(
        tasks.c.assigned_agent_id == agent_id, tasks.c.status == func.any(literal(HELD_VALUES, ARRAY(Text)))
    )
    return int((await connection.execute(statement)).scalar_one())


async def held_by(connection: AsyncConnection, agent_ids: Collection[str]) -> Sequence[Row[Any]]:
    """The tasks that the agents have at hand, locked, in the order of their ids."""
    return (
        await connection.execute(
            select(tasks)
            .where(
                tasks.c.assigned_agent_id == func.any(literal(list(agent_ids), ARRAY(Text))),
                tasks.c.status == func.any(literal(HELD_VALUES, ARRAY(Text))),
            )
            .order_by(tasks.c.task_id)
            .with_for_update(key_share=True)
        )
    ).all()


async def open_of_execution(connection: AsyncConnection, execution_id: UUID) -> Sequence[Row[Any]]:
    """The tasks of an execution that are not completed or cancelled, locked, in the order of their ids."""
    return (
        await connection.execute(
            select(tasks)
            .where(tasks.c.execution_id == execution_id, tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))))
            .order_by(tasks.c.task_id)
            .with_for_update(key_share=True)
        )
    ).all()


async def open_of_phase(connection: AsyncConnection, execution_id: UUID, phase: str) -> Sequence[Row[Any]]:
    """Those that its phase has made, in any of its passes; locked, in the order of their ids."""
    return (
        await connection.execute(
            select(tasks)
            .where(
                tasks.c.execution_id == execution_id,
                tasks.c.phase == phase,
                tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))),
            )
            .order_by(tasks.c.task_id)
            .with_for_update(key_share=True)
        )
    ).all()


async def pending_dependants(connection: AsyncConnection, task_id: UUID) -> Sequence[Row[Any]]:
    """The pending tasks that wait for this one, locked, in the order of their ids."""
    waits = tasks.c.depends_on.contains(literal([task_id], ARRAY(PG_UUID)))
    statement = select(tasks).where(waits, tasks.c.status == TaskStatus.PENDING.value).order_by(tasks.c.task_id)
    return (await connection.execute(statement.with_for_update(key_share=True))).all()


async def has_decision(connection: AsyncConnection, decision_id: UUID) -> bool:
    """Whether there is such a decision."""
    found = await connection.execute(select(decisions.c.decision_id).where(decisions.c.decision_id == decision_id))
    return found.first() is not None


async def status_of_execution(connection: AsyncConnection, execution_id: UUID) -> str | None:
    """The execution's status, which stays as it is until the transaction ends; None when there is no such execution."""
    executions = workflow_executions.c
    statement = select(executions.execution_status).where(executions.execution_id == execution_id)
    status: str | None = (await connection.execute(statement.with_for_update(read=True))).scalar()
    return status


async def missing_tasks(connection: AsyncConnection, task_ids: Collection[UUID]) -> set[UUID]:
    """Those of the ids that name no task."""
    found = await connection.execute(
        select(tasks.c.task_id).where(tasks.c.task_id == func.any(literal(list(task_ids), ARRAY(PG_UUID))))
    )
    return set(task_ids) - set(found.scalars())


# Rows are inserted in the order given, since the trigger tasks_depend_on_tasks looks for what each depends on.
INSERT_TASKS = (
    text(
        """
        WITH given AS (
            SELECT * FROM ROWS FROM (jsonb_to_recordset(:rows) AS (
                task_id uuid, title text, description text, decision_id uuid, execution_id uuid, required_role text,
                required_capabilities text[], complexity int, depends_on uuid[], input jsonb, priority int,
                timeout_seconds int)) WITH ORDINALITY
        ), changed AS (
            INSERT INTO tasks (task_id, title, description, decision_id, execution_id, required_role,
                required_capabilities, complexity, depends_on, input, priority, timeout_seconds)
            SELECT task_id, title, description, decision_id, execution_id, required_role,
                required_capabilities, complexity, depends_on, input, priority, timeout_seconds
            FROM given ORDER BY ordinality
            RETURNING *
        ), logged AS (
            INSERT INTO event_log
                (retention, aggregate, entity_id, event_type, from_status, to_status, version, actor, detail)
            SELECT 'audit', 'task', changed.task_id::text, 'created', NULL, changed.status, changed.version, :actor,
                jsonb_build_object('execution_id', changed.execution_id, 'decision_id', changed.decision_id)
            FROM changed JOIN given USING (task_id) ORDER BY ordinality
        )
        SELECT changed.* FROM changed JOIN given USING (task_id) ORDER BY ordinality
        """
    )
    .bindparams(bindparam("rows", type_=JSONB))
    .columns(**{column.name: column.type for column in tasks.c})
)


async def insert_tasks(
    connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], actor: str
) -> Sequence[Row[Any]]:
    """Insert tasks of kind work, each with its event, in one statement; the rows, in the order given.

    A task comes after those that it depends on.
    """
    return (await connection.execute(INSERT_TASKS, {"rows": [dict(row) for row in rows], "actor": actor})).all()


async def write_progress(connection: AsyncConnection, task_id: UUID, percent: float | None, message: str) -> None:
    """Keep the latest progress of a task; it is no change of the task's version."""
    values = {"percent": percent, "message": message, "reported_at": func.clock_timestamp()}
    statement = upsert(task_progress).values(task_id=task_id, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["task_id"], set_=values))
