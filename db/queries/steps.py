"""Steps of executions, the tasks that a step makes, and the errors that are logged."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Select,
    Text,
    and_,
    cast,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate, Retention
from app.domain.ids import new_id
from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import TaskStatus
from app.domain.workflows import ErrorSeverity, StepStatus
from db.queries.changes import EVENT_COLUMNS
from db.queries.tasks import OPEN_VALUES
from db.tables.events import event_log
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors, workflow_steps

JOINED_COLUMNS = (
    tasks.c.task_id,
    tasks.c.task_name,
    tasks.c.task_kind,
    tasks.c.title,
    tasks.c.status,
    tasks.c.execution_id,
    tasks.c.decision_id,
    tasks.c.phase,
    tasks.c.assigned_agent_id,
    tasks.c.failures,
    tasks.c.max_failures,
    tasks.c.version,
    func.left(tasks.c.result["error"].astext, 500).label("error"),
)
"""What a phase judges its tasks by; results, which may be large, stay where they are."""

SENT_BACK = [ApprovalStatus.REQUIRES_REVISION.value, ApprovalStatus.REJECTED.value]


async def find_step(connection: AsyncConnection, execution_id: UUID, step_number: int) -> Row[Any] | None:
    """One step by its number."""
    statement: Select[Any] = select(workflow_steps).where(
        workflow_steps.c.execution_id == execution_id, workflow_steps.c.step_number == step_number
    )
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def latest_step(connection: AsyncConnection, execution_id: UUID) -> Row[Any] | None:
    """The step with the highest number, or None before the first."""
    statement: Select[Any] = (
        select(workflow_steps)
        .where(workflow_steps.c.execution_id == execution_id)
        .order_by(workflow_steps.c.step_number.desc())
        .limit(1)
    )
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def latest_failure(connection: AsyncConnection, execution_id: UUID) -> Row[Any] | None:
    """`phase`, `attempt` and `reason` of the last pass that failed, or None."""
    statement: Select[Any] = (
        select(
            workflow_steps.c.phase, workflow_steps.c.attempt, workflow_steps.c.outcome["reason"].astext.label("reason")
        )
        .where(
            workflow_steps.c.execution_id == execution_id,
            workflow_steps.c.step_status == StepStatus.FAILED.value,
        )
        .order_by(workflow_steps.c.step_number.desc())
        .limit(1)
    )
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def last_round(connection: AsyncConnection, execution_id: UUID, phase: str) -> int:
    """How often the loop has gone back in a row, as its latest completed pass says; 0 before, and after it went on."""
    statement = (
        select(workflow_steps.c.outcome["round"].as_integer())
        .where(
            workflow_steps.c.execution_id == execution_id,
            workflow_steps.c.phase == phase,
            workflow_steps.c.step_status == StepStatus.COMPLETED.value,
        )
        .order_by(workflow_steps.c.attempt.desc())
        .limit(1)
    )
    return int((await connection.execute(statement)).scalar() or 0)


async def last_numbers(connection: AsyncConnection, execution_id: UUID, phase: str) -> tuple[int, int]:
    """The number of the latest step of all, and of the latest attempt of the phase; 0 where there is none."""
    # two looks into two indexes, not one at all steps
    of_execution = workflow_steps.c.execution_id == execution_id
    statement = select(
        select(func.coalesce(func.max(workflow_steps.c.step_number), 0)).where(of_execution).scalar_subquery(),
        select(func.coalesce(func.max(workflow_steps.c.attempt), 0))
        .where(of_execution, workflow_steps.c.phase == phase)
        .scalar_subquery(),
    )
    step_number, attempt = (await connection.execute(statement)).one()
    return step_number, attempt


async def begin_step(
    connection: AsyncConnection, execution_id: UUID, step_number: int, phase: str, attempt: int
) -> None:
    """Store a running step. It starts no earlier than the ones before it, even where the clock was set back."""
    earlier = workflow_steps.alias("earlier")
    # the last step started latest, and is found by the index on its number however many there are
    latest_start = (
        select(earlier.c.started_at)
        .where(earlier.c.execution_id == execution_id)
        .order_by(earlier.c.step_number.desc())
        .limit(1)
        .scalar_subquery()
    )
    values = {
        "step_id": new_id(),
        "execution_id": execution_id,
        "step_number": step_number,
        "phase": phase,
        "attempt": attempt,
        "started_at": func.greatest(func.clock_timestamp(), latest_start),
    }
    await connection.execute(insert(workflow_steps).values(**values))


async def end_step(
    connection: AsyncConnection, execution_id: UUID, step_number: int, status: StepStatus, outcome: Mapping[str, Any]
) -> bool:
    """Complete or fail a running step; False for one that has ended, which stays as it is."""
    statement = (
        update(workflow_steps)
        .where(
            workflow_steps.c.execution_id == execution_id,
            workflow_steps.c.step_number == step_number,
            workflow_steps.c.step_status == StepStatus.RUNNING.value,
        )
        .values(
            step_status=status.value,
            outcome=dict(outcome),
            completed_at=func.greatest(func.clock_timestamp(), workflow_steps.c.started_at),
        )
        .returning(workflow_steps.c.step_id)
    )
    return (await connection.execute(statement)).first() is not None


async def skip_step(
    connection: AsyncConnection, execution_id: UUID, step_number: int, outcome: Mapping[str, Any]
) -> Row[Any] | None:
    """End a step that is running or has failed as skipped, with this beside what it left; None if it is neither."""
    statement = (
        update(workflow_steps)
        .where(
            workflow_steps.c.execution_id == execution_id,
            workflow_steps.c.step_number == step_number,
            or_(
                workflow_steps.c.step_status == StepStatus.RUNNING.value,
                workflow_steps.c.step_status == StepStatus.FAILED.value,
            ),
        )
        .values(
            step_status=StepStatus.SKIPPED.value,
            outcome=func.coalesce(workflow_steps.c.outcome, literal({}, JSONB)).concat(literal(dict(outcome), JSONB)),
            completed_at=func.greatest(func.clock_timestamp(), workflow_steps.c.started_at),
        )
        .returning(*workflow_steps.c)
    )
    return (await connection.execute(statement)).first()


async def copy_steps(connection: AsyncConnection, source_id: UUID, execution_id: UUID, before: int) -> int:
    """Give an execution the steps of another with lower numbers than `before`, each with who did it; how many."""
    steps, names = workflow_steps.c, ["step_number", "phase", "attempt", "step_status", "outcome", "started_at"]
    copied = [*names, "completed_at"]
    found = (
        select(
            func.gen_random_uuid(),
            literal(execution_id, PG_UUID(as_uuid=True)),
            func.coalesce(steps.source_execution_id, steps.execution_id),
            *[steps[name] for name in copied],
        )
        .where(steps.execution_id == source_id, steps.step_number < before)
        .order_by(steps.step_number)
    )
    columns = ["step_id", "execution_id", "source_execution_id", *copied]
    return (await connection.execute(insert(workflow_steps).from_select(columns, found))).rowcount


async def completed_tasks_of(
    connection: AsyncConnection, execution_id: UUID, phase: str, attempt: int
) -> Sequence[Row[Any]]:
    """The completed tasks of one pass through a phase, locked, in the order of their ids."""
    statement: Select[Any] = (
        select(tasks)
        .where(
            tasks.c.execution_id == execution_id,
            tasks.c.phase == phase,
            tasks.c.phase_attempt == attempt,
            tasks.c.status == TaskStatus.COMPLETED.value,
        )
        .order_by(tasks.c.task_id)
        .with_for_update(key_share=True)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def create_tasks(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], actor: str) -> None:
    """Insert tasks, each with its event `created`, in one statement. All rows have the same keys."""
    changed = insert(tasks).values([dict(row) for row in rows]).returning(*tasks.c).cte("changed")
    detail = func.jsonb_build_object(
        "execution_id", changed.c.execution_id, "decision_id", changed.c.decision_id, "agent_id", None,
        "phase", changed.c.phase, "task_name", changed.c.task_name,
    )  # fmt: skip
    logged = insert(event_log).from_select(
        EVENT_COLUMNS,
        select(
            changed.c.event_xid,
            literal(Retention.AUDIT.value),
            literal(Aggregate.TASK.value),
            cast(changed.c.task_id, Text),
            literal("created"),
            literal(None, Text),
            changed.c.status,
            changed.c.version,
            literal(actor),
            detail,
        ).order_by(changed.c.task_id),
    )
    await connection.execute(select(func.count()).select_from(changed).add_cte(logged.cte("logged")))


async def tasks_of_phase(
    connection: AsyncConnection, execution_id: UUID, phase: str, attempt: int
) -> Sequence[Row[Any]]:
    """The tasks of one pass through a phase (`JOINED_COLUMNS`), in the order of their ids."""
    statement: Select[Any] = (
        select(*JOINED_COLUMNS)
        .where(tasks.c.execution_id == execution_id, tasks.c.phase == phase, tasks.c.phase_attempt == attempt)
        .order_by(tasks.c.task_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def open_tasks_of_gate(connection: AsyncConnection, gate_id: UUID) -> Sequence[Row[Any]]:
    """The open tasks about a gate (`JOINED_COLUMNS`), in the order of their ids."""
    statement: Select[Any] = (
        select(*JOINED_COLUMNS)
        .where(tasks.c.gate_id == gate_id, tasks.c.status == func.any(literal(OPEN_VALUES, ARRAY(Text))))
        .order_by(tasks.c.task_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def completed_steps(connection: AsyncConnection, execution_id: UUID, phases: Sequence[str]) -> Sequence[Row[Any]]:
    """The latest pass through each of the phases that was completed or skipped: `phase`, `attempt`, `step_number`,
    `step_status`, `outcome`, and in `source_execution_id` the execution that has its rows.
    """
    done_by = func.coalesce(workflow_steps.c.source_execution_id, workflow_steps.c.execution_id)
    statement: Select[Any] = (
        select(
            workflow_steps.c.phase,
            workflow_steps.c.attempt,
            workflow_steps.c.step_number,
            workflow_steps.c.step_status,
            workflow_steps.c.outcome,
            done_by.label("source_execution_id"),
        )
        .ext(distinct_on(workflow_steps.c.phase))
        .where(
            workflow_steps.c.execution_id == execution_id,
            workflow_steps.c.phase == func.any(literal(list(phases), ARRAY(Text))),
            or_(
                workflow_steps.c.step_status == StepStatus.COMPLETED.value,
                workflow_steps.c.step_status == StepStatus.SKIPPED.value,
            ),
        )
        .order_by(workflow_steps.c.phase, workflow_steps.c.attempt.desc())
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def task_results(
    connection: AsyncConnection, execution_id: UUID, passes: Sequence[tuple[str, int]]
) -> Sequence[Row[Any]]:
    """`phase`, `task_name` and `result` of the completed tasks of these passes, each a phase with its attempt."""
    wanted = [and_(tasks.c.phase == phase, tasks.c.phase_attempt == attempt) for phase, attempt in passes]
    statement: Select[Any] = (
        select(tasks.c.phase, tasks.c.task_name, tasks.c.result)
        .where(tasks.c.execution_id == execution_id, or_(*wanted), tasks.c.status == TaskStatus.COMPLETED.value)
        .order_by(tasks.c.task_id)
    )
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def log_error(
    connection: AsyncConnection,
    execution_id: UUID,
    phase: str | None,
    severity: ErrorSeverity,
    message: str,
    detail: Mapping[str, Any],
) -> UUID:
    """Store an error of the execution; its id."""
    error_id = new_id()
    values = {
        "error_id": error_id,
        "execution_id": execution_id,
        "phase": phase,
        "severity": severity.value,
        "message": message,
        "detail": dict(detail),
    }
    await connection.execute(insert(workflow_errors).values(**values))
    return error_id


async def count_defects(connection: AsyncConnection, execution_id: UUID, step_number: int) -> int:
    """How many unexpected errors were logged since this step began (before any for step 0) and since the last failure.

    A failure of the execution leaves an error that is critical or no defect: after a retry the count begins anew.
    """
    earlier = workflow_errors.alias("earlier")
    last_failure = (
        select(func.max(earlier.c.created_at))
        .where(
            earlier.c.execution_id == execution_id,
            or_(
                earlier.c.severity == ErrorSeverity.CRITICAL.value,
                earlier.c.detail["defect_at_step"].is_(None),
            ),
        )
        .scalar_subquery()
    )
    statement = select(func.count()).where(
        workflow_errors.c.execution_id == execution_id,
        workflow_errors.c.detail["defect_at_step"].as_integer() == step_number,
        or_(last_failure.is_(None), workflow_errors.c.created_at > last_failure),
    )
    return int((await connection.execute(statement)).scalar_one())


async def latest_return(connection: AsyncConnection, execution_id: UUID, phase: str) -> dict[str, Any] | None:
    """The outcome of the latest gate that sent the work back since the phase was first passed through, or None.

    A gate sends back by asking for a revision, and also by a rejection after which the execution was retried.
    """
    first = workflow_steps.alias("first")
    first_pass = (
        select(func.min(first.c.step_number))
        .where(first.c.execution_id == execution_id, first.c.phase == phase)
        .scalar_subquery()
    )
    statement = (
        select(workflow_steps.c.outcome)
        .where(
            workflow_steps.c.execution_id == execution_id,
            workflow_steps.c.step_number > first_pass,
            workflow_steps.c.outcome["approval_status"].astext == func.any(literal(SENT_BACK, ARRAY(Text))),
        )
        .order_by(workflow_steps.c.step_number.desc())
        .limit(1)
    )
    found: dict[str, Any] | None = (await connection.execute(statement)).scalar()
    return found
