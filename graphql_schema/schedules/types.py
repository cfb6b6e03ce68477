"""Schedules of workflows."""

from datetime import datetime

import strawberry
from sqlalchemy import ColumnElement, select

from app.domain.schedules import SCHEDULE_MACHINE, MissedRuns, ScheduleStatus
from db.tables.workflows import workflow_executions, workflow_schedules
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import ExecutionRef, Executions
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Row, column_at
from graphql_schema.planner.fields import column, many, one, transitions
from graphql_schema.planner.sql import number, text_constant
from graphql_schema.scalars import JSON

EXECUTION = workflow_executions.c
SCHEDULE = workflow_schedules.c


def _is_latest_of(schedule: Row, execution: Row) -> ColumnElement[bool]:
    other = workflow_executions.alias()
    newest = (
        select(column_at(other, EXECUTION.execution_id))
        .where(column_at(other, EXECUTION.schedule_id) == schedule[SCHEDULE.schedule_id])
        .order_by(column_at(other, EXECUTION.execution_id).desc())
        .limit(number(1))
    )
    return execution[EXECUTION.execution_id] == newest.correlate_except(other).scalar_subquery()


def is_in_use(schedule: Row) -> ColumnElement[bool]:
    """The condition that the schedule was not deleted."""
    return schedule[SCHEDULE.schedule_status] != text_constant(ScheduleStatus.DELETED.value)


@strawberry.type(
    description="When a workflow is started by itself: by a cron expression in a time zone, at intervals, or once. "
    "What becomes of a run while an earlier one is still under way, the template's `concurrency` says."
)
class WorkflowSchedule(Node):
    __entity__ = Entity(workflow_schedules, (SCHEDULE.schedule_id,))

    schedule_id: strawberry.ID = column(SCHEDULE.schedule_id, description="The schedule's UUID.")
    schedule_name: str = column(
        SCHEDULE.schedule_name, description="What it is called; its executions' `triggeredBy` names it."
    )
    schedule_status: ScheduleStatus = column(SCHEDULE.schedule_status, description="Whether it starts executions.")
    allowed_transitions: list[ScheduleStatus] = transitions(SCHEDULE_MACHINE, SCHEDULE.schedule_status)
    workflow_name: str = column(
        SCHEDULE.workflow_name, description="The name of the template that it starts, in its latest version then."
    )
    input_context: JSON = column(SCHEDULE.input_context, description="What its executions are given, an object.")
    cron_expression: str | None = column(
        SCHEDULE.cron_expression,
        description="Minute, hour, day of month, month and day of week; null for an interval or a single run.",
    )
    time_zone: str = column(
        SCHEDULE.time_zone, description="The IANA time zone in whose local time the cron expression is meant."
    )
    interval_seconds: int | None = column(
        SCHEDULE.interval_seconds, description="Seconds from one run to the next; null when it goes by something else."
    )
    start_at: datetime | None = column(
        SCHEDULE.start_at, description="When an interval begins, or the moment of a single run; null with cron."
    )
    missed_runs: MissedRuns = column(
        SCHEDULE.missed_runs, description="What becomes of runs whose time passed while no hub was there."
    )
    next_run_at: datetime | None = column(
        SCHEDULE.next_run_at, description="When it comes due next; null unless it is ACTIVE."
    )
    next_runs: list[datetime] = column(
        SCHEDULE.next_runs, description="The next times at which it comes due, at most ten; none unless it is ACTIVE."
    )
    last_run_at: datetime | None = column(
        SCHEDULE.last_run_at, description="The latest moment for which it was to start an execution; null before."
    )
    last_error: str | None = column(
        SCHEDULE.last_error, description="Why nothing was started at `lastRunAt`; null when something was."
    )
    created_by: str = column(SCHEDULE.created_by, description="Who made it: an agent, or the name of a token.")
    version: int = column(SCHEDULE.version, description="Rises by one with each change. For `expectedVersion`.")
    created_at: datetime = column(SCHEDULE.created_at, description="When it was made.")
    updated_at: datetime = column(SCHEDULE.updated_at, description="When it last changed, by a run too.")

    last_execution: ExecutionRef | None = one(
        _is_latest_of, description="The execution that it started last, by itself or by `scheduleTrigger`; null before."
    )
    executions: Executions = many(
        EXECUTION.schedule_id, description="All executions that it has started, newest first."
    )
