"""The phase `branch`: goes on with the first case whose condition holds."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.expressions import Gives, Unevaluable, compile_expression
from app.domain.flow_phases import BranchPhase
from app.engine.phases.base import Done, Failed, Judgement, Visit
from app.engine.phases.values import variables


async def prepare(session: AsyncConnection, visit: Visit[BranchPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[BranchPhase]) -> Judgement:
    """Choose at once."""
    phase = visit.phase
    conditions = [compile_expression(case.when, Gives.BOOLEAN) for case in phase.cases]
    values = await variables(session, visit.execution, conditions, visit.attempt)
    try:
        for index, (case, condition) in enumerate(zip(phase.cases, conditions, strict=True)):
            if condition.evaluate(values):
                return Done({"case": index}, leads_to=case.next)
    except Unevaluable as error:
        return Failed(error.message)
    return Done({"case": None}, leads_to=phase.otherwise)


async def judge(session: AsyncConnection, visit: Visit[BranchPhase]) -> Judgement:
    """Never needed: the choice was stored with the step. Made again, it is the same."""
    return await enter(session, visit)
