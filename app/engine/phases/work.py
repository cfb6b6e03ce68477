"""Tasks of a phase: made in one statement, tried again after a failure, joined when all are completed."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from app.domain.tasks import TaskKind, TaskStatus
from app.domain.template_parts import Phase
from app.domain.templates import TaskSpec, in_order
from app.engine.phases.base import ACTOR, Failed, Judgement, Visit, Waiting
from app.engine.phases.results import given_results
from app.engine.phases.revisions import revision_of
from app.engine.phases.values import failure_given
from app.engine.phases.withdrawal import task_detail
from db.queries.changes import transition
from db.queries.entities import TASK
from db.queries.phase_results import latest_decision_id
from db.queries.steps import create_tasks


async def ask(session: AsyncConnection, visit: Visit[Phase], rows: Sequence[dict[str, Any]]) -> None:
    """Store the tasks of a pass, if any; they belong to the latest decision of the execution."""
    if not rows:
        return
    execution = visit.execution
    decision_id = await latest_decision_id(session, execution.execution_id) or execution.decision_id
    shared = {
        "execution_id": execution.execution_id,
        "decision_id": decision_id,
        "phase": visit.phase.name,
        "phase_attempt": visit.attempt,
    }
    await create_tasks(session, [{"task_id": new_id(), **shared, **row} for row in rows], ACTOR)


async def work_rows(session: AsyncConnection, visit: Visit[Phase], tasks: Sequence[TaskSpec]) -> list[dict[str, Any]]:
    """Tasks of kind work, each with the results that it uses; in a repeated pass also with why it is repeated."""
    used = {name for task in tasks for name in task.uses}
    given = await given_results(session, visit.execution, used)
    why = {**await revision_of(session, visit), **await failure_given(session, visit.execution)}
    ids = {task.name: new_id() for task in in_order(tasks)}
    return [
        request(
            TaskKind.WORK,
            task.name,
            task.title,
            {
                **task.input,
                "context": visit.execution.context,
                **_of_these(given, task.uses),
                **why,
            },
            description=task.description,
            role=task.role,
            capabilities=task.capabilities,
            complexity=task.complexity,
            max_failures=task.max_failures,
        )
        | {
            "task_id": ids[task.name],
            "depends_on": [ids[name] for name in task.depends_on],
            "priority": task.priority,
            "timeout_seconds": task.timeout_seconds,
        }
        for task in in_order(tasks)
    ]


def _of_these(given: Mapping[str, Mapping[str, Any]], phases: Collection[str]) -> dict[str, dict[str, Any]]:
    """What of the results, and of the reasons why some were skipped, belongs to these phases."""
    chosen = {part: {name: told[name] for name in told if name in phases} for part, told in given.items()}
    return {part: told for part, told in chosen.items() if told or part == "results"}


def request(
    kind: TaskKind,
    name: str,
    title: str,
    given: dict[str, Any],
    *,
    description: str = "",
    role: str | None = None,
    capabilities: Iterable[str] = (),
    complexity: int = 5,
    max_failures: int = 3,
    gate_id: UUID | None = None,
) -> dict[str, Any]:
    """The columns of a new task; `given` is its input."""
    return {
        "task_kind": kind.value,
        "task_name": name,
        "title": title,
        "description": description,
        "required_role": role,
        "required_capabilities": list(capabilities),
        "complexity": complexity,
        "max_failures": max_failures,
        "gate_id": gate_id,
        "input": given,
    }


async def join(session: AsyncConnection, rows: Sequence[Row[Any]], least: int | None = None) -> Judgement | None:
    """None when `least` of the tasks, or all, are completed; otherwise `Waiting`, after failed ones were put back.

    A task that failed `max_failures` times, or was cancelled, is lost; `Failed` when too few are left.
    """
    least = len(rows) if least is None else least
    if sum(task.status == TaskStatus.COMPLETED.value for task in rows) >= least:
        return None
    lost = {task.task_id: reason for task in rows if (reason := _lost(task)) is not None}
    if len(rows) - len(lost) < least:
        return Failed(next(iter(lost.values()), f"There are {len(rows)} tasks, and {least} must be completed."))
    for task in rows:
        if task.status == TaskStatus.FAILED.value and task.task_id not in lost:
            await _try_again(session, task)
    return Waiting()


def _lost(task: Row[Any]) -> str | None:
    """Why the task will not be completed any more; None while it may."""
    status = TaskStatus(task.status)
    if status is TaskStatus.CANCELLED:
        return f"The task {task.title!r} was cancelled."
    if status is TaskStatus.FAILED and task.failures >= task.max_failures:
        times = "once" if task.failures == 1 else f"{task.failures} times"
        return f"The task {task.title!r} failed {times}, the last time with: {task.error or 'no reason'}"
    return None


async def _try_again(session: AsyncConnection, task: Row[Any]) -> None:
    await transition(
        session,
        TASK,
        task.task_id,
        TaskStatus.PENDING,
        "retried",
        ACTOR,
        expected_version=task.version,
        values={"assigned_agent_id": None, "started_at": None, "completed_at": None, "result": None},
        detail={
            **task_detail(task),
            "failures": task.failures,
            "max_failures": task.max_failures,
            "reason": task.error,
        },
    )
