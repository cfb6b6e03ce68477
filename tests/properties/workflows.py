"""The commands of workflow executions, and what the engine does to them: what must become of them and their tasks."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.principals import SYSTEM, Principal
from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import TaskStatus
from app.domain.workflows import ExecutionStatus, StepStatus
from db.queries.changes import amend, transition
from db.queries.entities import EXECUTION
from db.queries.steps import begin_step
from tests.properties.commands import Command, Dice, Fields
from tests.properties.model import EVERYBODY, LEADING, Decision, Execution, Faults, Gate, State

TEMPLATE = "plain"
STEP_PHASE = "build"
"""The phase of every step."""


def _start(state: State, dice: Dice) -> Fields:
    given: Fields = {"workflowName": dice.maybe("no-such-thing", TEMPLATE, 16)}
    if state.all(Decision) and dice.once_in(2):
        given["decisionId"] = dice.id_of(state, Decision)
    return given


def _started(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(given["workflowName"] != TEMPLATE, ErrorCode.UNKNOWN_TEMPLATE)
    if "decisionId" in given and given["decisionId"] not in state.keys_of:
        faults.when(True, ErrorCode.NOT_FOUND)
    faults.settle()
    state.add(Execution, "started")


def _of_execution(state: State, dice: Dice) -> Fields:
    execution_id, version = dice.thing(state, Execution)
    return {"executionId": execution_id, "expectedVersion": version}


def _with_reason(state: State, dice: Dice) -> Fields:
    return {**_of_execution(state, dice), "reason": dice.maybe("\t", "the budget is gone", 16)}


def _found(state: State, given: Fields, *sources: ExecutionStatus) -> Execution:
    """The execution, which must be in one of these statuses."""
    faults = Faults()
    faults.when(not given.get("reason", "x").strip(), ErrorCode.INVALID_INPUT)
    execution = faults.find(state, Execution, given["executionId"])
    faults.check(execution, given["expectedVersion"])
    is_stale = ErrorCode.STALE_VERSION in faults.codes
    faults.when(execution.status not in sources and not is_stale, ErrorCode.ILLEGAL_TRANSITION)
    faults.settle()
    return execution


def _paused(state: State, _actor: Principal, given: Fields) -> None:
    state.move(_found(state, given, ExecutionStatus.RUNNING), ExecutionStatus.PAUSED, "paused")


def _resumed(state: State, _actor: Principal, given: Fields) -> None:
    state.move(_found(state, given, ExecutionStatus.PAUSED), ExecutionStatus.RUNNING, "resumed")


def _retried(state: State, _actor: Principal, given: Fields) -> None:
    """What failed in a phase is dropped, for the phase makes it anew; a rejection at the end is asked for again."""
    execution = _found(state, given, ExecutionStatus.FAILED)
    for gate in state.undecided(execution):
        if gate.closed:
            gate.closed = False
            state.amend(gate, "reopened")
    for task in state.open_tasks(execution):
        if task.phase is not None:
            state.move(task, TaskStatus.CANCELLED, "cancelled")
    for gate in held_end(state, execution):
        if gate.status is ApprovalStatus.REJECTED:
            state.add(Gate, "created", execution=execution.key, name=gate.name, human=gate.human)
    state.move(execution, ExecutionStatus.RUNNING, "retried")


def held_end(state: State, execution: Execution) -> list[Gate]:
    """The gates that keep an execution from its end: not approved, and not rejected and asked for again."""
    gates = [gate for gate in state.all(Gate) if gate.execution == execution.key]
    return [
        gate
        for place, gate in enumerate(gates)
        if gate.status is not ApprovalStatus.APPROVED
        and not (
            gate.status is ApprovalStatus.REJECTED and any(later.name == gate.name for later in gates[place + 1 :])
        )
    ]


def _failed(state: State, _actor: Principal, given: Fields) -> None:
    execution = _found(state, given, ExecutionStatus.RUNNING, ExecutionStatus.PAUSED)
    state.cancel_open(execution)
    if execution.steps[-1:] == (StepStatus.RUNNING,):
        execution.steps = (*execution.steps[:-1], StepStatus.FAILED)
        state.tell(Aggregate.WORKFLOW, execution.key, "step_failed")
    state.tell(Aggregate.WORKFLOW, execution.key, "error_logged")
    state.move(execution, ExecutionStatus.FAILED, "failed")


def _cancelled(state: State, _actor: Principal, given: Fields) -> None:
    execution = _found(
        state,
        given,
        ExecutionStatus.PENDING,
        ExecutionStatus.RUNNING,
        ExecutionStatus.PAUSED,
        ExecutionStatus.FAILED,
    )
    state.cancel_open(execution)
    state.move(execution, ExecutionStatus.CANCELLED, "cancelled")


def _of_some_step(state: State, dice: Dice) -> Fields:
    execution_id, _ = dice.thing(state, Execution)
    known = [execution for execution in state.all(Execution) if execution.id == execution_id]
    steps = len(known[0].steps) if known else 0
    return {"executionId": execution_id, "step": dice.maybe(steps + 1, 1 + dice.below(max(steps, 1)), 12)}


def _forked(state: State, _actor: Principal, given: Fields) -> None:
    """A new execution that begins with the step, and has those before it; the old one stays as it is."""
    faults = Faults()
    execution = faults.find(state, Execution, given["executionId"])
    faults.when(given["step"] > len(execution.steps), ErrorCode.INVALID_INPUT)
    faults.settle()
    state.add(Execution, "started", steps=execution.steps[: given["step"] - 1])


def _skipped(state: State, _actor: Principal, given: Fields) -> None:
    """The step under way, or the failed one, is left out, with its phase's tasks; a failed execution runs again."""
    going = (ExecutionStatus.RUNNING, ExecutionStatus.PAUSED, ExecutionStatus.FAILED)
    execution = _found(state, given, *going)
    faults = Faults()
    faults.when(execution.steps[-1:] not in ((StepStatus.RUNNING,), (StepStatus.FAILED,)), ErrorCode.BLOCKED)
    faults.settle()
    state.cancel_open(execution, STEP_PHASE)
    execution.steps = (*execution.steps[:-1], StepStatus.SKIPPED)
    if execution.status is ExecutionStatus.FAILED:
        state.move(execution, ExecutionStatus.RUNNING, "step_skipped")
    else:
        state.amend(execution, "step_skipped")


async def _change(session: AsyncConnection, given: Fields, target: ExecutionStatus, event_type: str) -> Any:
    return await transition(
        session,
        EXECUTION,
        UUID(given["executionId"]),
        target,
        event_type,
        SYSTEM.name,
        expected_version=given["expectedVersion"],
    )


async def _run_it(session: AsyncConnection, given: Fields) -> Any:
    return await _change(session, given, ExecutionStatus.RUNNING, "running")


async def _complete_it(session: AsyncConnection, given: Fields) -> Any:
    return await _change(session, given, ExecutionStatus.COMPLETED, "completed")


async def _begin_it(session: AsyncConnection, given: Fields) -> Any:
    execution_id, number = UUID(given["executionId"]), given["number"]
    changed = await amend(
        session,
        EXECUTION,
        execution_id,
        "step_started",
        SYSTEM.name,
        expected_version=given["expectedVersion"],
        values={"current_phase": STEP_PHASE},
    )
    await begin_step(session, execution_id, number, STEP_PHASE, number)
    return changed


def _of_beginning(state: State, dice: Dice) -> Fields:
    """The engine begins a step when the one before has ended."""
    given = _chosen(state, dice, _is_between_steps)
    known = [execution for execution in state.all(Execution) if execution.id == given["executionId"]]
    return {**given, "number": len(known[0].steps) + 1 if known else 1}


def _is_between_steps(execution: Execution) -> bool:
    return execution.status is ExecutionStatus.RUNNING and execution.steps[-1:] != (StepStatus.RUNNING,)


def _begun(state: State, _actor: Principal, given: Fields) -> None:
    execution = _found(state, given, *ExecutionStatus)
    execution.steps = (*execution.steps, StepStatus.RUNNING)
    state.amend(execution, "step_started")


def _of_pending(state: State, dice: Dice) -> Fields:
    """The engine runs what is pending; anything else is only ever a change that somebody else was faster with."""
    return _chosen(state, dice, lambda execution: execution.status is ExecutionStatus.PENDING)


def _of_finished(state: State, dice: Dice) -> Fields:
    """The engine completes what is running and has nothing open."""
    return _chosen(
        state,
        dice,
        lambda execution: (
            execution.status is ExecutionStatus.RUNNING
            and not state.open_tasks(execution)
            and not held_end(state, execution)
        ),
    )


def _chosen(state: State, dice: Dice, suits: Any) -> Fields:
    suiting = [execution for execution in state.all(Execution) if suits(execution)]
    execution = dice.one_of(suiting) if suiting else None
    return {
        "executionId": execution.id if execution is not None else str(UUID(int=0)),
        "expectedVersion": execution.version if execution is not None else 1,
    }


def _run(state: State, _actor: Principal, given: Fields) -> None:
    state.move(_found(state, given, ExecutionStatus.PENDING), ExecutionStatus.RUNNING, "running")


def _completed(state: State, _actor: Principal, given: Fields) -> None:
    state.move(_found(state, given, ExecutionStatus.RUNNING), ExecutionStatus.COMPLETED, "completed")


ENTITY = "workflow { executionId }"
START = Command("workflowStart", LEADING, _start, _started, ENTITY)
PAUSE = Command("workflowPause", LEADING, _of_execution, _paused, ENTITY)
RESUME = Command("workflowResume", LEADING, _of_execution, _resumed, ENTITY)
RETRY = Command("workflowRetry", LEADING, _of_execution, _retried, ENTITY)
FAIL = Command("workflowFail", LEADING, _with_reason, _failed, ENTITY)
CANCEL = Command("workflowCancel", LEADING, _with_reason, _cancelled, ENTITY)
FORK = Command("workflowFork", LEADING, _of_some_step, _forked, ENTITY)
SKIP = Command("workflowSkipPhase", LEADING, _with_reason, _skipped, ENTITY)
BEGIN = Command("engineBegins", EVERYBODY, _of_beginning, _begun, direct=_begin_it)
RUN = Command("engineRuns", EVERYBODY, _of_pending, _run, direct=_run_it)
COMPLETE = Command("engineCompletes", EVERYBODY, _of_finished, _completed, direct=_complete_it)

WORKFLOWS = (START, PAUSE, RESUME, RETRY, FAIL, CANCEL, FORK, SKIP, BEGIN, RUN, COMPLETE)
