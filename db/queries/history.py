"""The complete history of one execution as pages of JSON texts: a section for each table that tells of it.

Records are made of the tables' own columns, so that a new column is part of the history without a line here. Each
section is read by a cursor of the server within one transaction: neither side ever holds more than a page of it.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    CompoundSelect,
    FromClause,
    LargeBinary,
    Numeric,
    Select,
    Subquery,
    Table,
    Text,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.events import Aggregate
from db.tables.agents import agent_messages
from db.tables.base import Xid8
from db.tables.decisions import decision_evidence, decisions
from db.tables.events import event_log
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import task_progress, tasks
from db.tables.workflows import (
    workflow_errors,
    workflow_executions,
    workflow_signals,
    workflow_steps,
    workflow_templates,
)

PAGE = 100
"""Records that are read at once: few enough that a page of the largest results is some megabytes."""
SLACK = timedelta(days=1)
"""By how much an event may be older than the entity that it tells of, by its partition's clock."""

HIDDEN = frozenset({"event_xid", "lease_owner", "lease_until", "wake_seq", "handled_seq", "fence"})
"""Columns that tell of the hub's own doings: they are no part of a history, and mean nothing elsewhere."""

EXECUTION = workflow_executions.c
GATE = quality_gates.c
TASK = tasks.c
ASSIGNMENT = model_assignments.c
MESSAGE = agent_messages.c
EVENT = event_log.c

Belongs = Callable[[UUID], ColumnElement[bool]]


@dataclass(frozen=True, eq=False)
class Section:
    """The rows of one table that belong to an execution, in this order."""

    name: str
    table: Table
    belongs: Belongs
    order: tuple[Column[Any], ...]

    def statement(self, execution_id: UUID) -> Select[Any]:
        """One JSON text a row."""
        rows: Select[Any] = select(*record_columns(self.table)).where(self.belongs(execution_id)).order_by(*self.order)
        return _texts(rows)


def record_columns(table: Table) -> list[ColumnElement[Any]]:
    """What a record shows of a row: all columns but the hidden and the sealed ones; decimals as texts, since JSON
    numbers lose digits on their way through many readers.
    """
    shown = [column for column in table.columns if not is_left_out(column)]
    return [_shown(column).label(column.name) for column in shown]


def is_left_out(column: Column[Any]) -> bool:
    """Whether no record shows the column as it is."""
    return column.name in HIDDEN or isinstance(column.type, LargeBinary)


def _shown(column: Column[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, Numeric):
        return cast(func.trim_scale(column), Text)
    return cast(column, Text) if isinstance(column.type, Xid8) else column


def _texts(rows: Select[Any]) -> Select[Any]:
    record = rows.subquery("record")
    return select(_text_of(record)).select_from(record)


def _text_of(record: Subquery) -> ColumnElement[str]:
    return cast(func.row_to_json(record.table_valued(), type_=JSON()), Text)


def _gate_ids(execution_id: UUID) -> Select[Any]:
    return select(GATE.gate_id).where(GATE.workflow_execution_id == execution_id)


def _task_ids(execution_id: UUID) -> Select[Any]:
    return select(TASK.task_id).where(TASK.execution_id == execution_id)


def _decision_ids(execution_id: UUID) -> CompoundSelect[Any]:
    """Those that it called for, that caused it, that its gates and tasks come from, and the verdicts on its gates."""
    named = [
        select(decisions.c.decision_id).where(decisions.c.execution_id == execution_id),
        select(EXECUTION.decision_id).where(EXECUTION.execution_id == execution_id),
        select(GATE.decision_id).where(GATE.workflow_execution_id == execution_id),
        select(GATE.requested_by_decision_id).where(GATE.workflow_execution_id == execution_id),
        select(TASK.decision_id).where(TASK.execution_id == execution_id),
        select(ASSIGNMENT.decision_id).where(ASSIGNMENT.execution_id == execution_id),
    ]
    return union(*named)


def _said_meanwhile(execution_id: UUID) -> ColumnElement[bool]:
    """Messages from or to agents that have or had tasks of it, between its start and its end: a message names none."""
    workers = select(TASK.assigned_agent_id).where(TASK.execution_id == execution_id)
    lasted = exists().where(
        EXECUTION.execution_id == execution_id,
        MESSAGE.created_at >= EXECUTION.created_at,
        or_(EXECUTION.completed_at.is_(None), MESSAGE.created_at <= EXECUTION.completed_at),
    )
    return and_(or_(MESSAGE.from_agent_id.in_(workers), MESSAGE.to_agent_id.in_(workers)), lasted)


def _of(column: Column[Any]) -> Belongs:
    return lambda execution_id: column == execution_id


SECTIONS = (
    Section("steps", workflow_steps, _of(workflow_steps.c.execution_id), (workflow_steps.c.step_number,)),
    Section("tasks", tasks, _of(TASK.execution_id), (TASK.task_id,)),
    Section(
        "task_progress",
        task_progress,
        lambda execution_id: task_progress.c.task_id.in_(_task_ids(execution_id)),
        (task_progress.c.task_id,),
    ),
    Section("quality_gates", quality_gates, _of(GATE.workflow_execution_id), (GATE.gate_id,)),
    Section(
        "gate_reviews",
        gate_reviewers,
        lambda execution_id: gate_reviewers.c.gate_id.in_(_gate_ids(execution_id)),
        (gate_reviewers.c.review_id,),
    ),
    Section(
        "decision_evidence",
        decision_evidence,
        lambda execution_id: decision_evidence.c.decision_id.in_(_decision_ids(execution_id)),
        (decision_evidence.c.evidence_id,),
    ),
    Section("model_assignments", model_assignments, _of(ASSIGNMENT.execution_id), (ASSIGNMENT.assignment_id,)),
    Section("messages", agent_messages, _said_meanwhile, (MESSAGE.message_id,)),
    Section("signals", workflow_signals, _of(workflow_signals.c.execution_id), (workflow_signals.c.signal_id,)),
    Section("errors", workflow_errors, _of(workflow_errors.c.execution_id), (workflow_errors.c.error_id,)),
)
"""All but the execution and its template, of which there is one each, the decisions, and the events."""


@dataclass(frozen=True)
class Head:
    """The execution and its template as JSON texts, and since when its events are to be looked for."""

    execution: str
    template: str
    read_at: datetime
    events_since: datetime


async def read_head(connection: AsyncConnection, execution_id: UUID) -> Head | None:
    """What a history begins with; None where there is no such execution."""
    template = workflow_templates.c
    own = select(*record_columns(workflow_templates)).where(
        template.template_name == EXECUTION.workflow_name, template.template_version == EXECUTION.template_version
    )
    template_text = _texts(own.correlate(workflow_executions)).scalar_subquery()
    record = _texts(select(*record_columns(workflow_executions)).where(EXECUTION.execution_id == execution_id))
    oldest = (
        select(func.min(decisions.c.created_at))
        .where(decisions.c.decision_id.in_(_decision_ids(execution_id)))
        .scalar_subquery()
    )
    statement: Select[Any] = select(
        record.scalar_subquery(), template_text, func.now(), func.least(EXECUTION.created_at, oldest)
    ).where(EXECUTION.execution_id == execution_id)
    row = (await connection.execute(statement)).first()
    return None if row is None else Head(*row)


async def records(
    connection: AsyncConnection, section: Section, execution_id: UUID
) -> AsyncGenerator[Sequence[str], None]:
    """The JSON texts of a section's records, page by page."""
    async for page in _pages(connection, section.statement(execution_id)):
        yield [row[0] for row in page]


async def decision_rows(connection: AsyncConnection, execution_id: UUID) -> AsyncGenerator[Sequence[Row[Any]], None]:
    """The decisions by page: `record`, which shows nothing that is sealed, `decision_id`, and the sealed columns."""
    own = select(*record_columns(decisions)).where(decisions.c.decision_id.in_(_decision_ids(execution_id)))
    sealed = [column for column in decisions.columns if isinstance(column.type, LargeBinary)]
    record = own.subquery("record")
    statement: Select[Any] = (
        select(_text_of(record).label("record"), decisions.c.decision_id, *sealed)
        .select_from(record.join(decisions, decisions.c.decision_id == record.c.decision_id))
        .order_by(decisions.c.decision_id)
    )
    async for page in _pages(connection, statement):
        yield page


async def event_records(
    connection: AsyncConnection, execution_id: UUID, since: datetime
) -> AsyncGenerator[Sequence[str], None]:
    """The JSON texts of all that is recorded of the execution and of what belongs to it, in the order of the log."""
    subjects = _subjects(execution_id)
    about = and_(EVENT.aggregate == subjects.c.aggregate, EVENT.entity_id == subjects.c.entity_id)
    rows: Select[Any] = (
        select(*record_columns(event_log))
        .select_from(event_log.join(subjects, about))
        # partitions that ended before cannot have any
        .where(EVENT.created_at >= since - SLACK)
        .order_by(EVENT.xid, EVENT.id)
    )
    async for page in _pages(connection, _texts(rows)):
        yield [row[0] for row in page]


def _subjects(execution_id: UUID) -> FromClause:
    """What events of the execution's history are about."""
    ids: Sequence[tuple[Aggregate, Any]] = (
        (Aggregate.TASK, _task_ids(execution_id)),
        (Aggregate.QUALITY_GATE, _gate_ids(execution_id)),
        (
            Aggregate.MODEL_ASSIGNMENT,
            select(ASSIGNMENT.assignment_id).where(ASSIGNMENT.execution_id == execution_id),
        ),
        (Aggregate.DECISION, _decision_ids(execution_id)),
        (Aggregate.WORKFLOW, select(EXECUTION.execution_id).where(EXECUTION.execution_id == execution_id)),
    )
    named = []
    for aggregate, found in ids:
        (key,) = found.subquery().columns
        named.append(
            select(literal(aggregate.value, Text).label("aggregate"), cast(key, Text).label("entity_id")).where(
                key.is_not(None)
            )
        )
    return union_all(*named).subquery("subjects")


async def _pages(connection: AsyncConnection, statement: Select[Any]) -> AsyncGenerator[Sequence[Row[Any]], None]:
    async with connection.stream(statement, execution_options={"yield_per": PAGE}) as result:
        async for page in result.partitions():
            yield page
