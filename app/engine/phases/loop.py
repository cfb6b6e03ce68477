"""The phase `loop`: sends the work back while its condition asks for another round, and not too often."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.expressions import Unevaluable
from app.domain.flow_phases import LoopPhase
from app.engine.phases.base import Done, Failed, Judgement, Visit
from app.engine.phases.values import variables
from db.queries.steps import last_round


async def prepare(session: AsyncConnection, visit: Visit[LoopPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[LoopPhase]) -> Judgement:
    """Judge the round that was done."""
    phase, execution = visit.phase, visit.execution
    done = await last_round(session, execution.execution_id, phase.name) + 1
    values = await variables(session, execution, [phase.condition], visit.attempt)
    try:
        again = phase.condition.evaluate(values) is (phase.while_ is not None)
    except Unevaluable as error:
        return Failed(error.message)
    if not again:
        return Done({"round": 0, "rounds": done})
    if done >= phase.max_rounds:
        return Failed(
            f"The loop {phase.name!r} asks for another round, after {done} of at most {phase.max_rounds}.",
            {"rounds": done},
            retry_phase=phase.back_to,
        )
    return Done({"round": done}, back_to=phase.back_to)


async def judge(session: AsyncConnection, visit: Visit[LoopPhase]) -> Judgement:
    """Never needed: the judgement was stored with the step. Made again, it is the same."""
    return await enter(session, visit)
