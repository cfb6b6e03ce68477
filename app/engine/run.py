"""One run of one execution: from the claim of its lease until it waits, has ended, or goes to another worker."""

from dataclasses import dataclass
from typing import Any, cast

import psycopg
import psycopg_pool
import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from sqlalchemy import func, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, Unavailable
from app.domain.ids import new_id
from app.domain.workflows import RUNNABLE, ErrorSeverity, ExecutionStatus, StepStatus
from app.engine.advance import advance, look
from app.engine.checkpoints import FencedSaver, Pool
from app.engine.compiler import START_STATE, Compiled, Engine, Graph
from app.engine.failing import ended, fail_execution, note_error
from app.engine.leases import Execution, LostLease
from app.engine.phases.base import ACTOR
from app.services.tasks import cancel_open_tasks
from db.queries.changes import read, transition
from db.queries.entities import EXECUTION
from db.queries.executions import hold_fence, postpone, release
from db.queries.steps import count_defects, latest_step
from db.session import Database

AWAY = (Unavailable, psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout, OSError, TimeoutError)
"""The database does not answer: no fault of the execution's, which is tried again without counting."""
AWAY_SECONDS = 1.0
DEFECTS_MAX = 5
"""Unexpected errors at one step, after which the execution fails."""
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
STEPS_AT_ONCE = 10_000
"""Phases that one run may pass without waiting; LangGraph wants a limit."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Tools:
    """What all runs of a worker share. `first_backoff` is in seconds, doubled with each further unexpected error."""

    database: Database
    pool: Pool
    compiled: Compiled
    first_backoff: float = FIRST_BACKOFF


async def run_execution(tools: Tools, claimed: Row[Any], control: RunControl) -> None:
    """Bring a claimed execution as far as it can go now, and give its lease back. Raises nothing but cancellation."""
    try:
        await _run(tools, claimed, control)
    except LostLease:
        log.info("lost the lease, another worker goes on", execution_id=str(claimed.execution_id))
    except GraphDrained:
        await _give_up(tools, claimed, 0.0)
    except AWAY as error:
        log.warning(
            "the database is away, the execution waits", execution_id=str(claimed.execution_id), error=repr(error)
        )
        await _give_up(tools, claimed, AWAY_SECONDS)
    except Exception as error:
        await _note_defect(tools, claimed, error)


async def _run(tools: Tools, claimed: Row[Any], control: RunControl) -> None:
    template, graph = await tools.compiled.get(claimed.workflow_name, claimed.template_version)
    execution = Execution(claimed.execution_id, claimed.fence, template, claimed.input_context, claimed.decision_id)
    first = claimed.execution_status == ExecutionStatus.PENDING.value
    if await tools.database.transact(lambda session: _start_or_park(session, execution, claimed, first)):
        return
    if control.drain_requested:
        raise GraphDrained
    waits = await _run_graph(tools, execution, graph, control)
    await tools.database.transact(lambda session: _end_or_park(session, execution, claimed, waits))


async def _start_or_park(session: AsyncConnection, execution: Execution, claimed: Row[Any], first: bool) -> bool:
    """Pending → running at the first claim; True when the phase under way still waits, and the lease was given back."""
    if first:
        await execution.hold(session)
        values = {"started_at": func.clock_timestamp(), "last_activity": func.clock_timestamp()}
        await transition(
            session, EXECUTION, execution.execution_id, ExecutionStatus.RUNNING, "running", ACTOR, values=values
        )
        return False
    if await look(session, execution):
        return False
    await release(session, execution.execution_id, execution.fence, claimed.wake_seq)
    return True


async def _run_graph(tools: Tools, execution: Execution, graph: Graph, control: RunControl) -> bool:
    """Run the graph on from its latest checkpoint, or from the start; whether it waits, or else has come to its end.

    A node that was interrupted, or was at work when its worker died, is run again: it finds in the rows how far it
    came. It is never resumed by a value, which would let it pass although its rows say wait.
    """
    saver = FencedSaver(tools.pool, execution.execution_id, execution.fence)
    config: RunnableConfig = {
        "configurable": {"thread_id": str(execution.execution_id)},
        "recursion_limit": STEPS_AT_ONCE,
    }
    begun = await saver.is_begun(config)

    async def advance_phase(phase: str, step_number: int) -> str | None:
        return await tools.database.transact(lambda session: advance(session, execution, phase, step_number))

    state = await graph.copy({"checkpointer": saver}).ainvoke(
        None if begun else START_STATE,
        config,
        context=Engine(advance_phase),
        durability="sync",
        control=control,
    )
    return "__interrupt__" in cast(dict[str, Any], state)


async def _end_or_park(session: AsyncConnection, execution: Execution, claimed: Row[Any], waits: bool) -> None:
    """Complete the execution unless it waits or has failed, and give the lease back."""
    await execution.hold(session)
    row = await latest_step(session, execution.execution_id)
    failed = row is not None and row.step_status == StepStatus.FAILED.value
    if waits or failed:
        await release(session, execution.execution_id, execution.fence, claimed.wake_seq)
        return
    values = {**ended(), "lease_owner": null(), "lease_until": null()}
    await transition(
        session, EXECUTION, execution.execution_id, ExecutionStatus.COMPLETED, "completed", ACTOR, values=values
    )


async def _give_up(tools: Tools, claimed: Row[Any], seconds: float) -> None:
    """Leave the execution to whoever claims it next, after so many seconds."""

    async def leave(session: AsyncConnection) -> None:
        if seconds:
            await postpone(session, claimed.execution_id, claimed.fence, seconds)
        else:
            await release(session, claimed.execution_id, claimed.fence, None)

    try:
        await tools.database.transact(leave)
    except AWAY as error:
        # the lease ends by itself
        log.warning("a lease was not given back", execution_id=str(claimed.execution_id), error=repr(error))


async def _note_defect(tools: Tools, claimed: Row[Any], error: Exception) -> None:
    """Log what nobody expected, and try again later; the execution fails when that happened too often at one step."""
    correlation_id = str(new_id())
    log.error(
        "unexpected error in an execution",
        execution_id=str(claimed.execution_id),
        correlation_id=correlation_id,
        exc_info=error,
    )
    message = error.message if isinstance(error, HubError) else f"Unexpected {type(error).__name__} in the engine."
    message = f"{message} The hub's log has more under the correlation id {correlation_id}."

    async def note(session: AsyncConnection) -> None:
        await _store_defect(session, tools, claimed, message, correlation_id)

    try:
        await tools.database.transact(note)
    except LostLease:
        log.info("lost the lease, another worker goes on", execution_id=str(claimed.execution_id))
    except Exception:
        # the lease ends by itself, so this is no hot loop either
        log.exception("an error could not be stored", correlation_id=correlation_id)


async def _store_defect(
    session: AsyncConnection, tools: Tools, claimed: Row[Any], message: str, correlation_id: str
) -> None:
    """Store the error; then the execution waits longer and longer, and at last fails."""
    step = await latest_step(session, claimed.execution_id)
    where = _where(step)
    failures = await count_defects(session, claimed.execution_id, where["step_number"]) + 1
    detail = {**where, "correlation_id": correlation_id, "defect_at_step": where["step_number"]}
    if failures >= DEFECTS_MAX:
        await cancel_open_tasks(session, claimed.execution_id, ACTOR, message)
    if not await hold_fence(session, claimed.execution_id, claimed.fence):
        raise LostLease(claimed.execution_id)
    status = ExecutionStatus((await read(session, EXECUTION, claimed.execution_id)).execution_status)
    if failures < DEFECTS_MAX or status not in RUNNABLE:
        await note_error(session, claimed.execution_id, ErrorSeverity.ERROR, message, detail)
        pause = min(tools.first_backoff * 2 ** (failures - 1), LONGEST_BACKOFF)
        await postpone(session, claimed.execution_id, claimed.fence, pause)
        return
    if status is ExecutionStatus.PENDING:
        await transition(session, EXECUTION, claimed.execution_id, ExecutionStatus.RUNNING, "running", ACTOR)
    await fail_execution(session, claimed.execution_id, where, message, detail)
    await release(session, claimed.execution_id, claimed.fence, claimed.wake_seq)


def _where(step: Row[Any] | None) -> dict[str, Any]:
    """The step under way, as events tell it; number 0 before the first."""
    if step is None:
        return {"step_number": 0}
    return {"phase": step.phase, "attempt": step.attempt, "step_number": step.step_number}
