"""All tables of the first delivery, and the two halves of the event log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from db.tables.events import Xid8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = JSONB(none_as_null=True)
TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    _agents()
    _api_tokens()
    _event_log()
    _idempotency_keys()
    _resource_metrics()
    _workflow_templates()
    _agent_messages()
    _agent_reports()
    _decisions()
    _workflow_executions()
    _decision_evidence()
    _quality_gates()
    _workflow_errors()
    _workflow_steps()
    _gate_reviewers()
    _tasks()
    _model_assignments()
    _task_progress()
    # decisions and executions refer to each other
    op.create_foreign_key(
        op.f("fk_decisions_execution_id"), "decisions", "workflow_executions", ["execution_id"], ["execution_id"]
    )
    for retention in ("audit", "report"):
        op.execute(
            f"CREATE TABLE event_log_{retention} PARTITION OF event_log FOR VALUES IN ('{retention}')"
            " PARTITION BY RANGE (created_at)"
        )


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=False),
        sa.Column("agent_role", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="offline", nullable=False),
        sa.Column("capabilities", ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("concurrency", sa.Integer(), server_default="1", nullable=False),
        sa.Column("extension_config", JSON, server_default="{}", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "agent_id ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)+$' AND length(agent_id) <= 100", name=op.f("ck_agents_agent_id")
        ),
        sa.CheckConstraint(
            "agent_role IN ('pm', 'architect', 'developer', 'qa', 'ux', 'analyst', 'coordinator', 'specialist')",
            name=op.f("ck_agents_agent_role"),
        ),
        sa.CheckConstraint("btrim(agent_name) <> ''", name=op.f("ck_agents_agent_name")),
        sa.CheckConstraint("status IN ('offline', 'idle', 'active', 'busy', 'error')", name=op.f("ck_agents_status")),
        sa.CheckConstraint("concurrency >= 1 AND concurrency <= 64", name=op.f("ck_agents_concurrency")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_agents")),
    )
    op.create_index(op.f("ix_agents_status_agent_id"), "agents", ["status", "agent_id"])


def _api_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.UUID(), nullable=False),
        sa.Column("token_name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("btrim(token_name) <> ''", name=op.f("ck_api_tokens_token_name")),
        sa.CheckConstraint(
            "role <> 'agent' OR agent_id IS NOT NULL", name=op.f("ck_api_tokens_agent_token_names_its_agent")
        ),
        sa.CheckConstraint("role IN ('viewer', 'agent', 'reviewer', 'pm', 'admin')", name=op.f("ck_api_tokens_role")),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )


def _event_log() -> None:
    op.create_table(
        "event_log",
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("retention", sa.Text(), nullable=False),
        sa.Column("aggregate", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", JSON, server_default="{}", nullable=False),
        sa.CheckConstraint(
            "aggregate IN ('agent', 'task', 'workflow', 'decision', 'quality_gate', 'model_assignment',"
            " 'metrics', 'api_token')",
            name=op.f("ck_event_log_aggregate"),
        ),
        sa.CheckConstraint("retention IN ('audit', 'report')", name=op.f("ck_event_log_retention")),
        postgresql_partition_by="LIST (retention)",
    )
    op.create_index(
        op.f("ix_event_log_aggregate_entity_id_xid_id"), "event_log", ["aggregate", "entity_id", "xid", "id"]
    )
    op.create_index(op.f("ix_event_log_xid_id"), "event_log", ["xid", "id"])


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_keys")),
    )


def _resource_metrics() -> None:
    op.create_table(
        "resource_metrics",
        sa.Column("metric_id", sa.UUID(), nullable=False),
        sa.Column("measurement_time", TIME, nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("cpu_usage", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("memory_usage", sa.Numeric(precision=14, scale=3), nullable=True),
        sa.Column("disk_usage", sa.Numeric(precision=14, scale=3), nullable=True),
        sa.Column("network_io", sa.Numeric(precision=14, scale=3), nullable=True),
        sa.Column("active_sessions", sa.Integer(), nullable=True),
        sa.Column("database_connections", sa.Integer(), nullable=True),
        sa.Column("response_time", sa.Integer(), nullable=True),
        sa.Column("error_rate", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("optimization_score", sa.Numeric(precision=4, scale=2), nullable=True),
        sa.Column("optimization_suggestions", JSON, server_default="[]", nullable=False),
        sa.Column("alert_level", sa.Text(), server_default="normal", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "alert_level IN ('normal', 'warning', 'critical', 'emergency')",
            name=op.f("ck_resource_metrics_alert_level"),
        ),
        sa.CheckConstraint("active_sessions >= 0", name=op.f("ck_resource_metrics_active_sessions")),
        sa.CheckConstraint("cpu_usage >= 0 AND cpu_usage <= 100", name=op.f("ck_resource_metrics_cpu_usage")),
        sa.CheckConstraint("database_connections >= 0", name=op.f("ck_resource_metrics_database_connections")),
        sa.CheckConstraint(
            "disk_usage >= 0 AND disk_usage <= 99999999999", name=op.f("ck_resource_metrics_disk_usage")
        ),
        sa.CheckConstraint("error_rate >= 0 AND error_rate <= 100", name=op.f("ck_resource_metrics_error_rate")),
        sa.CheckConstraint(
            "memory_usage >= 0 AND memory_usage <= 99999999999", name=op.f("ck_resource_metrics_memory_usage")
        ),
        sa.CheckConstraint(
            "network_io >= 0 AND network_io <= 99999999999", name=op.f("ck_resource_metrics_network_io")
        ),
        sa.CheckConstraint(
            "optimization_score >= 0 AND optimization_score <= 10", name=op.f("ck_resource_metrics_optimization_score")
        ),
        sa.CheckConstraint("response_time >= 0", name=op.f("ck_resource_metrics_response_time")),
        sa.PrimaryKeyConstraint("metric_id", "measurement_time", name=op.f("pk_resource_metrics")),
        postgresql_partition_by="RANGE (measurement_time)",
    )
    op.create_index(
        op.f("ix_resource_metrics_agent_id_measurement_time_metric_id"),
        "resource_metrics",
        ["agent_id", "measurement_time", "metric_id"],
    )
    op.create_index(
        op.f("ix_resource_metrics_execution_id_measurement_time_metric_id"),
        "resource_metrics",
        ["execution_id", "measurement_time", "metric_id"],
    )
    op.create_index(
        op.f("ix_resource_metrics_measurement_time_metric_id"), "resource_metrics", ["measurement_time", "metric_id"]
    )


def _workflow_templates() -> None:
    op.create_table(
        "workflow_templates",
        sa.Column("template_name", sa.Text(), nullable=False),
        sa.Column("template_version", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("spec", JSON, server_default="{}", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("template_name", "template_version", name=op.f("pk_workflow_templates")),
    )


def _agent_messages() -> None:
    op.create_table(
        "agent_messages",
        sa.Column("message_id", sa.UUID(), nullable=False),
        sa.Column("from_agent_id", sa.Text(), nullable=False),
        sa.Column("to_agent_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("btrim(body) <> ''", name=op.f("ck_agent_messages_body")),
        sa.ForeignKeyConstraint(["from_agent_id"], ["agents.agent_id"], name=op.f("fk_agent_messages_from_agent_id")),
        sa.ForeignKeyConstraint(["to_agent_id"], ["agents.agent_id"], name=op.f("fk_agent_messages_to_agent_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_agent_messages")),
    )
    op.create_index(
        op.f("ix_agent_messages_from_agent_id_created_at"), "agent_messages", ["from_agent_id", "created_at"]
    )
    op.create_index(op.f("ix_agent_messages_to_agent_id_created_at"), "agent_messages", ["to_agent_id", "created_at"])


def _agent_reports() -> None:
    op.create_table(
        "agent_reports",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("resource_utilization", JSON, server_default="{}", nullable=False),
        sa.Column("performance_metrics", JSON, server_default="{}", nullable=False),
        sa.Column("observed", JSON, server_default="{}", nullable=False),
        sa.Column("last_activity", TIME, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.agent_id"], name=op.f("fk_agent_reports_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_agent_reports")),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.UUID(), nullable=False),
        sa.Column("decision_type", sa.Text(), nullable=False),
        sa.Column("context_data_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("reasoning_process_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("confidence_score", sa.Integer(), nullable=False),
        sa.Column("agent_assignments", JSON, server_default="{}", nullable=False),
        sa.Column("resource_optimization", JSON, server_default="{}", nullable=False),
        sa.Column("learning_notes", sa.Text(), server_default="", nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("btrim(outcome) <> ''", name=op.f("ck_decisions_outcome")),
        sa.CheckConstraint(
            "decision_type IN ('task_assignment', 'quality_gate', 'resource_allocation', 'escalation',"
            " 'model_assignment')",
            name=op.f("ck_decisions_decision_type"),
        ),
        sa.CheckConstraint(
            "confidence_score >= 1 AND confidence_score <= 10", name=op.f("ck_decisions_confidence_score")
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.agent_id"], name=op.f("fk_decisions_agent_id")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
    )
    op.create_index(op.f("ix_decisions_agent_id_decision_id"), "decisions", ["agent_id", "decision_id"])
    op.create_index(op.f("ix_decisions_created_at_decision_id"), "decisions", ["created_at", "decision_id"])
    op.create_index(op.f("ix_decisions_execution_id_decision_id"), "decisions", ["execution_id", "decision_id"])


def _workflow_executions() -> None:
    op.create_table(
        "workflow_executions",
        sa.Column("execution_id", sa.UUID(), nullable=False),
        sa.Column("workflow_name", sa.Text(), nullable=False),
        sa.Column("template_version", sa.Integer(), nullable=False),
        sa.Column("execution_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("trigger_type", sa.Text(), nullable=False),
        sa.Column("triggered_by", sa.Text(), nullable=False),
        sa.Column("input_context", JSON, server_default="{}", nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=True),
        sa.Column("current_phase", sa.Text(), nullable=True),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("last_activity", TIME, server_default=NOW, nullable=False),
        sa.Column("wake_seq", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("handled_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("btrim(triggered_by) <> ''", name=op.f("ck_workflow_executions_triggered_by")),
        sa.CheckConstraint(
            "execution_status IN ('pending', 'running', 'paused', 'failed', 'completed', 'cancelled')",
            name=op.f("ck_workflow_executions_execution_status"),
        ),
        sa.CheckConstraint(
            "trigger_type IN ('manual', 'scheduled', 'agent_request', 'quality_gate', 'escalation')",
            name=op.f("ck_workflow_executions_trigger_type"),
        ),
        sa.CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name=op.f("ck_workflow_executions_lease")),
        sa.CheckConstraint("handled_seq <= wake_seq", name=op.f("ck_workflow_executions_handled_seq")),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.decision_id"], name=op.f("fk_workflow_executions_decision_id")
        ),
        sa.ForeignKeyConstraint(
            ["workflow_name", "template_version"],
            ["workflow_templates.template_name", "workflow_templates.template_version"],
            name="fk_workflow_executions_template",
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_workflow_executions")),
    )
    op.create_index(
        op.f("ix_workflow_executions_decision_id_execution_id"), "workflow_executions", ["decision_id", "execution_id"]
    )
    op.create_index(
        op.f("ix_workflow_executions_execution_status_execution_id"),
        "workflow_executions",
        ["execution_status", "execution_id"],
    )
    op.create_index(
        "ix_workflow_executions_runnable",
        "workflow_executions",
        ["execution_id"],
        unique=False,
        postgresql_where="wake_seq > handled_seq AND execution_status IN ('pending', 'running')",
    )


def _decision_evidence() -> None:
    op.create_table(
        "decision_evidence",
        sa.Column("evidence_id", sa.UUID(), nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("interval_start", TIME, nullable=False),
        sa.Column("interval_end", TIME, nullable=False),
        sa.Column("snapshot", JSON, server_default="{}", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "agent_id IS NOT NULL OR execution_id IS NOT NULL", name=op.f("ck_decision_evidence_subject")
        ),
        sa.CheckConstraint("interval_start <= interval_end", name=op.f("ck_decision_evidence_interval")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.agent_id"], name=op.f("fk_decision_evidence_agent_id")),
        sa.ForeignKeyConstraint(
            ["decision_id"],
            ["decisions.decision_id"],
            name=op.f("fk_decision_evidence_decision_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["workflow_executions.execution_id"], name=op.f("fk_decision_evidence_execution_id")
        ),
        sa.PrimaryKeyConstraint("evidence_id", name=op.f("pk_decision_evidence")),
    )
    op.create_index(
        op.f("ix_decision_evidence_decision_id_evidence_id"), "decision_evidence", ["decision_id", "evidence_id"]
    )


def _quality_gates() -> None:
    op.create_table(
        "quality_gates",
        sa.Column("gate_id", sa.UUID(), nullable=False),
        sa.Column("gate_name", sa.Text(), nullable=False),
        sa.Column("workflow_execution_id", sa.UUID(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("phase_attempt", sa.Integer(), nullable=True),
        sa.Column("gate_type", sa.Text(), nullable=False),
        sa.Column("validation_criteria", JSON, server_default="{}", nullable=False),
        sa.Column("automated_checks", JSON, server_default="[]", nullable=False),
        sa.Column("approval_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pm_decision", sa.Text(), nullable=True),
        sa.Column("quality_score", sa.Numeric(precision=4, scale=2), nullable=True),
        sa.Column("improvement_suggestions", sa.Text(), server_default="", nullable=False),
        sa.Column("escalation_required", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("escalation_reason", sa.Text(), nullable=True),
        sa.Column("decision_id", sa.UUID(), nullable=True),
        sa.Column("requested_by_decision_id", sa.UUID(), nullable=True),
        sa.Column("reviewed_at", TIME, nullable=True),
        sa.Column("approved_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "(approved_at IS NOT NULL) = (approval_status = 'approved')", name=op.f("ck_quality_gates_approved_at")
        ),
        sa.CheckConstraint(
            "NOT escalation_required OR btrim(coalesce(escalation_reason, '')) <> ''",
            name=op.f("ck_quality_gates_escalation_reason"),
        ),
        sa.CheckConstraint(
            "approval_status IN ('pending', 'in_review', 'requires_revision', 'approved', 'rejected')",
            name=op.f("ck_quality_gates_approval_status"),
        ),
        sa.CheckConstraint(
            "approval_status NOT IN ('approved', 'rejected') OR btrim(coalesce(pm_decision, '')) <> ''",
            name=op.f("ck_quality_gates_verdict_has_pm_decision"),
        ),
        sa.CheckConstraint("btrim(gate_name) <> ''", name=op.f("ck_quality_gates_gate_name")),
        sa.CheckConstraint(
            "gate_type IN ('content_validation', 'technical_review', 'security_check', 'performance_test',"
            " 'final_approval')",
            name=op.f("ck_quality_gates_gate_type"),
        ),
        sa.CheckConstraint("quality_score >= 0 AND quality_score <= 10", name=op.f("ck_quality_gates_quality_score")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name=op.f("fk_quality_gates_decision_id")),
        sa.ForeignKeyConstraint(
            ["requested_by_decision_id"],
            ["decisions.decision_id"],
            name=op.f("fk_quality_gates_requested_by_decision_id"),
        ),
        sa.ForeignKeyConstraint(
            ["workflow_execution_id"],
            ["workflow_executions.execution_id"],
            name=op.f("fk_quality_gates_workflow_execution_id"),
        ),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("pk_quality_gates")),
        sa.UniqueConstraint("decision_id", name=op.f("uq_quality_gates_decision_id")),
        sa.UniqueConstraint(
            "workflow_execution_id",
            "phase",
            "phase_attempt",
            name=op.f("uq_quality_gates_workflow_execution_id_phase_phase_attempt"),
        ),
    )
    op.create_index(op.f("ix_quality_gates_approval_status_gate_id"), "quality_gates", ["approval_status", "gate_id"])
    op.create_index(
        op.f("ix_quality_gates_requested_by_decision_id_gate_id"),
        "quality_gates",
        ["requested_by_decision_id", "gate_id"],
    )
    op.create_index(
        op.f("ix_quality_gates_workflow_execution_id_gate_id"), "quality_gates", ["workflow_execution_id", "gate_id"]
    )


def _workflow_errors() -> None:
    op.create_table(
        "workflow_errors",
        sa.Column("error_id", sa.UUID(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), server_default="error", nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", JSON, server_default="{}", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("severity IN ('warning', 'error', 'critical')", name=op.f("ck_workflow_errors_severity")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["workflow_executions.execution_id"], name=op.f("fk_workflow_errors_execution_id")
        ),
        sa.PrimaryKeyConstraint("error_id", name=op.f("pk_workflow_errors")),
    )
    op.create_index(op.f("ix_workflow_errors_execution_id_error_id"), "workflow_errors", ["execution_id", "error_id"])


def _workflow_steps() -> None:
    op.create_table(
        "workflow_steps",
        sa.Column("step_id", sa.UUID(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=False),
        sa.Column("step_number", sa.Integer(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step_status", sa.Text(), server_default="running", nullable=False),
        sa.Column("outcome", JSON, nullable=True),
        sa.Column("started_at", TIME, server_default=NOW, nullable=False),
        sa.Column("completed_at", TIME, nullable=True),
        sa.CheckConstraint(
            "step_status IN ('running', 'completed', 'failed')", name=op.f("ck_workflow_steps_step_status")
        ),
        sa.CheckConstraint("attempt >= 0", name=op.f("ck_workflow_steps_attempt")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["workflow_executions.execution_id"], name=op.f("fk_workflow_steps_execution_id")
        ),
        sa.PrimaryKeyConstraint("step_id", name=op.f("pk_workflow_steps")),
        sa.UniqueConstraint(
            "execution_id", "phase", "attempt", name=op.f("uq_workflow_steps_execution_id_phase_attempt")
        ),
        sa.UniqueConstraint("execution_id", "step_number", name=op.f("uq_workflow_steps_execution_id_step_number")),
    )


def _gate_reviewers() -> None:
    op.create_table(
        "gate_reviewers",
        sa.Column("review_id", sa.UUID(), nullable=False),
        sa.Column("gate_id", sa.UUID(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("score", sa.Numeric(precision=4, scale=2), nullable=True),
        sa.Column("feedback", sa.Text(), server_default="", nullable=False),
        sa.Column("assigned_at", TIME, server_default=NOW, nullable=False),
        sa.Column("reviewed_at", TIME, nullable=True),
        sa.CheckConstraint("btrim(reviewer) <> ''", name=op.f("ck_gate_reviewers_reviewer")),
        sa.CheckConstraint(
            "verdict IN ('approve', 'reject', 'request_revision')", name=op.f("ck_gate_reviewers_verdict")
        ),
        sa.CheckConstraint("(verdict IS NULL) = (reviewed_at IS NULL)", name=op.f("ck_gate_reviewers_reviewed_at")),
        sa.CheckConstraint("score >= 0 AND score <= 10", name=op.f("ck_gate_reviewers_score")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.agent_id"], name=op.f("fk_gate_reviewers_agent_id")),
        sa.ForeignKeyConstraint(
            ["gate_id"], ["quality_gates.gate_id"], name=op.f("fk_gate_reviewers_gate_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_gate_reviewers")),
        sa.UniqueConstraint(
            "gate_id", "revision", "reviewer", name=op.f("uq_gate_reviewers_gate_id_revision_reviewer")
        ),
    )
    op.create_index(op.f("ix_gate_reviewers_agent_id_review_id"), "gate_reviewers", ["agent_id", "review_id"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("task_kind", sa.Text(), server_default="work", nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=True),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("gate_id", sa.UUID(), nullable=True),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("task_name", sa.Text(), nullable=True),
        sa.Column("phase_attempt", sa.Integer(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("required_role", sa.Text(), nullable=True),
        sa.Column("required_capabilities", ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("complexity", sa.Integer(), server_default="5", nullable=False),
        sa.Column("depends_on", ARRAY(sa.UUID()), server_default="{}", nullable=False),
        sa.Column("assigned_agent_id", sa.Text(), nullable=True),
        sa.Column("input", JSON, server_default="{}", nullable=False),
        sa.Column("result", JSON, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_failures", sa.Integer(), server_default="3", nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "(status = 'pending') <= (assigned_agent_id IS NULL)", name=op.f("ck_tasks_pending_is_free")
        ),
        sa.CheckConstraint(
            "(status IN ('assigned', 'running')) <= (assigned_agent_id IS NOT NULL)",
            name=op.f("ck_tasks_held_by_an_agent"),
        ),
        sa.CheckConstraint("btrim(title) <> ''", name=op.f("ck_tasks_title")),
        sa.CheckConstraint(
            "required_role IN ('pm', 'architect', 'developer', 'qa', 'ux', 'analyst', 'coordinator', 'specialist')",
            name=op.f("ck_tasks_required_role"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'assigned', 'running', 'failed', 'completed', 'cancelled')",
            name=op.f("ck_tasks_status"),
        ),
        sa.CheckConstraint("task_kind IN ('work', 'decision', 'review')", name=op.f("ck_tasks_task_kind")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_tasks_attempts")),
        sa.CheckConstraint("complexity >= 1 AND complexity <= 10", name=op.f("ck_tasks_complexity")),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_tasks_failures")),
        sa.ForeignKeyConstraint(["assigned_agent_id"], ["agents.agent_id"], name=op.f("fk_tasks_assigned_agent_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name=op.f("fk_tasks_decision_id")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["workflow_executions.execution_id"], name=op.f("fk_tasks_execution_id")
        ),
        sa.ForeignKeyConstraint(["gate_id"], ["quality_gates.gate_id"], name=op.f("fk_tasks_gate_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
        sa.UniqueConstraint(
            "execution_id",
            "phase",
            "phase_attempt",
            "task_name",
            name=op.f("uq_tasks_execution_id_phase_phase_attempt_task_name"),
        ),
    )
    op.create_index(
        op.f("ix_tasks_assigned_agent_id_status_task_id"), "tasks", ["assigned_agent_id", "status", "task_id"]
    )
    op.create_index(op.f("ix_tasks_decision_id_task_id"), "tasks", ["decision_id", "task_id"])
    op.create_index(op.f("ix_tasks_execution_id_task_id"), "tasks", ["execution_id", "task_id"])
    op.create_index(op.f("ix_tasks_gate_id_task_id"), "tasks", ["gate_id", "task_id"])
    op.create_index(op.f("ix_tasks_status_task_id"), "tasks", ["status", "task_id"])


def _model_assignments() -> None:
    op.create_table(
        "model_assignments",
        sa.Column("assignment_id", sa.UUID(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("execution_id", sa.UUID(), nullable=True),
        sa.Column("decision_id", sa.UUID(), nullable=True),
        sa.Column("provider_name", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("assignment_reason", sa.Text(), nullable=False),
        sa.Column("task_complexity", sa.Integer(), nullable=False),
        sa.Column("estimated_cost", sa.Numeric(precision=14, scale=6), nullable=True),
        sa.Column("actual_cost", sa.Numeric(precision=14, scale=6), nullable=True),
        sa.Column("performance_score", sa.Numeric(precision=4, scale=2), nullable=True),
        sa.Column("processing_time", sa.BigInteger(), nullable=True),
        sa.Column("tokens_used", sa.BigInteger(), nullable=True),
        sa.Column("assignment_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("completed_at", TIME, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "assignment_reason IN ('complexity_high', 'cost_optimization', 'provider_preference', 'fallback')",
            name=op.f("ck_model_assignments_assignment_reason"),
        ),
        sa.CheckConstraint(
            "assignment_status IN ('pending', 'active', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_model_assignments_assignment_status"),
        ),
        sa.CheckConstraint("btrim(model_name) <> ''", name=op.f("ck_model_assignments_model_name")),
        sa.CheckConstraint(
            "provider_name IN ('claude_code', 'anthropic_claude', 'zai_glm')",
            name=op.f("ck_model_assignments_provider_name"),
        ),
        sa.CheckConstraint(
            "actual_cost >= 0 AND actual_cost <= 99999999.999999", name=op.f("ck_model_assignments_actual_cost")
        ),
        sa.CheckConstraint(
            "estimated_cost >= 0 AND estimated_cost <= 99999999.999999",
            name=op.f("ck_model_assignments_estimated_cost"),
        ),
        sa.CheckConstraint(
            "performance_score >= 0 AND performance_score <= 10", name=op.f("ck_model_assignments_performance_score")
        ),
        sa.CheckConstraint("processing_time >= 0", name=op.f("ck_model_assignments_processing_time")),
        sa.CheckConstraint(
            "task_complexity >= 1 AND task_complexity <= 10", name=op.f("ck_model_assignments_task_complexity")
        ),
        sa.CheckConstraint("tokens_used >= 0", name=op.f("ck_model_assignments_tokens_used")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.agent_id"], name=op.f("fk_model_assignments_agent_id")),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.decision_id"], name=op.f("fk_model_assignments_decision_id")
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["workflow_executions.execution_id"], name=op.f("fk_model_assignments_execution_id")
        ),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_model_assignments_task_id")),
        sa.PrimaryKeyConstraint("assignment_id", name=op.f("pk_model_assignments")),
    )
    op.create_index(
        op.f("ix_model_assignments_agent_id_assignment_id"), "model_assignments", ["agent_id", "assignment_id"]
    )
    op.create_index(
        op.f("ix_model_assignments_decision_id_assignment_id"), "model_assignments", ["decision_id", "assignment_id"]
    )
    op.create_index(
        op.f("ix_model_assignments_execution_id_assignment_id"), "model_assignments", ["execution_id", "assignment_id"]
    )
    op.create_index(
        op.f("ix_model_assignments_task_id_assignment_id"), "model_assignments", ["task_id", "assignment_id"]
    )


def _task_progress() -> None:
    op.create_table(
        "task_progress",
        sa.Column("task_id", sa.UUID(), nullable=False),
        sa.Column("percent", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("reported_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("percent >= 0 AND percent <= 100", name=op.f("ck_task_progress_percent")),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.task_id"], name=op.f("fk_task_progress_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_task_progress")),
    )
