"""The figures of a workflow execution, computed when they are asked for."""

from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Table, Text, cast, collate, extract, func, select

from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors, workflow_executions, workflow_steps
from graphql_schema.planner.entities import Row, column_at
from graphql_schema.planner.sql import json_constant, number, object_json

ASSIGNMENT = model_assignments.c
GATE = quality_gates.c
TASK = tasks.c
EXECUTION = workflow_executions.c
STEP = workflow_steps.c
ERROR = workflow_errors.c

DESCRIPTION = (
    "The execution in figures, an object: durationMs (milliseconds since the start, until the end if it ended), tasks, "
    'qualityGates and steps (counts by status, such as {"COMPLETED": 3}), attempts and failures of its tasks, errors '
    "logged, tokensUsed, and actualCost in US dollars as text."
)


def duration(execution: Row) -> ColumnElement[int]:
    """Milliseconds from start to end, or until now; null before the start."""
    end = func.coalesce(execution[EXECUTION.completed_at], func.now())
    seconds = extract("epoch", end - execution[EXECUTION.started_at])
    return cast(func.round(seconds * number(1000)), BigInteger)


def figures(execution: Row) -> ColumnElement[Any]:
    """All of `DESCRIPTION` as one JSON object."""
    return object_json(
        [
            ("durationMs", duration(execution)),
            ("tasks", _by_status(execution, tasks, TASK.execution_id, TASK.status)),
            (
                "qualityGates",
                _by_status(execution, quality_gates, GATE.workflow_execution_id, GATE.approval_status),
            ),
            ("steps", _by_status(execution, workflow_steps, STEP.execution_id, STEP.step_status)),
            ("attempts", _total(execution, TASK.execution_id, TASK.attempts)),
            ("failures", _total(execution, TASK.execution_id, TASK.failures)),
            ("errors", _count(execution, ERROR.execution_id)),
            ("tokensUsed", _total(execution, ASSIGNMENT.execution_id, ASSIGNMENT.tokens_used)),
            (
                "actualCost",
                cast(
                    func.trim_scale(_total(execution, ASSIGNMENT.execution_id, ASSIGNMENT.actual_cost)),
                    Text,
                ),
            ),
        ]
    )


def _of(execution: Row, link: ColumnElement[Any]) -> ColumnElement[bool]:
    return link == execution[EXECUTION.execution_id]


def _by_status(execution: Row, table: Table, link: Column[Any], status: Column[Any]) -> ColumnElement[Any]:
    """Counts by status as a JSON object."""
    rows = table.alias()
    counts = (
        select(func.upper(collate(column_at(rows, status), "C")).label("status"), func.count().label("many"))
        .where(_of(execution, column_at(rows, link)))
        .group_by(column_at(rows, status))
        .correlate_except(rows)
        .subquery()
    )
    counted = func.json_object_agg(counts.c.status, counts.c.many)
    return select(func.coalesce(counted, json_constant("{}"))).scalar_subquery()


def _total(execution: Row, link: Column[Any], value: Column[Any]) -> ColumnElement[Any]:
    rows = value.table.alias()
    total = func.coalesce(func.sum(column_at(rows, value)), number(0))
    return select(total).where(_of(execution, column_at(rows, link))).correlate_except(rows).scalar_subquery()


def _count(execution: Row, link: Column[Any]) -> ColumnElement[Any]:
    rows = link.table.alias()
    return (
        select(func.count())
        .select_from(rows)
        .where(_of(execution, column_at(rows, link)))
        .correlate_except(rows)
        .scalar_subquery()
    )
