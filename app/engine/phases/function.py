"""The phase `function`: a Python function that the worker calls itself, after the transaction that began the step."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.templates import FunctionPhase
from app.engine.phases.base import Judgement, Own, Visit


async def prepare(session: AsyncConnection, visit: Visit[FunctionPhase]) -> None:
    """Nothing is there before."""


async def enter(session: AsyncConnection, visit: Visit[FunctionPhase]) -> Judgement:
    """The step is stored: that is all that the call needs."""
    return Own()


async def judge(session: AsyncConnection, visit: Visit[FunctionPhase]) -> Judgement:
    """A worker died while it was at it: the next one calls the function again, with the same key."""
    return Own()
