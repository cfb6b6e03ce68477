"""A small world to read: a team at work on a few executions, with something of everything, null and empty included."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Table

from app.security.sealing import Sealer
from db.tables.access import api_tokens
from db.tables.agents import agent_messages, agent_reports, agents
from db.tables.decisions import decision_evidence, decisions
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.tasks import task_progress, tasks
from db.tables.workflows import (
    workflow_errors,
    workflow_executions,
    workflow_schedules,
    workflow_steps,
    workflow_templates,
)

SEALER = Sealer(bytes(range(32)))
PAST = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SINCE = {"created_at": PAST, "updated_at": PAST}
TASKS = 45
"""Tasks of the first execution: more than two pages of the default size."""
CONTEXT = {"options": ["a", "b"], "text": 'quotes " and ünïcode \U0001f389'}
CHECKS = [
    {"name": "errors", "measure": "audit.errors", "measured": 0, "at_most": 0, "at_least": None, "passed": True},
    {"name": 'cov"erage', "measured": 71.25, "at_least": 80, "passed": False},
    {"name": "latency", "measured": None, "at_most": 1e-7, "passed": False},
]
CHAIN = [
    {"provider_name": "zai_glm", "model_name": "glm-4.5", "estimated_cost": "0.120000"},
    {"provider_name": "claude_code", "model_name": "claude-sonnet-4", "estimated_cost": None},
    {"provider_name": "anthropic_claude", "model_name": "claude-opus-4"},
]
REASONING = "Because b is cheaper.\nAnd a is slow."


def uid(kind: int, number: int) -> UUID:
    """A UUID that rises with the number; the kind keeps those of different tables apart."""
    return UUID(f"{number:08x}-0000-7000-8000-{kind:012x}")


AGENT, MESSAGE, TASK, DECISION, EVIDENCE, EXECUTION, STEP, ERROR, ASSIGNMENT, GATE, REVIEW, METRIC, TOKEN = range(13)
SCHEDULE = 13


def task(number: int) -> UUID:
    return uid(TASK, number)


def execution(number: int) -> UUID:
    return uid(EXECUTION, number)


def decision(number: int) -> UUID:
    return uid(DECISION, number)


def gate(number: int) -> UUID:
    return uid(GATE, number)


def rows() -> dict[Table, list[dict[str, Any]]]:
    """The rows by table, in an order in which foreign keys hold."""
    return {
        agents: _agents(),
        agent_reports: _reports(),
        agent_messages: _messages(),
        workflow_templates: _templates(),
        decisions: _decisions(),
        workflow_schedules: _schedules(),
        workflow_executions: _executions(),
        decision_evidence: _evidence(),
        quality_gates: _gates(),
        gate_reviewers: _reviews(),
        tasks: _tasks(),
        task_progress: _progress(),
        model_assignments: _assignments(),
        workflow_steps: _steps(),
        workflow_errors: _errors(),
        resource_metrics: _metrics(),
        api_tokens: _tokens(),
    }


def _agents() -> list[dict[str, Any]]:
    def agent(agent_id: str, name: str, role: str, status: str, *capabilities: str) -> dict[str, Any]:
        return {
            "agent_id": agent_id,
            "agent_name": name,
            "agent_role": role,
            "status": status,
            "capabilities": list(capabilities),
            "extension_config": {"model": "x", "depth": [1, {"a": None}]} if role == "pm" else {},
            **SINCE,
        }

    return [
        agent("john-pm", "John", "pm", "active"),
        agent("james-dev", "James", "developer", "busy", "python", "sql"),
        agent("quinn-qa", "Quinn", "qa", "idle", "testing"),
        # two of one name: the order must not rest on the name alone
        agent("quinn-ux", "Quinn", "ux", "offline"),
    ]


def _reports() -> list[dict[str, Any]]:
    old = {"performance_metrics": {"done": 3}, "resource_utilization": {"cpu_percent": 12.5}, "last_activity": PAST}
    fresh = {**old, "last_activity": datetime.now(UTC) + timedelta(hours=1)}
    return [{"agent_id": "john-pm", **fresh}, {"agent_id": "james-dev", **old}, {"agent_id": "quinn-qa", **old}]


def _messages() -> list[dict[str, Any]]:
    ways = [("john-pm", "james-dev"), ("james-dev", "john-pm"), ("john-pm", None), ("quinn-qa", "james-dev")]
    return [
        {
            "message_id": uid(MESSAGE, number),
            "from_agent_id": sender,
            "sent_by": sender,
            "to_agent_id": receiver,
            "body": "Hello",
        }
        for number, (sender, receiver) in enumerate(ways, 1)
    ]


def _templates() -> list[dict[str, Any]]:
    def template(name: str, version: int, phases: list[str]) -> dict[str, Any]:
        return {
            "template_name": name,
            "template_version": version,
            "description": f"{name}, version {version}",
            "spec": {"name": name, "phases": [{"name": phase, "kind": "task"} for phase in phases]},
            "created_at": PAST,
        }

    return [
        template("code-audit", 1, ["audit"]),
        template("feature-delivery", 1, ["build"]),
        template("feature-delivery", 2, ["build", "test"]),
    ]


def _decisions() -> list[dict[str, Any]]:
    def one(number: int, **values: Any) -> dict[str, Any]:
        row_id = decision(number)
        texts = {"context_data": orjson.dumps(CONTEXT), "reasoning_process": REASONING.encode()}
        sealed = SEALER.seal_row("decisions", str(row_id), texts)
        return {
            "decision_id": row_id,
            "decision_type": "task_assignment",
            "context_data_sealed": sealed.columns["context_data"],
            "reasoning_process_sealed": sealed.columns["reasoning_process"],
            "sealed_key": sealed.wrapped_key,
            "outcome": f"Decision {number}",
            "confidence_score": 1 + number % 10,
            "agent_assignments": {"james-dev": ["build"]} if number == 1 else {},
            "decided_by": "john-pm",
            "agent_id": "john-pm",
            **SINCE,
            **values,
        }

    return [
        one(1),
        one(2, decision_type="quality_gate"),
        # its key was destroyed
        one(3, sealed_key=None, agent_id=None, decided_by="root"),
        one(4, decision_type="escalation", learning_notes="Ask earlier."),
    ]


def _executions() -> list[dict[str, Any]]:
    def one(number: int, status: str, **values: Any) -> dict[str, Any]:
        return {
            "execution_id": execution(number),
            "workflow_name": "feature-delivery",
            "template_version": 2,
            "execution_status": status,
            "trigger_type": "manual",
            "triggered_by": "root",
            "input_context": {"request": f"Request {number}", "empty": None, "nested": {"b": 1, "a": 2}},
            "decision_id": None,
            "current_phase": None,
            "started_at": None,
            "completed_at": None,
            "last_activity": PAST,
            "forked_from_id": None,
            "forked_from_step": None,
            "concurrency_key": None,
            "concurrency_max": None,
            "queued_at": None,
            "schedule_id": None,
            "scheduled_for": None,
            **SINCE,
            **values,
        }

    ended = {"started_at": PAST, "completed_at": PAST + timedelta(milliseconds=90_500.5)}
    return [
        one(1, "completed", decision_id=decision(1), current_phase="test", **ended),
        one(
            2,
            "pending",
            decision_id=decision(1),
            forked_from_id=execution(1),
            forked_from_step=2,
            concurrency_key="",
            concurrency_max=1,
            queued_at=PAST,
            schedule_id=uid(SCHEDULE, 1),
            scheduled_for=PAST,
        ),
        one(3, "failed", workflow_name="code-audit", template_version=1, trigger_type="agent_request", **ended),
    ]


def _schedules() -> list[dict[str, Any]]:
    def one(number: int, status: str, **values: Any) -> dict[str, Any]:
        return {
            "schedule_id": uid(SCHEDULE, number),
            "schedule_name": f"Schedule {number % 2}",
            "schedule_status": status,
            "workflow_name": "code-audit",
            "input_context": {"page": number},
            "cron_expression": None,
            "interval_seconds": None,
            "start_at": None,
            "next_run_at": None,
            "next_runs": [],
            "last_error": None,
            "last_run_at": None,
            "created_by": "root",
            **SINCE,
            **values,
        }

    soon = [PAST + timedelta(hours=hours) for hours in range(3)]
    return [
        one(1, "active", cron_expression="0 * * * *", next_run_at=soon[0], next_runs=soon, last_run_at=PAST),
        one(2, "paused", interval_seconds=60, start_at=PAST),
        one(3, "ended", start_at=PAST, last_error="It could not be started.", last_run_at=PAST),
    ]


def _evidence() -> list[dict[str, Any]]:
    base = {"interval_start": PAST, "interval_end": PAST + timedelta(hours=1), "created_at": PAST}
    return [
        {**base, "evidence_id": uid(EVIDENCE, 1), "decision_id": decision(1), "agent_id": "james-dev",
         "execution_id": None, "snapshot": {"cpu": 3}},
        {**base, "evidence_id": uid(EVIDENCE, 2), "decision_id": decision(1), "agent_id": None,
         "execution_id": execution(3), "snapshot": [1, 2]},
    ]  # fmt: skip


def _gates() -> list[dict[str, Any]]:
    def one(number: int, status: str, **values: Any) -> dict[str, Any]:
        return {
            "gate_id": gate(number),
            "gate_name": f"Gate {number}",
            "workflow_execution_id": execution(1),
            "phase": f"gate-{number}",
            "gate_type": "technical_review",
            "automated_checks": CHECKS if number == 1 else [],
            "approval_status": status,
            "pm_decision": None,
            "quality_score": None,
            "decision_id": None,
            "requested_by_decision_id": None,
            "approved_at": None,
            "revision": 0,
            **SINCE,
            **values,
        }

    return [
        one(1, "approved", pm_decision="Fine.", decision_id=decision(2), revision=1, approved_at=PAST,
            quality_score=Decimal("8.50")),
        one(2, "in_review", requested_by_decision_id=decision(1)),
        one(3, "pending", requested_by_decision_id=decision(1)),
    ]  # fmt: skip


def _reviews() -> list[dict[str, Any]]:
    """Of gate 1, which came once again: one review of revision 0, two of revision 1; of gate 2 one."""

    def one(number: int, reviewer: str, agent_id: str | None, revision: int, verdict: str | None) -> dict[str, Any]:
        return {
            "review_id": uid(REVIEW, number),
            "gate_id": gate(2 if number == 3 else 1),
            "reviewer": reviewer,
            "agent_id": agent_id,
            "revision": revision,
            "verdict": verdict,
            "score": Decimal("7.00") if verdict else None,
            "feedback": "Good." if verdict else "",
            "assigned_at": PAST,
            "reviewed_at": PAST if verdict else None,
        }

    return [
        one(1, "quinn-qa", "quinn-qa", 1, "approve"),
        one(2, "alice", None, 0, "request_revision"),
        one(3, "quinn-qa", "quinn-qa", 0, None),
        one(4, "alice", None, 1, None),
    ]


def _tasks() -> list[dict[str, Any]]:
    def one(number: int, **values: Any) -> dict[str, Any]:
        return {
            "task_id": task(number),
            "title": f"Task {number}",
            "description": f"What to do in task {number}",
            "status": "completed",
            "execution_id": execution(1),
            "decision_id": decision(1),
            "gate_id": None,
            "phase": "build",
            "task_name": f"task-{number}",
            "phase_attempt": 1,
            "assigned_agent_id": "james-dev" if number % 2 else "quinn-qa",
            "required_role": "developer" if number % 3 == 0 else None,
            "required_capabilities": ["python"] if number % 3 == 0 else [],
            "complexity": 1 + number % 10,
            "depends_on": [task(number - 1), task(number - 2)] if number > 40 else [],
            "result": {"lines": number} if number % 4 else None,
            "attempts": 1 + number % 3,
            "failures": number % 3,
            "task_kind": "work",
            "started_at": PAST,
            "completed_at": PAST + timedelta(seconds=number),
            "created_at": PAST,
            "updated_at": PAST + timedelta(seconds=number),
            **values,
        }

    free = {"assigned_agent_id": None, "started_at": None, "completed_at": None, "result": None}
    outside = {"execution_id": None, "decision_id": None, "phase": None, "task_name": None, "phase_attempt": None}
    return [
        *[one(number) for number in range(1, TASKS + 1)],
        one(46, **free, status="pending", execution_id=execution(2), depends_on=[task(1), task(45)]),
        one(47, **outside, status="assigned", started_at=None, completed_at=None),
        one(48, status="assigned", started_at=None, completed_at=None, task_kind="review", gate_id=gate(2)),
    ]


def _progress() -> list[dict[str, Any]]:
    return [
        {"task_id": task(1), "percent": Decimal("100.00"), "message": "Done.", "reported_at": PAST},
        {"task_id": task(47), "percent": None, "message": "Reading.", "reported_at": PAST},
    ]


def _assignments() -> list[dict[str, Any]]:
    def one(number: int, status: str, **values: Any) -> dict[str, Any]:
        return {
            "assignment_id": uid(ASSIGNMENT, number),
            "agent_id": "james-dev",
            "task_id": task(number),
            "execution_id": execution(1),
            "decision_id": decision(1) if number % 2 else None,
            "provider_name": "claude_code",
            "model_name": "claude-sonnet-4",
            "assignment_reason": "complexity_high",
            "task_complexity": 7,
            "estimated_cost": Decimal("0.123400"),
            "actual_cost": None,
            "processing_time": None,
            "tokens_used": None,
            "assignment_status": status,
            "failure_reason": None,
            "fallback_of": None,
            "fallback_chain": [],
            **SINCE,
            **values,
        }

    done = {"actual_cost": Decimal("1.100000"), "processing_time": 2**40, "tokens_used": 5_000_000_000}
    fallback = {"fallback_of": uid(ASSIGNMENT, 4), "assignment_reason": "fallback", "fallback_chain": CHAIN[1:]}
    return [
        one(1, "completed", **done),
        one(2, "active"),
        one(3, "pending", provider_name="zai_glm"),
        one(4, "failed", failure_reason="Overloaded.", fallback_chain=CHAIN),
        one(5, "active", provider_name="zai_glm", model_name="glm-4.5", **fallback),
    ]


def _steps() -> list[dict[str, Any]]:
    return [
        {
            "step_id": uid(STEP, number),
            "execution_id": execution(1),
            "step_number": number,
            "phase": phase,
            "attempt": 1,
            "step_status": status,
            "outcome": {"task": str(task(number))} if status == "completed" else None,
            "started_at": PAST,
            "completed_at": PAST if status == "completed" else None,
        }
        for number, (phase, status) in enumerate([("build", "completed"), ("test", "running")], 1)
    ]


def _errors() -> list[dict[str, Any]]:
    facts = {"severity": "critical", "message": "It broke.", "detail": {"line": 3}, "created_at": PAST}
    return [{"error_id": uid(ERROR, 1), "execution_id": execution(3), "phase": "audit", **facts}]


def _metrics() -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        {
            "metric_id": uid(METRIC, number),
            # two at one time: the order must not rest on the time alone
            "measurement_time": now - timedelta(seconds=10 * (number // 2)),
            "agent_id": None if number == 5 else "james-dev",
            "execution_id": execution(1) if number % 2 else None,
            "cpu_usage": Decimal("12.50"),
            "memory_usage": Decimal("100.000") * number,
            "active_sessions": number,
            "optimization_suggestions": ["sleep"],
            "alert_level": "warning" if number == 3 else "normal",
            "created_at": now,
        }
        for number in range(1, 7)
    ]


def _tokens() -> list[dict[str, Any]]:
    return [
        {
            "token_id": uid(TOKEN, number),
            "token_name": name,
            "token_hash": name.encode(),
            "role": role,
            "agent_id": agent_id,
            "revoked_at": PAST if name == "old" else None,
            **SINCE,
        }
        for number, (name, role, agent_id) in enumerate(
            [("root", "admin", None), ("james", "agent", "james-dev"), ("old", "viewer", None)], 1
        )
    ]
