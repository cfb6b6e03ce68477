"""The phase `parallel`: many tasks at once, all joined."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidInput
from app.domain.tasks import TaskStatus
from app.domain.template_parts import needed
from app.domain.templates import ParallelPhase, TaskSpec, parse_tasks
from app.domain.workflows import StepStatus
from app.engine.phases.base import ACTOR, Done, Failed, Judgement, Visit, Waiting
from app.engine.phases.results import results_of
from app.engine.phases.withdrawal import cancel, task_detail
from app.engine.phases.work import ask, join, work_rows
from db.queries.changes import amend
from db.queries.entities import TASK
from db.queries.steps import completed_tasks_of, find_step, tasks_of_phase
from db.queries.tasks import open_of_phase


async def prepare(session: AsyncConnection, visit: Visit[ParallelPhase]) -> None:
    """Lock what a pass that failed and is retried leaves to this one."""
    await _left_over(session, visit)


async def enter(session: AsyncConnection, visit: Visit[ParallelPhase]) -> Judgement:
    """Make the tasks, but for those that a failed pass had completed: they are taken over as they are.

    A result that lists none that can be made fails the phase.
    """
    try:
        tasks = await _tasks(session, visit)
    except InvalidInput as error:
        return Failed(error.message)
    if needed(visit.phase.join, len(tasks)) > len(tasks):
        return Failed(f"{needed(visit.phase.join, len(tasks))} tasks must be completed, and there are {len(tasks)}.")
    done = await _take_over(session, visit)
    missing = [task for task in tasks if task.name not in done]
    await ask(session, visit, await work_rows(session, visit, missing))
    return Waiting() if missing else await judge(session, visit)


async def judge(session: AsyncConnection, visit: Visit[ParallelPhase]) -> Judgement:
    """Done when as many tasks are completed as the phase joins; the others are cancelled then."""
    execution_id, phase = visit.execution.execution_id, visit.phase
    rows = await tasks_of_phase(session, execution_id, phase.name, visit.attempt)
    judged = await join(session, rows, needed(phase.join, len(rows)))
    if judged is not None:
        return judged
    if any(task.status != TaskStatus.COMPLETED.value for task in rows):
        open_tasks = await open_of_phase(session, execution_id, phase.name)
        await cancel(session, open_tasks, "enough of the others are completed")
    return Done({"tasks": len(rows)})


async def _left_over(session: AsyncConnection, visit: Visit[ParallelPhase]) -> Sequence[Row[Any]]:
    """The completed tasks of the pass right before, if it was one through this phase, and failed.

    Nothing has changed since of what they were given. After a revision it has: then the pass before was completed.
    """
    if visit.attempt == 1:
        return ()
    before = await find_step(session, visit.execution.execution_id, visit.step_number - 1)
    if before is None or before.phase != visit.phase.name or before.step_status != StepStatus.FAILED.value:
        return ()
    return await completed_tasks_of(session, visit.execution.execution_id, before.phase, before.attempt)


async def _take_over(session: AsyncConnection, visit: Visit[ParallelPhase]) -> set[str]:
    """Let completed tasks count in this pass, and no longer in the failed one; their names."""
    rows = await _left_over(session, visit)
    for task in rows:
        told = {**task_detail(task), "from_attempt": task.phase_attempt, "attempt": visit.attempt}
        values = {"phase_attempt": visit.attempt}
        await amend(session, TASK, task.task_id, "taken_over", ACTOR, values=values, detail=told)
    return {task.task_name for task in rows}


async def _tasks(session: AsyncConnection, visit: Visit[ParallelPhase]) -> list[TaskSpec]:
    phase = visit.phase
    listed = phase.tasks or await _tasks_from(session, visit, phase.tasks_from or "")
    return [
        task.model_copy(
            update={"role": task.role or phase.role, "uses": tuple(dict.fromkeys((*phase.uses, *task.uses)))}
        )
        for task in listed
    ]


async def _tasks_from(session: AsyncConnection, visit: Visit[ParallelPhase], source: str) -> tuple[TaskSpec, ...]:
    results = await results_of(session, visit.execution, [source])
    where = f"The result of the phase {source!r}, from which {visit.phase.name!r} takes its tasks,"
    tasks = parse_tasks(results.get(source), where)
    names = [phase.name for phase in visit.execution.template.phases]
    earlier = names[: names.index(visit.phase.name)]
    for index, task in enumerate(tasks):
        unknown = sorted(set(task.uses) - set(earlier))
        if unknown:
            raise InvalidInput(
                f"{where} is no list of tasks: {index}.uses: {unknown[0]!r} is no earlier phase (earlier phases: "
                f"{', '.join(earlier)})"
            )
    return tasks
