"""What the expressions of a phase see: the input, the results that they name, the pass, the last failure."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.expressions import Expression
from app.engine.leases import Execution
from app.engine.phases.results import results_of
from db.queries.steps import latest_failure


async def variables(
    session: AsyncConnection, execution: Execution, expressions: Iterable[Expression], attempt: int = 0
) -> dict[str, Any]:
    """The values of the variables, read as far as the expressions ask for them."""
    asked = list(expressions)
    every = {phase.name for phase in execution.template.phases}
    names = {name for each in asked for name in (every if each.phases is None else each.phases)}
    failed = any(each.asks_for_failure for each in asked)
    return {
        "context": dict(execution.context),
        "results": await results_of(session, execution, names),
        "attempt": attempt,
        "failure": await _failure(session, execution) if failed else None,
    }


async def failure_given(session: AsyncConnection, execution: Execution) -> dict[str, Any]:
    """`{"failure": {…}}` where a pass has failed and the template says how to go on, else nothing."""
    failure = await _failure(session, execution) if execution.template.may_fail_on else None
    return {} if failure is None else {"failure": failure}


async def _failure(session: AsyncConnection, execution: Execution) -> dict[str, Any] | None:
    failed = await latest_failure(session, execution.execution_id)
    return None if failed is None else {"phase": failed.phase, "attempt": failed.attempt, "reason": failed.reason}
