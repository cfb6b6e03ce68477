"""The figures of a workflow execution: each is computed when it is asked for, and only then."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import strawberry
from sqlalchemy import BigInteger, Column, ColumnElement, cast, extract, func, select

from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import TaskStatus
from app.domain.templates import PHASES_MAX
from app.domain.workflows import StepStatus
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors, workflow_executions, workflow_steps
from graphql_schema.planner.builder import Builder, object_type
from graphql_schema.planner.entities import Entity, Row, column_at
from graphql_schema.planner.fields import column, computed, planned
from graphql_schema.planner.fills import EACH, Path
from graphql_schema.planner.plans import of
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import Expression, array_json, number, object_json, rows_json, text_constant
from graphql_schema.scalars import BigInt

ASSIGNMENT = model_assignments.c
GATE = quality_gates.c
TASK = tasks.c
EXECUTION = workflow_executions.c
STEP = workflow_steps.c
ERROR = workflow_errors.c

TASKS = Entity(tasks, (TASK.task_id,))
GATES = Entity(quality_gates, (GATE.gate_id,))
STEPS = Entity(workflow_steps, (STEP.step_id,))


@dataclass(frozen=True, eq=False)
class CountsPlan:
    """An object of counts over the rows that name the execution, in one pass over them."""

    rows: Entity
    link: Column[Any]

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        counted = Row(self.rows)
        pairs = build.object(object_type(selected), counted, selected.nodes, path)
        linked = counted[self.link] == of(row)[EXECUTION.execution_id]
        # the condition makes it one row also where no count is selected, and where there is nothing to count
        return object_json(pairs, counted.source(linked).having(func.count() >= number(0)), counted.own)


@dataclass(frozen=True, eq=False)
class PhasesPlan:
    """An object for each phase that the execution has been in, over its steps there, in one pass over all of them.

    They are as few as the template's phases, however many steps there are.
    """

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        step = Row(STEPS)
        pairs = build.object(object_type(selected), step, selected.nodes, (*path, EACH))
        linked = step[STEP.execution_id] == of(row)[EXECUTION.execution_id]
        grouped = step.source(linked).group_by(step[STEP.phase]).order_by(func.min(step[STEP.step_number]))
        return array_json(rows_json(pairs, grouped.limit(number(PHASES_MAX)), step.own))


def counts(rows: Entity, link: Column[Any], *, description: str) -> Any:
    """Counts by status, an object; its type declares its fields by `count_of` and `count_all`."""
    return planned(CountsPlan(rows, link), description)


def count_of(column: Column[Any], status: StrEnum) -> Any:
    """How many rows have this status."""

    def compute(row: Row) -> ColumnElement[Any]:
        return func.count().filter(row[column] == text_constant(status.value))

    return computed(compute, description=f"How many are {status.name}.")


def count_all() -> Any:
    """How many rows there are."""
    return computed(lambda _: func.count(), description="How many there are, whatever their status.")


def duration(execution: Row) -> ColumnElement[int]:
    """Milliseconds from start to end, or until now; null before the start."""
    end = func.coalesce(execution[EXECUTION.completed_at], func.now())
    seconds = extract("epoch", end - execution[EXECUTION.started_at])
    return cast(func.round(seconds * number(1000)), BigInteger)


def step_duration(step: Row) -> ColumnElement[int]:
    """Milliseconds from begin to end; null while it runs."""
    seconds = extract("epoch", step[STEP.completed_at] - step[STEP.started_at])
    return cast(func.round(seconds * number(1000)), BigInteger)


def phases(*, description: str) -> Any:
    """The phases that an execution has been in."""
    return planned(PhasesPlan(), description)


def total(link: Column[Any], value: Column[Any]) -> Callable[[Row], ColumnElement[Any]]:
    """The sum of a column over the rows that name the execution, 0 without any."""
    return lambda execution: _over(execution, link, lambda rows: func.sum(column_at(rows, value)))


def how_many(link: Column[Any]) -> Callable[[Row], ColumnElement[Any]]:
    """How many rows name the execution."""
    return lambda execution: _over(execution, link, lambda _: func.count())


def _over(execution: Row, link: Column[Any], value: Callable[[Any], ColumnElement[Any]]) -> ColumnElement[Any]:
    rows = link.table.alias()
    linked = column_at(rows, link) == execution[EXECUTION.execution_id]
    found = select(func.coalesce(value(rows), number(0))).select_from(rows).where(linked)
    return found.correlate_except(rows).scalar_subquery()


@strawberry.type(description="Tasks of an execution, counted by status.")
class TaskCounts:
    pending: int = count_of(TASK.status, TaskStatus.PENDING)
    assigned: int = count_of(TASK.status, TaskStatus.ASSIGNED)
    running: int = count_of(TASK.status, TaskStatus.RUNNING)
    completed: int = count_of(TASK.status, TaskStatus.COMPLETED)
    failed: int = count_of(TASK.status, TaskStatus.FAILED)
    cancelled: int = count_of(TASK.status, TaskStatus.CANCELLED)
    total: int = count_all()


@strawberry.type(description="Quality gates of an execution, counted by status.")
class GateCounts:
    pending: int = count_of(GATE.approval_status, ApprovalStatus.PENDING)
    in_review: int = count_of(GATE.approval_status, ApprovalStatus.IN_REVIEW)
    approved: int = count_of(GATE.approval_status, ApprovalStatus.APPROVED)
    rejected: int = count_of(GATE.approval_status, ApprovalStatus.REJECTED)
    requires_revision: int = count_of(GATE.approval_status, ApprovalStatus.REQUIRES_REVISION)
    total: int = count_all()


@strawberry.type(description="Passes of an execution through phases, counted by status.")
class StepCounts:
    running: int = count_of(STEP.step_status, StepStatus.RUNNING)
    completed: int = count_of(STEP.step_status, StepStatus.COMPLETED)
    failed: int = count_of(STEP.step_status, StepStatus.FAILED)
    skipped: int = count_of(STEP.step_status, StepStatus.SKIPPED)
    total: int = count_all()


@strawberry.type(
    description="A phase that an execution has been in, with its passes through it counted: what a drawing of the "
    "workflow needs, of the same size however many steps there are."
)
class PhaseProgress:
    phase: str = column(STEP.phase, description="The name of the phase, as the template has it.")
    running: int = count_of(STEP.step_status, StepStatus.RUNNING)
    completed: int = count_of(STEP.step_status, StepStatus.COMPLETED)
    failed: int = count_of(STEP.step_status, StepStatus.FAILED)
    skipped: int = count_of(STEP.step_status, StepStatus.SKIPPED)
    total: int = count_all()
    first_step: int = computed(
        lambda step: func.min(step[STEP.step_number]),
        description="The number of the first step in it. Phases come in the order of these.",
    )
    last_step: int = computed(
        lambda step: func.max(step[STEP.step_number]), description="The number of the latest step in it."
    )
    first_started_at: datetime = computed(
        lambda step: func.min(step[STEP.started_at]), description="When the first pass through it began."
    )
    last_completed_at: datetime | None = computed(
        lambda step: func.max(step[STEP.completed_at]),
        description="When a pass through it last ended; null before any did.",
    )
    duration_ms: BigInt = computed(
        lambda step: func.coalesce(func.sum(step_duration(step)), number(0)),
        description="Milliseconds that the passes through it took that have ended, all together.",
    )


@strawberry.type(description="A workflow execution in figures, as they are at the moment of asking.")
class WorkflowFigures:
    duration_ms: BigInt | None = computed(
        duration, description="Milliseconds since it began, until its end if it ended; null before it began."
    )
    tasks: TaskCounts = counts(TASKS, TASK.execution_id, description="Its tasks by status.")
    quality_gates: GateCounts = counts(GATES, GATE.workflow_execution_id, description="Its quality gates by status.")
    steps: StepCounts = counts(STEPS, STEP.execution_id, description="Its passes through phases by status.")
    attempts: BigInt = computed(
        total(TASK.execution_id, TASK.attempts), description="How often agents began a task of it."
    )
    failures: BigInt = computed(
        total(TASK.execution_id, TASK.failures), description="How often agents reported a task of it as failed."
    )
    errors: int = computed(how_many(ERROR.execution_id), description="How many errors its error log has.")
    model_assignments: int = computed(
        how_many(ASSIGNMENT.execution_id), description="How many AI models were assigned for it."
    )
    tokens_used: BigInt = computed(
        total(ASSIGNMENT.execution_id, ASSIGNMENT.tokens_used), description="Tokens that its AI models used."
    )
    estimated_cost: Decimal = computed(
        total(ASSIGNMENT.execution_id, ASSIGNMENT.estimated_cost),
        description="What its AI models were expected to cost, in US dollars; 0 where nothing was estimated.",
    )
    actual_cost: Decimal = computed(
        total(ASSIGNMENT.execution_id, ASSIGNMENT.actual_cost),
        description="What its AI models cost as far as they are done, in US dollars.",
    )
    processing_time: BigInt = computed(
        total(ASSIGNMENT.execution_id, ASSIGNMENT.processing_time),
        description="Milliseconds that its AI models worked, those that worked side by side added up.",
    )
