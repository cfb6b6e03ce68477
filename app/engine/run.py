"""One run of one execution: from the claim of its lease until it waits, has ended, or goes to another worker."""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, Unavailable
from app.domain.ids import new_id
from app.domain.templates import FunctionPhase, WorkflowTemplate
from app.domain.workflows import RUNNABLE, ErrorSeverity, ExecutionStatus, StepStatus
from app.engine.advance import Standing, Way, advance, fail_pass, look
from app.engine.checkpoints import RidingSaver
from app.engine.compiler import START_STATE, Compiled, Engine, Graph, State
from app.engine.ending import judge_end, void_at_end
from app.engine.failing import ended, fail_execution
from app.engine.functions import Function, FunctionFailed, call
from app.engine.leases import Execution, LostLease
from app.engine.output import output_of
from app.engine.phases.base import ACTOR, Done, Failed, Visit, Waiting, following
from app.engine.phases.results import results_of
from app.engine.phases.withdrawal import cancel_unfinished
from app.services.gate_ends import close_gates
from app.services.workflow_errors import note_error
from db.queries.boundaries import Boundary, EndedStep, NextStep, cross
from db.queries.changes import read, transition
from db.queries.checkpoints import delete, prune
from db.queries.entities import EXECUTION
from db.queries.executions import hold_fence, postpone, release
from db.queries.steps import count_defects, latest_step
from db.session import Database

AWAY = (Unavailable, OSError, TimeoutError)
"""The database does not answer: no fault of the execution's, which is tried again without counting."""
AWAY_SECONDS = 1.0
DEFECTS_MAX = 5
"""Unexpected errors at one step, after which the execution fails."""
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
STEPS_AT_ONCE = 1_000_000
"""Phases that one run may pass without waiting; LangGraph wants a limit."""

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Tools:
    """What all runs of a worker share. `first_backoff` is in seconds, doubled with each further unexpected error."""

    database: Database
    compiled: Compiled
    first_backoff: float = FIRST_BACKOFF
    functions: Mapping[str, Function] = field(default_factory=dict)


async def run_execution(tools: Tools, claimed: Row[Any], control: RunControl) -> None:
    """Bring a claimed execution as far as it can go now, and give its lease back. Raises nothing but cancellation."""
    run: Run | None = None
    try:
        template, graph = await tools.compiled.get(claimed.workflow_name, claimed.template_version)
        run = Run(tools, claimed, template)
        await run.go(graph, control)
    except LostLease:
        log.info("lost the lease, another worker goes on", execution_id=str(claimed.execution_id))
    except GraphDrained:
        await _give_up(tools, claimed, 0.0, run)
    except AWAY as error:
        log.warning("the database is away", execution_id=str(claimed.execution_id), error=repr(error))
        await _give_up(tools, claimed, AWAY_SECONDS, run)
    except Exception as error:
        await _note_defect(tools, claimed, error)


class Run:
    """One claim of one execution."""

    def __init__(self, tools: Tools, claimed: Row[Any], template: WorkflowTemplate) -> None:
        self._tools = tools
        self._claimed = claimed
        self._execution = Execution(
            claimed.execution_id, claimed.fence, template, claimed.input_context, claimed.decision_id
        )
        self._thread: RunnableConfig = {"configurable": {"thread_id": str(claimed.execution_id)}}
        self._saver = RidingSaver(tools.database, claimed.execution_id, claimed.fence)
        self._journal = self._execution.journal
        self._journal.starts = claimed.execution_status == ExecutionStatus.PENDING.value
        self._journal.saver = self._saver
        self._standing: Standing | None = None
        self._parked = False
        self._results: dict[str, Any] = {}

    async def go(self, graph: Graph, control: RunControl) -> None:
        """See what the rows say; run the graph if that lets it go on; park or end the execution."""
        # one that is new has no rows to look at, unless it is a fork; it starts with its first step
        if not self._journal.starts or self._claimed.forked_from_id is not None:
            await self._transact(self._look)
        if self._parked:
            return
        if control.drain_requested:
            raise GraphDrained
        await self._run_graph(graph, control)
        if not self._parked and not await self._complete():
            await self._transact(self._end)

    async def leave(self, session: AsyncConnection) -> None:
        """Write what a step brought, before another worker goes on."""
        if self._journal.ended is not None:
            await self._execution.hold(session)

    async def _run_graph(self, graph: Graph, control: RunControl) -> None:
        """Run the graph on from its latest checkpoint, or from the start, until it waits or ends.

        A node that was interrupted, or was at work when its worker died, is run again: it finds in the rows how far it
        came. It is never resumed by a value, which would let it pass although its rows say wait. Where there are no
        checkpoints, or those of a pass that failed and is retried, the graph begins anew at the place that rows tell.
        """
        # `Pregel.copy` would validate the whole graph again
        own = copy(graph)
        own.checkpointer = self._saver
        await own.ainvoke(
            None if self._saver.loaded is not None else self._entry(),
            {**self._thread, "recursion_limit": STEPS_AT_ONCE},
            context=Engine(self._advance),
            durability="sync",
            control=control,
        )

    def _entry(self) -> State:
        if self._standing is None:
            return START_STATE
        # a pass that is retried leads to a phase
        return State(step_number=self._standing.step_number, next_phase=str(self._standing.way))

    async def _advance(self, phase: str, step_number: int) -> str | None:
        """What a node does. A pass that must wait gives the lease back in the transaction that says so."""
        if self._standing is not None and self._standing.step_number == step_number:
            way = self._standing.way
        else:
            way = await self._enter(phase, step_number)
        self._parked = way is None
        return await self._perform(way) if isinstance(way, Visit) else way

    async def _enter(self, phase: str, step_number: int) -> Way:
        """Begin a step. That of a function, which makes no rows but its own, takes one statement."""
        kind = self._execution.template.phase(phase)
        # a round later it has another one
        self._results.pop(phase, None)
        if isinstance(kind, FunctionPhase) and self._results.keys() >= set(kind.uses):
            attempt = await self._cross(begins=NextStep(step_number, phase))
            if attempt is not None:
                return Visit(self._execution, kind, step_number, attempt)

        async def work(session: AsyncConnection) -> Way:
            way = await advance(session, self._execution, phase, step_number)
            if way is None:
                await self._release(session)
            await self._read_results(session, way)
            return way

        return await self._transact(work)

    async def _complete(self) -> bool:
        """Complete the execution in one statement, if the last step was done here and nothing holds its end.

        One that has an output, or a parent to be woken, ends by a transaction of its own.
        """
        has_more = self._execution.template.output or self._claimed.parent_execution_id is not None
        if self._journal.ended is None or has_more:
            return False
        return await self._cross(completes=True, wake_seq=self._claimed.wake_seq) is not None

    async def _cross(self, **parts: Any) -> int | None:
        """Write what waits together with these parts of a `Boundary`; None, and nothing is written, if it cannot be."""
        execution_id, fence = self._execution.execution_id, self._execution.fence
        boundary = self._journal.boundary(execution_id, fence) or Boundary(execution_id, fence, ACTOR)
        attempt = await cross(self._tools.database, replace(boundary, **parts))
        if attempt is not None:
            self._journal.written()
        return attempt

    async def _read_results(self, session: AsyncConnection, way: Way) -> None:
        """Read what the function of this pass will be given, unless it was made here."""
        unknown = set(way.phase.uses) - self._results.keys() if isinstance(way, Visit) else ()
        self._results |= await results_of(session, self._execution, unknown)

    async def _perform(self, visit: Visit[FunctionPhase]) -> str | None:
        """Call the phase's function, and keep what it returned; the next phase, None while another try is to wait."""
        try:
            used = {name: self._results[name] for name in visit.phase.uses if name in self._results}
            result = await call(self._tools.functions, visit, used)
        except FunctionFailed as error:
            return await self._fail(visit, str(error))
        next_phase = following(visit)
        outcome = {"next_phase": next_phase}
        self._journal.ended = EndedStep(
            visit.step_number, {**outcome, "result": result}, {**visit.detail, "outcome": outcome}
        )
        self._results[visit.phase.name] = result
        return next_phase

    async def _fail(self, visit: Visit[FunctionPhase], reason: str) -> str | None:
        async def work(session: AsyncConnection) -> Way:
            way = await fail_pass(session, visit, reason)
            if way is None:
                await self._release(session)
            return way

        way = await self._transact(work)
        self._parked = way is None
        return cast("str | None", way)

    async def _look(self, session: AsyncConnection) -> None:
        """Whether there is anything to do for the graph; if not, park at once, else load its checkpoint."""
        self._standing = await look(session, self._execution)
        if self._standing is not None and self._standing.retried:
            await delete(session, str(self._execution.execution_id))
            return
        self._saver.loaded = next(iter(await self._saver.load(session, self._thread)), None)
        if self._standing is None:
            return
        way = self._standing.way
        await self._read_results(session, way)
        self._parked = way is None or (
            way == "" and isinstance(await judge_end(session, self._execution.execution_id), Waiting)
        )
        if self._parked:
            await self._release(session)

    async def _end(self, session: AsyncConnection) -> None:
        """After the last phase: complete the execution, unless it has failed or is held by gates of no phase.

        The rows must agree with the graph.
        """
        execution_id = self._execution.execution_id
        await void_at_end(session, execution_id)
        judgement = await judge_end(session, execution_id)
        if isinstance(judgement, Failed):
            await cancel_unfinished(session, execution_id, judgement.reason)
        await self._execution.hold(session)
        step = await latest_step(session, execution_id)
        if step is None or step.step_status == StepStatus.RUNNING.value or step.outcome.get("next_phase"):
            raise RuntimeError("the graph came to its end, but its steps did not")
        if step.step_status == StepStatus.FAILED.value:
            await prune(session, [str(execution_id)])
            return
        if isinstance(judgement, Failed):
            await fail_execution(session, execution_id, {"step_number": 0}, judgement.reason, judgement.outcome)
            await prune(session, [str(execution_id)])
        elif isinstance(await judge_end(session, execution_id), Done):
            await self._finish(session)
        else:
            # whoever gives the verdict wakes it, and has done so already where it was given just now
            await self._release(session)

    async def _finish(self, session: AsyncConnection) -> None:
        """Complete it with its output; without one that fits, it has failed."""
        execution_id, values = self._execution.execution_id, ended()
        if self._execution.template.output:
            output = await output_of(session, self._execution)
            if isinstance(output, Failed):
                await cancel_unfinished(session, execution_id, output.reason)
                await fail_execution(session, execution_id, {"step_number": 0}, output.reason)
                return await prune(session, [str(execution_id)])
            values["output"] = output
        await close_gates(session, execution_id, ACTOR, "the workflow is completed")
        await self._transition(session, ExecutionStatus.COMPLETED, "completed", values)
        return await prune(session, [str(execution_id)])

    async def _transition(
        self, session: AsyncConnection, target: ExecutionStatus, event_type: str, values: dict[str, Any]
    ) -> None:
        await transition(session, EXECUTION, self._execution.execution_id, target, event_type, ACTOR, values=values)

    async def _release(self, session: AsyncConnection) -> None:
        await release(session, self._execution.execution_id, self._execution.fence, self._claimed.wake_seq)

    async def _transact(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        result = await self._tools.database.transact(work)
        self._journal.written()
        return result


async def _give_up(tools: Tools, claimed: Row[Any], seconds: float, run: Run | None) -> None:
    """Leave the execution to whoever claims it next, after so many seconds."""

    async def leave(session: AsyncConnection) -> None:
        if run is not None:
            await run.leave(session)
        if seconds:
            await postpone(session, claimed.execution_id, claimed.fence, seconds)
        else:
            await release(session, claimed.execution_id, claimed.fence, None)

    try:
        await tools.database.transact(leave)
    except LostLease:
        log.info("lost the lease, another worker goes on", execution_id=str(claimed.execution_id))
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
        await cancel_unfinished(session, claimed.execution_id, message)
    if not await hold_fence(session, claimed.execution_id, claimed.fence):
        raise LostLease(claimed.execution_id)
    status = ExecutionStatus((await read(session, EXECUTION, claimed.execution_id)).execution_status)
    if failures < DEFECTS_MAX or status not in RUNNABLE:
        await note_error(session, claimed.execution_id, ACTOR, ErrorSeverity.ERROR, message, detail)
        pause = min(tools.first_backoff * 2 ** (failures - 1), LONGEST_BACKOFF)
        await postpone(session, claimed.execution_id, claimed.fence, pause)
        return
    if status is ExecutionStatus.PENDING:
        await transition(session, EXECUTION, claimed.execution_id, ExecutionStatus.RUNNING, "running", ACTOR)
    await fail_execution(session, claimed.execution_id, where, message, detail)
    await prune(session, [str(claimed.execution_id)])


def _where(step: Row[Any] | None) -> dict[str, Any]:
    """The step under way, as events tell it; number 0 before the first."""
    if step is None:
        return {"step_number": 0}
    return {"phase": step.phase, "attempt": step.attempt, "step_number": step.step_number}
