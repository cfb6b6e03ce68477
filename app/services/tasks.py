"""Tasks: create, claim, start, report, complete, fail, release."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Text, case, func, literal, null
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import ONLINE, AgentRole, AgentStatus, check_agent_id
from app.domain.errors import (
    AgentAtCapacity,
    AgentUnavailable,
    Blocked,
    ClaimLost,
    InvalidInput,
    NotFound,
    StaleVersion,
)
from app.domain.events import Aggregate, Event, Retention
from app.domain.ids import new_id
from app.domain.json_schemas import ANYTHING, CONTEXT, check_json
from app.domain.principals import Principal
from app.domain.rules import NAME_MAX, PERCENT, TEN_POINT, bounded_list, clean_text, required_text
from app.domain.tasks import HELD, PRIORITY, REASON_MAX, TASK_MACHINE, TIMEOUT_SECONDS, TaskKind, TaskStatus
from app.domain.workflows import ENDED
from app.services.assignment_ends import end_assignments
from app.services.workload import follow_load
from db.queries import tasks as queries
from db.queries.changes import append, read, transition
from db.queries.entities import AGENT, DECISION, EXECUTION, TASK
from db.queries.executions import wake
from db.queries.many import transition_all
from db.tables.tasks import tasks

ANSWERED_BY = {
    TaskKind.WORK: "taskComplete",
    TaskKind.DECISION: "decisionRecord, or for a gate qualityGateApprove, …Reject or …RequestRevision",
    TaskKind.REVIEW: "qualityGateReview",
}


def released(reason: str) -> dict[str, Any]:
    """What is changed of a task that is given back, beside its status; once too often, it waits for a person."""
    back = tasks.c.releases + 1
    too_often = back > tasks.c.max_releases
    why = func.concat("given back ", back, " times, the last time because: ", literal(reason or UNTOLD, Text))
    return {
        "assigned_agent_id": None,
        "started_at": None,
        "releases": back,
        "release_reason": reason or UNTOLD,
        "escalated_at": case((too_often, func.clock_timestamp()), else_=null()),
        "escalation_reason": case((too_often, why), else_=null()),
    }


UNTOLD = "no reason was given"
UNESCALATED = {"escalated_at": None, "escalation_reason": None}


@dataclass(frozen=True)
class CreateTask:
    """A piece of work, for whichever agent has the role and the capabilities."""

    title: str
    description: str = ""
    decision_id: UUID | None = None
    execution_id: UUID | None = None
    required_role: AgentRole | None = None
    required_capabilities: Sequence[str] = ()
    complexity: int = 5
    depends_on: Sequence[UUID] = ()
    input: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 5
    timeout_seconds: int | None = None


async def create_task(session: AsyncConnection, principal: Principal, command: CreateTask) -> Row[Any]:
    """Store a pending task. Raises `InvalidInput`, `NotFound` for what it names, `Blocked` by an ended execution."""
    values = task_values(command)
    await require_parents(session, command.decision_id, command.execution_id)
    if command.depends_on:
        require_known(command.depends_on, await queries.missing_tasks(session, command.depends_on))
    (row,) = await queries.insert_tasks(session, [values], principal.name)
    return row


def task_values(command: CreateTask) -> dict[str, Any]:
    """The columns of a new task. Raises `InvalidInput`."""
    bounded_list("requiredCapabilities", command.required_capabilities, 50)
    bounded_list("dependsOn", command.depends_on, 200)
    TEN_POINT.check("complexity", command.complexity)
    PRIORITY.check("priority", command.priority)
    TIMEOUT_SECONDS.check("timeoutSeconds", command.timeout_seconds)
    return {
        "task_id": new_id(),
        "title": required_text("title", command.title, NAME_MAX),
        "description": clean_text("description", command.description),
        "decision_id": command.decision_id,
        "execution_id": command.execution_id,
        "required_role": command.required_role.value if command.required_role else None,
        "required_capabilities": [required_text("requiredCapabilities", c, 100) for c in command.required_capabilities],
        "complexity": command.complexity,
        "depends_on": list(command.depends_on),
        "input": check_json("input", dict(command.input), CONTEXT),
        "priority": command.priority,
        "timeout_seconds": command.timeout_seconds,
    }


async def require_parents(session: AsyncConnection, decision_id: UUID | None, execution_id: UUID | None) -> None:
    """Raise `NotFound` unless decision and execution exist, `Blocked` when the execution has ended.

    The execution does not end before the transaction does, so that no task is left behind in an ended one.
    """
    if decision_id is not None and not await queries.has_decision(session, decision_id):
        raise NotFound(DECISION.kind, decision_id, "input.decisionId")
    if execution_id is not None:
        await require_unended(session, execution_id)


async def require_unended(session: AsyncConnection, execution_id: UUID) -> None:
    """Raise `NotFound` or `Blocked` unless the execution can still have tasks; it stays so until the commit."""
    status = await queries.status_of_execution(session, execution_id)
    if status is None:
        raise NotFound(EXECUTION.kind, execution_id, "input.executionId")
    if status in ENDED:
        raise Blocked(
            f"The workflow execution {execution_id} is {status.upper()} and takes no more tasks. Nothing was written."
        )


def require_known(depends_on: Collection[UUID], missing: Collection[UUID]) -> None:
    """Raise `NotFound` if one of the tasks that another is to depend on is missing."""
    absent = sorted({str(task_id) for task_id in depends_on if task_id in missing})
    if absent:
        raise NotFound(TASK.kind, ", ".join(absent), "input.dependsOn")


@dataclass(frozen=True)
class ClaimTask:
    """A claim by an agent: of one task, or of the oldest that fits."""

    agent_id: str
    task_id: UUID | None = None
    expected_version: int | None = None


async def claim_task(session: AsyncConnection, principal: Principal, command: ClaimTask) -> Row[Any] | None:
    """Assign a task to the agent; None when none was named and none fits now.

    Raises `AgentUnavailable`, `AgentAtCapacity`, and for a named task `NotFound`, `StaleVersion`, `ClaimLost`,
    `IllegalTransition` or `Blocked`.
    """
    check_agent_id(command.agent_id)
    agent = await read(session, AGENT, command.agent_id)
    task = await queries.next_claimable(session, agent.agent_id, agent.agent_role, agent.capabilities, command.task_id)
    if command.task_id is not None:
        await _check_named(session, command, task, agent)
    if task is None:
        return None
    agent = await read(session, AGENT, command.agent_id, lock=True)
    if AgentStatus(agent.status) not in ONLINE:
        raise AgentUnavailable(
            f"{agent.agent_id} is {agent.status.upper()} and takes no tasks; register it again. Nothing was changed."
        )
    if await queries.count_held(session, agent.agent_id) >= agent.concurrency:
        raise AgentAtCapacity(
            f"{agent.agent_id} works on {agent.concurrency} tasks already, which is its limit. Nothing was changed."
        )
    detail = task_detail(task, agent.agent_id)
    values = {"assigned_agent_id": agent.agent_id}
    claimed = await transition(
        session, TASK, task.task_id, TaskStatus.ASSIGNED, "claimed", principal.name, values=values, detail=detail
    )
    await follow_load(session, agent.agent_id, principal.name)
    return claimed


async def _check_named(session: AsyncConnection, command: ClaimTask, found: Row[Any] | None, agent: Row[Any]) -> None:
    """Say why a task that was named cannot be claimed."""
    task = found or await read(session, TASK, command.task_id)
    if command.expected_version is not None and task.version != command.expected_version:
        raise StaleVersion(TASK.kind, task.task_id, command.expected_version, task.version)
    if found is not None:
        return
    if TaskStatus(task.status) in HELD:
        raise ClaimLost(f"The task {task.task_id} is held by {task.assigned_agent_id}. Nothing was changed.")
    TASK_MACHINE.require(TaskStatus(task.status), TaskStatus.ASSIGNED)
    if task.escalated_at is not None:
        raise Blocked(
            f"The task {task.task_id} waits for a person: {task.escalation_reason}. Nothing was changed; taskRetry "
            "offers it again, taskCancel ends it."
        )
    if await queries.has_open_dependencies(session, task.task_id):
        raise Blocked(f"The task {task.task_id} waits for tasks that it depends on. Nothing was changed.")
    if task.required_agent_id not in (None, agent.agent_id):
        raise Blocked(f"The task {task.task_id} is for {task.required_agent_id} alone. Nothing was changed.")
    missing = sorted(set(task.required_capabilities) - set(agent.capabilities))
    if missing or task.required_role not in (None, agent.agent_role):
        needs = ", ".join(missing) or f"role {task.required_role}"
        raise Blocked(f"{agent.agent_id} does not fit the task {task.task_id}: it needs {needs}. Nothing was changed.")
    raise ClaimLost(f"Another agent is claiming the task {task.task_id} at this moment. Nothing was changed.")


@dataclass(frozen=True)
class StartTask:
    """The agent begins the work."""

    task_id: UUID
    expected_version: int


async def start_task(session: AsyncConnection, principal: Principal, command: StartTask) -> Row[Any]:
    """Assigned → running. Raises `ClaimLost`, `StaleVersion`, `IllegalTransition`."""
    task = await held_task(session, principal, command.task_id)
    values = {"attempts": tasks.c.attempts + 1, "started_at": func.clock_timestamp(), "completed_at": null()}
    return await transition(
        session,
        TASK,
        task.task_id,
        TaskStatus.RUNNING,
        "started",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=task_detail(task),
    )


@dataclass(frozen=True)
class ReportTaskProgress:
    """How far the work is; `percent` from 0 to 100 where it is known."""

    task_id: UUID
    message: str
    percent: float | None = None


async def report_progress(session: AsyncConnection, principal: Principal, command: ReportTaskProgress) -> Row[Any]:
    """Keep and push the latest progress; the task's version stays. Raises `ClaimLost`."""
    PERCENT.check("percent", command.percent)
    message = clean_text("message", command.message, REASON_MAX)
    task = await held_task(session, principal, command.task_id)
    if TaskStatus(task.status) not in HELD:
        raise ClaimLost(f"The task {task.task_id} is {task.status.upper()}; nobody works on it. Nothing was changed.")
    await queries.write_progress(session, task.task_id, command.percent, message)
    detail = task_detail(task) | {"message": message, "percent": command.percent}
    event = Event(Aggregate.TASK, "progressed", principal.name, Retention.REPORT, detail=detail)
    await append(session, str(task.task_id), event)
    return task


@dataclass(frozen=True)
class CompleteTask:
    """The result of the work."""

    task_id: UUID
    expected_version: int
    result: Any


async def complete_task(session: AsyncConnection, principal: Principal, command: CompleteTask) -> Row[Any]:
    """Running → completed, for a task of kind work. Raises `ClaimLost`, `StaleVersion`, `IllegalTransition`."""
    check_json("result", command.result, ANYTHING)
    return await answer_task(
        session, principal, command.task_id, command.expected_version, TaskKind.WORK, command.result
    )


async def answer_task(
    session: AsyncConnection,
    principal: Principal,
    task_id: UUID,
    expected_version: int | None,
    kind: TaskKind,
    result: Any,
) -> Row[Any]:
    """Complete a held task of this kind with its answer, and wake its execution."""
    task = await held_task(session, principal, task_id)
    if task.task_kind != kind.value:
        way = ANSWERED_BY[TaskKind(task.task_kind)]
        raise InvalidInput(
            f"A task of kind {task.task_kind.upper()} is answered by {way}. Nothing was changed.", "input.taskId"
        )
    done = await transition(
        session,
        TASK,
        task_id,
        TaskStatus.COMPLETED,
        "completed",
        principal.name,
        expected_version=expected_version,
        values={
            "result": result,
            "completed_at": func.clock_timestamp(),
            "answered_in_session": principal.token_id or principal.name,
        },
        detail=task_detail(task),
    )
    await let_go(session, principal.name, task)
    return done


@dataclass(frozen=True)
class FailTask:
    """The work did not succeed, and why."""

    task_id: UUID
    expected_version: int
    reason: str
    result: Any = None


async def fail_task(session: AsyncConnection, principal: Principal, command: FailTask) -> Row[Any]:
    """Running → failed; the workflow decides whether it is tried again. Raises as `complete_task`."""
    reason = required_text("reason", command.reason)
    check_json("result", command.result, ANYTHING)
    task = await held_task(session, principal, command.task_id)
    for_good = task.failures + 1 >= task.max_failures
    why = f"failed {task.failures + 1} times, the last time with: {reason[:500]}"
    values = {
        "failures": tasks.c.failures + 1,
        "completed_at": func.clock_timestamp(),
        "result": {"error": reason, "output": command.result},
        "escalated_at": func.clock_timestamp() if for_good else None,
        "escalation_reason": why if for_good else None,
    }
    failed = await transition(
        session,
        TASK,
        task.task_id,
        TaskStatus.FAILED,
        "failed",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail=task_detail(task) | {"reason": reason[:500]},
    )
    await tell_escalated(session, principal.name, [failed])
    waiting = await cancel_dependants(session, failed, principal.name) if for_good else []
    await let_go(session, principal.name, task, waiting)
    return failed


async def tell_escalated(session: AsyncConnection, actor: str, changed: Collection[Row[Any]]) -> None:
    """An event for each of the tasks that waits for a person from now on."""
    for task in changed:
        if task.escalated_at is not None:
            counted = {"failures": task.failures, "releases": task.releases, "reason": task.escalation_reason}
            event = Event(Aggregate.TASK, "escalated", actor, Retention.AUDIT, detail=task_detail(task) | counted)
            await append(session, str(task.task_id), event)


async def cancel_dependants(session: AsyncConnection, task: Row[Any], actor: str) -> list[Row[Any]]:
    """Cancel what waits for a task that will not be completed, and what waits for that; those tasks.

    Nobody has them at hand; their executions are the caller's to wake, after agents were locked.
    """
    ended, cancelled = [task], []
    for cause in ended:
        reason = f"the task {cause.title!r} that it depends on is {cause.status.upper()} for good"
        for waiting in await queries.pending_dependants(session, cause.task_id):
            done = await transition(
                session,
                TASK,
                waiting.task_id,
                TaskStatus.CANCELLED,
                "cancelled",
                actor,
                values={"completed_at": func.clock_timestamp(), **UNESCALATED},
                detail=task_detail(waiting) | {"reason": reason},
            )
            ended.append(done)
            cancelled.append(done)
    return cancelled


@dataclass(frozen=True)
class ReleaseTask:
    """The agent gives the task back, so that another (or it again) may claim it."""

    task_id: UUID
    expected_version: int
    reason: str = ""


async def release_task(session: AsyncConnection, principal: Principal, command: ReleaseTask) -> Row[Any]:
    """Assigned or running → pending. Raises `ClaimLost`, `StaleVersion`, `IllegalTransition`."""
    reason = clean_text("reason", command.reason, REASON_MAX)
    task = await held_task(session, principal, command.task_id)
    if TaskStatus(task.status) not in HELD:
        raise ClaimLost(
            f"The task {task.task_id} is {task.status.upper()}; there is nothing to release. Nothing was changed."
        )
    given_back = await transition(
        session,
        TASK,
        task.task_id,
        TaskStatus.PENDING,
        "released",
        principal.name,
        expected_version=command.expected_version,
        values=released(reason),
        detail=task_detail(task) | {"reason": reason},
    )
    await end_assignments(session, [task.task_id], principal.name)
    await tell_escalated(session, principal.name, [given_back])
    await let_go(session, principal.name, task)
    return given_back


async def release_tasks_of(
    session: AsyncConnection, agent_ids: Collection[str], actor: str, reason: str, kept: Collection[UUID] = ()
) -> int:
    """Give back every task that the agents hold, but for those `kept`, and end the models' work on them; how many.

    The agents' status is the caller's to set.
    """
    held = [task for task in await queries.held_by(session, agent_ids) if task.task_id not in kept]
    if held:
        details = {str(task.task_id): task_detail(task) | {"reason": reason} for task in held}
        given_back = await transition_all(
            session, TASK, held, TaskStatus.PENDING, "released", actor, values=released(reason), details=details
        )
        await end_assignments(session, [task.task_id for task in held], actor)
        await tell_escalated(session, actor, given_back)
    return len(held)


async def held_task(session: AsyncConnection, principal: Principal, task_id: UUID) -> Row[Any]:
    """The task, locked, if the principal may act on it: its token names the holder, or no agent. Raises `ClaimLost`.

    The lock keeps the holder the same until the answer is stored, with or without an expected version.
    """
    task = await read(session, TASK, task_id, lock=True)
    if principal.agent_id is not None and task.assigned_agent_id != principal.agent_id:
        holder = task.assigned_agent_id or "nobody"
        back = f" It was given back because: {task.release_reason}." if task.release_reason else ""
        raise ClaimLost(
            f"The task {task_id} is {task.status.upper()} and held by {holder}, not by {principal.agent_id}.{back} "
            "Nothing was changed; stop the work on it."
        )
    return task


async def let_go(session: AsyncConnection, actor: str, task: Row[Any], others: Collection[Row[Any]] = ()) -> None:
    """After a task left its agent's hands: the agent's status follows, the execution looks again.

    So do the executions of `others` that changed with it.
    """
    if task.assigned_agent_id is not None:
        await follow_load(session, task.assigned_agent_id, actor)
    for execution_id in sorted({row.execution_id for row in (task, *others) if row.execution_id is not None}):
        await wake(session, execution_id)


def task_detail(task: Row[Any], agent_id: str | None = None) -> dict[str, Any]:
    """What every event of a task tells beside the change."""
    return {
        "execution_id": _text(task.execution_id),
        "decision_id": _text(task.decision_id),
        "agent_id": agent_id or task.assigned_agent_id,
        "phase": task.phase,
        "task_name": task.task_name,
    }


def _text(value: UUID | None) -> str | None:
    return str(value) if value is not None else None
