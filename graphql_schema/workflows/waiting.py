"""What an execution waits for, in words."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, Text, and_, case, cast, func, null, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.domain.quality_gates import FINAL_VERDICTS, ApprovalStatus
from app.domain.tasks import HELD, TaskStatus
from app.domain.workflows import ACTIVE
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from graphql_schema.planner.entities import Row, column_at
from graphql_schema.planner.fields import one_of
from graphql_schema.planner.sql import number, text_constant

EXECUTION = workflow_executions.c
TASK = tasks.c
GATE = quality_gates.c

UNDECIDED = [status for status in ApprovalStatus if status not in FINAL_VERDICTS]
NAMES_SHOWN = 500
"""Characters of the names of tasks, or of gates."""


def waiting_for(execution: Row) -> ColumnElement[str]:
    """Such as "2 tasks under way: Build it, Test it; 1 quality gate to be decided: Review"; null for nothing."""
    told = func.concat_ws(
        text_constant("; "),
        case((execution[EXECUTION.queued_at].is_not(None), _turn(execution))),
        _tasks(execution, "under way", HELD),
        _tasks(execution, "to be taken", (TaskStatus.PENDING,)),
        _gates(execution),
        type_=Text(),
    )
    is_active = one_of(execution[EXECUTION.execution_status], ACTIVE)
    return case((is_active, func.nullif(told, text_constant(""), type_=Text())), else_=null())


def _turn(execution: Row) -> ColumnElement[str]:
    before = workflow_executions.alias()

    def of(column: Column[Any]) -> ColumnElement[Any]:
        return column_at(before, column)

    is_before = and_(
        of(EXECUTION.workflow_name) == execution[EXECUTION.workflow_name],
        of(EXECUTION.concurrency_key) == execution[EXECUTION.concurrency_key],
        one_of(of(EXECUTION.execution_status), ACTIVE),
        or_(of(EXECUTION.queued_at).is_(None), of(EXECUTION.queued_at) < execution[EXECUTION.queued_at]),
    )
    count = select(func.count()).select_from(before).where(is_before).correlate_except(before).scalar_subquery()
    return func.concat(text_constant("its turn, executions before it: "), cast(count, Text), type_=Text())


def _tasks(execution: Row, how: str, statuses: Iterable[StrEnum]) -> ColumnElement[str]:
    rows = tasks.alias()
    is_one = and_(
        column_at(rows, TASK.execution_id) == execution[EXECUTION.execution_id],
        one_of(column_at(rows, TASK.status), statuses),
    )
    names = func.string_agg(
        column_at(rows, TASK.title), aggregate_order_by(text_constant(", "), column_at(rows, TASK.task_id))
    )
    chosen = select(_counted("task", how, names)).select_from(rows).where(is_one)
    return chosen.correlate_except(rows).scalar_subquery()


def _gates(execution: Row) -> ColumnElement[str]:
    rows = quality_gates.alias()
    is_one = and_(
        column_at(rows, GATE.workflow_execution_id) == execution[EXECUTION.execution_id],
        one_of(column_at(rows, GATE.approval_status), UNDECIDED),
    )
    names = func.string_agg(
        column_at(rows, GATE.gate_name), aggregate_order_by(text_constant(", "), column_at(rows, GATE.gate_id))
    )
    chosen = select(_counted("quality gate", "to be decided", names))
    return chosen.select_from(rows).where(is_one).correlate_except(rows).scalar_subquery()


def _counted(what: str, how: str, names: ColumnElement[str]) -> ColumnElement[str]:
    """Null where there are none. Names are cut: there may be hundreds."""
    plural = case(
        (func.count() == number(1), text_constant(f" {what} {how}: ")), else_=text_constant(f" {what}s {how}: ")
    )
    words = func.concat(cast(func.count(), Text), plural, func.left(names, number(NAMES_SHOWN)), type_=Text())
    return case((func.count() > number(0), words), else_=null())
