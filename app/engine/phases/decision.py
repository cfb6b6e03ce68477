"""The phase `decision`: the PM is asked a question, and its recorded decision owns the tasks that follow."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.tasks import TaskKind
from app.domain.templates import DecisionPhase
from app.engine.phases.base import Done, Judgement, Visit, Waiting
from app.engine.phases.results import given_results
from app.engine.phases.revisions import revision_of
from app.engine.phases.work import ask, join, request
from db.queries.steps import task_results, tasks_of_phase


async def prepare(session: AsyncConnection, visit: Visit[DecisionPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[DecisionPhase]) -> Judgement:
    """Ask the PM."""
    phase = visit.phase
    given = {
        "question": phase.question,
        "decision_type": phase.decision_type.value,
        "context": visit.execution.context,
        **await given_results(session, visit.execution, phase.uses),
        **await revision_of(session, visit),
    }
    title = f"Decide: {phase.name}"
    await ask(
        session,
        visit,
        [request(TaskKind.DECISION, phase.name, title, given, description=phase.question, role=AgentRole.PM)],
    )
    return Waiting()


async def judge(session: AsyncConnection, visit: Visit[DecisionPhase]) -> Judgement:
    """Done when the decision is recorded."""
    execution_id, phase = visit.execution.execution_id, visit.phase.name
    rows = await tasks_of_phase(session, execution_id, phase, visit.attempt)
    judged = await join(session, rows)
    if judged is not None:
        return judged
    answer = (await task_results(session, execution_id, [(phase, visit.attempt)]))[0].result
    return Done({"task_id": str(rows[0].task_id), "decision_id": answer["decision_id"]})
