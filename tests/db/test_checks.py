"""Every CHECK of the data model refuses a row that breaks it, in the migrated database.

The cases are derived from the metadata where the CHECK says enough (a list, a range, a text that is not blank) and
written here where it does not; a CHECK without a case fails the test.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import ARRAY, CheckConstraint, Column, DateTime, LargeBinary, Numeric, Table, Text, delete, insert, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from db.session import Database
from db.tables.installation import installation
from db.tables.registry import metadata

NOW = datetime.now(UTC)

APPROVED: Mapping[str, Any] = {"approval_status": "approved", "pm_decision": "so", "approved_at": NOW}
"""An approved gate."""

VALID: Mapping[str, Mapping[str, Any]] = {
    "agents": {"agent_id": "james-dev"},
    "decision_evidence": {"agent_id": "james-dev"},
    "decisions": {"reasoning_process_sealed": b"x" * 29},
    "workflow_schedules": {"start_at": NOW, "next_run_at": NOW},
}
"""What a valid row of a table needs beyond values of the right types."""

CASES: Mapping[str, list[Mapping[str, Any]]] = {
    "ck_installation_is_only": [{"is_only": False}],
    "ck_agents_agent_id": [
        {"agent_id": agent_id}
        for agent_id in (
            "james",
            "James-dev",
            "james-",
            "-dev",
            "1ames-dev",
            "james dev",
            "james-dev\n",
            "",
            "a-" + "b" * 99,
        )
    ],
    "ck_api_tokens_agent_token_names_its_agent": [{"role": "agent"}],
    "ck_workflow_executions_handled_seq": [{"wake_seq": 3, "handled_seq": 4}],
    "ck_workflow_executions_child": [
        {"parent_execution_id": new_id()},
        {"parent_execution_id": new_id(), "root_execution_id": new_id(), "parent_step": 1},
    ],
    "ck_workflow_signals_taken": [{"taken_by_step": 1}, {"taken_at": NOW}],
    "ck_workflow_executions_lease": [{"lease_owner": "worker"}, {"lease_until": NOW}],
    "ck_workflow_executions_forked_from": [{"forked_from_step": 1}],
    "ck_workflow_executions_concurrency": [
        {"concurrency_key": ""},
        {"concurrency_max": 1},
        {"concurrency_key": "", "concurrency_max": 0},
    ],
    "ck_workflow_executions_queued_at": [
        {"queued_at": NOW},
        {"queued_at": NOW, "concurrency_key": "", "concurrency_max": 1, "execution_status": "running"},
    ],
    "ck_workflow_executions_scheduled_for": [{"scheduled_for": NOW}],
    "ck_workflow_schedules_timing": [
        {"start_at": None},
        {"cron_expression": "0 * * * *"},
        {"cron_expression": "0 * * * *", "start_at": None, "interval_seconds": 60},
    ],
    "ck_workflow_schedules_schedule_status": [{"schedule_status": "no-such-value", "next_run_at": None}],
    "ck_workflow_schedules_next_run_at": [{"next_run_at": None}, {"schedule_status": "paused"}],
    "ck_decision_evidence_interval": [{"interval_start": NOW, "interval_end": NOW - timedelta(microseconds=1)}],
    "ck_decision_evidence_subject": [{"agent_id": None, "execution_id": None}],
    "ck_quality_gates_verdict_has_pm_decision": [
        {"approval_status": "rejected"},
        {"approval_status": "rejected", "pm_decision": "  "},
        {"approval_status": "approved", "approved_at": NOW},
    ],
    "ck_quality_gates_escalation_reason": [
        {"escalation_required": True, "escalated_at": NOW},
        {"escalation_required": True, "escalated_at": NOW, "escalation_reason": " "},
    ],
    "ck_quality_gates_escalated_at": [{"escalated_at": NOW}, {"escalation_required": True, "escalation_reason": "so"}],
    "ck_quality_gates_evidence": [{"evidence": {}}],
    "ck_quality_gates_evidence_hash": [{"evidence_hash": "0" * 63}, {"evidence_hash": "G" * 64}],
    "ck_quality_gates_verdict_evidence_hash": [{"verdict_evidence_hash": ""}],
    "ck_quality_gates_waiver": [
        {**APPROVED, "waived_by": "ann"},
        {**APPROVED, "waiver_reason": "so"},
        {**APPROVED, "waived_by": "ann", "waiver_reason": " "},
        {**APPROVED, "waived_by": " ", "waiver_reason": "so"},
    ],
    "ck_quality_gates_waived_is_approved": [{"waived_by": "ann", "waiver_reason": "so"}],
    "ck_quality_gates_closed_at": [{**APPROVED, "closed_at": NOW}],
    "ck_gate_reviewers_evidence_hash": [{"evidence_hash": "f" * 65}],
    "ck_quality_gates_automated_checks": [{"automated_checks": {}}],
    "ck_agent_messages_body_length": [{"body": "x" * 10_001}],
    "ck_quality_gates_approved_at": [
        {"approved_at": NOW},
        {"approval_status": "approved", "pm_decision": "good"},
        {"approval_status": "rejected", "pm_decision": "bad", "approved_at": NOW},
    ],
    "ck_gate_reviewers_verdict": [{"verdict": "no-such-value", "reviewed_at": NOW}],
    "ck_gate_reviewers_reviewed_at": [{"verdict": "approve"}, {"reviewed_at": NOW}],
    "ck_decisions_reasoning_process": [{"reasoning_process_sealed": b""}, {"reasoning_process_sealed": b"x" * 28}],
    "ck_model_assignments_failure_reason": [
        {"assignment_status": "failed"},
        {"assignment_status": "failed", "failure_reason": " "},
        {"assignment_status": "active", "failure_reason": "none"},
    ],
    "ck_model_assignments_fallback_of": [{"fallback_of": new_id(), "assignment_reason": "complexity_high"}],
    "ck_model_assignments_fallback_chain": [{"fallback_chain": {}}],
    "ck_resource_metrics_measurement_time": [
        {"created_at": NOW, "measurement_time": NOW + timedelta(minutes=5, microseconds=1)},
        {"created_at": NOW, "measurement_time": NOW - timedelta(days=90)},
    ],
    "ck_resource_metrics_optimization_suggestions": [{"optimization_suggestions": {}}],
    "ck_workflow_steps_completed_at": [
        {"started_at": NOW, "completed_at": NOW - timedelta(microseconds=1), "step_status": "completed"}
    ],
    "ck_workflow_steps_ended": [
        {"step_status": "completed"},
        {"step_status": "running", "started_at": NOW, "completed_at": NOW},
    ],
    "ck_workflow_steps_step_status": [{"step_status": "no-such-value", "started_at": NOW, "completed_at": NOW}],
    "ck_tasks_held_by_an_agent": [{"status": "assigned"}, {"status": "running"}],
    "ck_tasks_escalated_with_a_reason": [{"escalated_at": NOW}, {"escalation_reason": "failed 3 times"}],
    "ck_tasks_pending_is_free": [{"status": "pending", "assigned_agent_id": "james-dev"}],
}

LIMITS = r"(\w+) >= (-?[\d.]+)(?: AND \1 <= (-?[\d.]+))?"

NO_PARTITION = "no partition"
REFUSED_BY = {"ck_event_log_retention": NO_PARTITION}
"""The rows of a partitioned table are sent to a partition before the CHECK is asked."""


def checks(table: Table) -> dict[str, str]:
    return {str(c.name): str(c.sqltext) for c in table.constraints if isinstance(c, CheckConstraint)}


TABLES = [table for table in metadata.sorted_tables if checks(table)]


def a_value(column: Column[Any]) -> Any:
    if "enum" in column.info:
        return next(iter(column.info["enum"])).value
    for kind, value in ((Text, "x"), (UUID, new_id()), (LargeBinary, b"x"), (DateTime, NOW), (JSONB, {}), (ARRAY, [])):
        if isinstance(column.type, kind):
            return value
    return 1


def a_row(table: Table) -> dict[str, Any]:
    """A row that keeps all rules: values only where the table demands one."""
    demanded = [c for c in table.c if not c.nullable and c.server_default is None and c.identity is None]
    return {**{column.name: a_value(column) for column in demanded}, **VALID.get(table.name, {})}


def refused(table: Table, name: str, rule: str) -> list[Mapping[str, Any]]:
    """Values that break a rule, each alone."""
    if name in CASES:
        return CASES[name]
    if blank := re.fullmatch(r"btrim\((\w+)\) <> ''", rule):
        return [{blank[1]: ""}, {blank[1]: "   "}]
    if listed := re.fullmatch(r"(\w+) IN \(.*\)", rule):
        return [{listed[1]: "no-such-value"}, {listed[1]: ""}]
    if limits := re.fullmatch(LIMITS, rule):
        return [{limits[1]: value} for value in outside(table.c[limits[1]], limits[2], limits[3])]
    return []


def outside(column: Column[Any], low: str, high: str | None) -> Iterator[Any]:
    step = Decimal(1).scaleb(-(column.type.scale or 0)) if isinstance(column.type, Numeric) else 1
    number = Decimal if isinstance(column.type, Numeric) else int
    yield number(low) - step
    if high is not None and number(high) + step < 10 ** digits(column):
        yield number(high) + step


def digits(column: Column[Any]) -> int:
    """Digits before the point that the column's type takes; beyond them it is the type that refuses."""
    return (column.type.precision or 0) - (column.type.scale or 0) if isinstance(column.type, Numeric) else 9


def inside(table: Table, rule: str) -> list[Mapping[str, Any]]:
    """The ends of a range, which are allowed."""
    limits = re.fullmatch(LIMITS, rule)
    if limits is None:
        return []
    number = Decimal if isinstance(table.c[limits[1]].type, Numeric) else int
    return [{limits[1]: number(end)} for end in limits.groups()[1:] if end is not None]


async def broken_rule(connection: AsyncConnection, table: Table, row: Mapping[str, Any]) -> str | None:
    """The name of the CHECK that refuses a row, None when it is taken; it does not stay in either case."""
    savepoint = await connection.begin_nested()
    try:
        await connection.execute(insert(table).values(**row))
    except IntegrityError as error:
        cause = error.orig.__cause__ if error.orig else None
        if not isinstance(cause, asyncpg.CheckViolationError):
            raise
        return NO_PARTITION if "no partition" in str(cause) else cause.constraint_name
    else:
        return None
    finally:
        await savepoint.rollback()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_each_check_refuses_what_breaks_it_and_nothing_else(table: Table, database: Database) -> None:
    async with database.engine.connect() as connection:
        # foreign keys are not at issue here; this switches them off and leaves CHECKs
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(delete(installation))  # its one row is there from the beginning
        valid = a_row(table)
        assert await broken_rule(connection, table, valid) is None
        for name, rule in checks(table).items():
            bad = refused(table, name, rule)
            assert bad, f"{name} has no case: {rule}"
            for values in bad:
                assert await broken_rule(connection, table, {**valid, **values}) == REFUSED_BY.get(name, name), values
            for values in inside(table, rule):
                assert await broken_rule(connection, table, {**valid, **values}) is None, values
        await connection.rollback()


def test_no_case_is_for_a_check_that_is_gone() -> None:
    assert set(CASES) <= {name for table in TABLES for name in checks(table)}


def test_every_enum_and_status_column_has_a_check() -> None:
    unchecked = [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.c
        if "enum" in column.info and f"ck_{table.name}_{column.name}" not in checks(table)
    ]
    assert unchecked == []
