"""The phase `parallel`: many tasks at once, all joined."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidInput
from app.domain.tasks import TaskStatus
from app.domain.template_parts import needed
from app.domain.templates import ParallelPhase, TaskSpec, parse_tasks
from app.engine.phases.base import Done, Failed, Judgement, Visit, Waiting
from app.engine.phases.results import results_of
from app.engine.phases.withdrawal import cancel
from app.engine.phases.work import ask, join, work_rows
from db.queries.steps import tasks_of_phase
from db.queries.tasks import open_of_phase


async def prepare(session: AsyncConnection, visit: Visit[ParallelPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[ParallelPhase]) -> Judgement:
    """Make the tasks; a result that lists none that can be made fails the phase."""
    try:
        tasks = await _tasks(session, visit)
    except InvalidInput as error:
        return Failed(error.message)
    if needed(visit.phase.join, len(tasks)) > len(tasks):
        return Failed(f"{needed(visit.phase.join, len(tasks))} tasks must be completed, and there are {len(tasks)}.")
    await ask(session, visit, await work_rows(session, visit, tasks))
    return Waiting()


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
