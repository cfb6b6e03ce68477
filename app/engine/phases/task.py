"""The phase `task`: one piece of work, done by one agent."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.templates import TaskPhase
from app.engine.phases.base import Done, Judgement, Visit, Waiting
from app.engine.phases.work import ask, join, work_rows
from db.queries.steps import tasks_of_phase


async def prepare(session: AsyncConnection, visit: Visit[TaskPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[TaskPhase]) -> Judgement:
    """Make the task."""
    await ask(session, visit, await work_rows(session, visit, [visit.phase.task]))
    return Waiting()


async def judge(session: AsyncConnection, visit: Visit[TaskPhase]) -> Judgement:
    """Done when the task is completed."""
    rows = await tasks_of_phase(session, visit.execution.execution_id, visit.phase.name, visit.attempt)
    return await join(session, rows) or Done({"task_id": str(rows[0].task_id)})
