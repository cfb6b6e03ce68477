"""The phase `wait`: until some time has passed, until a moment, or until a signal comes."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.expressions import Expression, Unevaluable
from app.domain.flow_phases import WaitPhase
from app.engine.phases.base import Done, Failed, Judgement, Visit, Waiting
from app.engine.phases.values import variables
from db.queries.executions import has_come, is_over
from db.queries.signals import take_signal, waiting_signal


async def prepare(session: AsyncConnection, visit: Visit[WaitPhase]) -> None:
    """Nothing is there before but signals, which only this execution takes."""


async def enter(session: AsyncConnection, visit: Visit[WaitPhase]) -> Judgement:
    """A signal may be there already."""
    return await judge(session, visit)


async def judge(session: AsyncConnection, visit: Visit[WaitPhase]) -> Judgement:
    """Done when the time has come, or with the oldest signal of the name that no other step took."""
    phase, execution_id = visit.phase, visit.execution.execution_id
    if phase.seconds is not None:
        over = await is_over(session, execution_id, visit.step_number, phase.seconds)
        return Done() if over else Waiting(seconds=phase.seconds)
    if phase.moment is not None:
        return await _until(session, visit, phase.moment)
    signal_id = await waiting_signal(session, execution_id, phase.signal or "")
    if signal_id is None:
        return Waiting()
    await take_signal(session, signal_id, visit.step_number)
    return Done({"signal_id": str(signal_id)})


async def _until(session: AsyncConnection, visit: Visit[WaitPhase], expression: Expression) -> Judgement:
    values = await variables(session, visit.execution, [expression], visit.attempt)
    try:
        moment = expression.evaluate(values)
    except Unevaluable as error:
        return Failed(error.message)
    return Done() if await has_come(session, moment) else Waiting(until=moment)
