"""Tasks and their progress."""

from datetime import datetime

import strawberry
from sqlalchemy import BigInteger, ColumnElement, case, cast, extract, func

from app.domain.agents import AgentRole
from app.domain.tasks import TASK_MACHINE, TaskKind, TaskStatus
from db.tables.model_assignments import model_assignments
from db.tables.tasks import task_progress, tasks
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import AgentRef, Assignments, DecisionRef, ExecutionRef, GateRef, Tasks
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Row, rising
from graphql_schema.planner.fields import column, computed, many, one, transitions
from graphql_schema.planner.sql import number, text_constant
from graphql_schema.scalars import JSON, BigInt

ASSIGNMENT = model_assignments.c
TASK = tasks.c
PROGRESS = task_progress.c


def _duration(task: Row) -> ColumnElement[int]:
    running = task[TASK.status] == text_constant(TaskStatus.RUNNING.value)
    end = func.coalesce(task[TASK.completed_at], case((running, func.now()), else_=task[TASK.updated_at]))
    seconds = extract("epoch", end - task[TASK.started_at])
    return cast(func.round(seconds * number(1000)), BigInteger)


def _depends_on(task: Row, needed: Row) -> ColumnElement[bool]:
    return needed[TASK.task_id] == func.any(task[TASK.depends_on])


@strawberry.type(description="How far the work on a task is, as its agent last reported.")
class TaskProgress:
    __entity__ = Entity(task_progress, (PROGRESS.task_id,))

    task_id: strawberry.ID = column(PROGRESS.task_id, description="The UUID of the task.")
    percent: float | None = column(
        PROGRESS.percent, description="How much is done, from 0 to 100; null when the agent cannot tell."
    )
    message: str = column(PROGRESS.message, description="What the agent is doing, in its own words.")
    reported_at: datetime = column(PROGRESS.reported_at, description="When the agent reported it.")


@strawberry.type(
    description="A piece of work for one agent, or a question to it. An agent claims it (`taskClaim`), then starts, "
    "completes, fails or releases it; the tasks of an agent that falls silent are released."
)
class Task(Node):
    __entity__ = Entity(tasks, (TASK.task_id,))

    task_id: strawberry.ID = column(TASK.task_id, description="The task's UUID.")
    task_kind: TaskKind = column(TASK.task_kind, description="What answers the task: a result, a decision or a review.")
    decision_id: strawberry.ID | None = column(
        TASK.decision_id, description="UUID of the decision that it is part of the breakdown of; null when none."
    )
    execution_id: strawberry.ID | None = column(
        TASK.execution_id, description="UUID of the workflow execution that it belongs to; null when none."
    )
    assigned_agent_id: strawberry.ID | None = column(
        TASK.assigned_agent_id, description="Id of the agent that has or had it at hand; null while PENDING."
    )
    title: str = column(TASK.title, description="What is to be done, in a line.")
    description: str = column(TASK.description, description="What is to be done, in full; may be empty.")
    status: TaskStatus = column(TASK.status, description="Where the task stands.")
    allowed_transitions: list[TaskStatus] = transitions(TASK_MACHINE, TASK.status)
    required_role: AgentRole | None = column(
        TASK.required_role, description="Only an agent of this role may claim the task; null for any role."
    )
    required_agent_id: strawberry.ID | None = column(
        TASK.required_agent_id, description="Only this agent may claim the task; null for any that fits."
    )
    required_capabilities: list[str] = column(
        TASK.required_capabilities, description="Only an agent that has all of these may claim the task."
    )
    complexity: int = column(TASK.complexity, description="How hard the task is, from 1 to 10.")
    depends_on: list[strawberry.ID] = column(
        TASK.depends_on, description="UUIDs of tasks that must be completed before this one may be claimed."
    )
    input: JSON = column(TASK.input, description="What the agent is given to work on, an object.")
    result: JSON | None = column(
        TASK.result,
        description="The answer, any JSON value; null until the task is completed, or what a failed attempt left.",
    )
    phase: str | None = column(
        TASK.phase, description="The phase of the workflow that made the task; null outside of workflows."
    )
    task_name: str | None = column(
        TASK.task_name, description="The task's name within its phase; null outside of workflows."
    )
    phase_attempt: int | None = column(
        TASK.phase_attempt, description="In which pass through its phase the task was made, from 1; null outside."
    )
    attempts: int = column(TASK.attempts, description="How often the task was started.")
    failures: int = column(TASK.failures, description="How often it failed; a release does not count.")
    max_failures: int = column(TASK.max_failures, description="After so many failures the phase of its workflow fails.")
    priority: int = column(TASK.priority, description="From 1 to 9; tasks of priority 1 are offered first.")
    timeout_seconds: int | None = column(
        TASK.timeout_seconds,
        description="How long one attempt may take, in seconds; null: as long as the agent lets it.",
    )
    releases: int = column(
        TASK.releases, description="How often it came back to the pool, by its agent or since that fell silent."
    )
    max_releases: int = column(
        TASK.max_releases, description="When it came back more often than this it waits for a person."
    )
    release_reason: str | None = column(
        TASK.release_reason, description="Why it last came back to the pool; null when it never did."
    )
    escalated_at: datetime | None = column(
        TASK.escalated_at,
        description="Since when it waits for a person, because it failed or came back too often; null when it does "
        "not. `taskRetry` tries it again, `taskCancel` ends it.",
    )
    escalation_reason: str | None = column(
        TASK.escalation_reason, description="Why it waits for a person; null when it does not."
    )
    gate_id: strawberry.ID | None = column(
        TASK.gate_id, description="The UUID of the quality gate to be reviewed or decided; null for other tasks."
    )
    started_at: datetime | None = column(TASK.started_at, description="When the last attempt began; null if none did.")
    completed_at: datetime | None = column(TASK.completed_at, description="When the task ended; null before.")
    duration_ms: BigInt | None = computed(
        _duration,
        description="Milliseconds from the last attempt's start to its end, or until now while it runs; null before "
        "the first.",
    )
    version: int = column(TASK.version, description="Rises by one with each change. For `expectedVersion`.")
    created_at: datetime = column(TASK.created_at, description="When the task was made.")
    updated_at: datetime = column(TASK.updated_at, description="When the task last changed; progress does not count.")

    progress: TaskProgress | None = one(
        PROGRESS.task_id, description="The latest of `taskReportProgress`; null when there was none."
    )
    assigned_agent: AgentRef | None = one(
        TASK.assigned_agent_id, description="The agent that has the task, or had it when it ended; null while free."
    )
    decision: DecisionRef | None = one(
        TASK.decision_id, description="The decision that the task is part of; null when none called for it."
    )
    execution: ExecutionRef | None = one(
        TASK.execution_id, description="The workflow execution that the task belongs to; null when it has none."
    )
    gate: GateRef | None = one(
        TASK.gate_id, description="The quality gate that is to be reviewed or decided; null for other tasks."
    )
    dependencies: Tasks = many(
        _depends_on,
        order=rising(TASK.task_id),
        description="The tasks that must be completed before this one may be claimed, oldest first.",
    )
    model_assignments: Assignments = many(
        ASSIGNMENT.task_id, description="Which AI models worked on the task, newest first."
    )
