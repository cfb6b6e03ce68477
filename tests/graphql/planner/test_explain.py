"""The shape of the hot statements on a few thousand rows: indexes, no table read from end to end, no great sort."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.principals import Role
from db.partitions import Span
from db.session import Database
from graphql_schema.schema import HubSchema
from tests.graphql.planner.conftest import Reader, principal

LARGE = "SELECT json_agg(relname) FROM pg_class WHERE relkind = 'r' AND reltuples > 1000"
"""Tables with a few hundred rows, and partitions with none, are best read whole."""
FILL = """
INSERT INTO agents (agent_id, agent_name, agent_role, status)
    SELECT 'agent-' || n, 'Agent ' || n, 'developer', 'idle' FROM generate_series(1, 200) n;
INSERT INTO agent_reports (agent_id) SELECT agent_id FROM agents;
INSERT INTO workflow_templates (template_name, template_version, description, spec) VALUES ('plain', 1, 'd', '{}');
INSERT INTO decisions (decision_id, decision_type, context_data_sealed, reasoning_process_sealed, outcome,
        confidence_score, decided_by, agent_id)
    SELECT id(1, n), 'escalation', '', convert_to(repeat('x', 29), 'UTF8'), 'o', 5, 'a', 'agent-' || 1 + n % 200
    FROM generate_series(1, 4000) n;
INSERT INTO workflow_executions (execution_id, workflow_name, template_version, trigger_type, triggered_by,
        decision_id, execution_status)
    SELECT id(2, n), 'plain', 1, 'manual', 'a', id(1, n), CASE WHEN n % 40 = 0 THEN 'running' ELSE 'completed' END
    FROM generate_series(1, 4000) n;
UPDATE decisions SET execution_id = id(2, outcome_number) FROM (
    SELECT decision_id AS of_id, row_number() OVER () AS outcome_number FROM decisions) n WHERE decision_id = of_id;
INSERT INTO quality_gates (gate_id, gate_name, workflow_execution_id, gate_type, requested_by_decision_id,
        approval_status, pm_decision)
    SELECT id(3, n), 'g', id(2, 1 + n % 4000), 'security_check', id(1, 1 + n % 4000),
    CASE WHEN n % 200 = 0 THEN 'pending' ELSE 'rejected' END, 'p' FROM generate_series(1, 12000) n;
INSERT INTO gate_reviewers (review_id, gate_id, reviewer, agent_id)
    SELECT id(4, n), id(3, n), 'r', 'agent-' || 1 + n % 200 FROM generate_series(1, 12000) n;
INSERT INTO tasks (task_id, title, execution_id, decision_id, gate_id, assigned_agent_id, status)
    SELECT id(5, n), 't', id(2, 1 + n % 4000), id(1, 1 + n % 4000), id(3, n), 'agent-' || 1 + n % 200,
    CASE WHEN n % 150 = 0 THEN 'failed' ELSE 'completed' END
    FROM generate_series(1, 12000) n;
INSERT INTO task_progress (task_id) SELECT task_id FROM tasks;
INSERT INTO model_assignments (assignment_id, agent_id, task_id, execution_id, decision_id, provider_name, model_name,
        assignment_reason, task_complexity)
    SELECT id(6, n), 'agent-' || 1 + n % 200, id(5, n), id(2, 1 + n % 4000), id(1, 1 + n % 4000), 'claude_code', 'm',
    'fallback', 5 FROM generate_series(1, 12000) n;
INSERT INTO workflow_steps (step_id, execution_id, step_number, phase, attempt)
    SELECT id(7, n), id(2, 1 + n % 4000), n, 'p', n FROM generate_series(1, 12000) n;
INSERT INTO workflow_errors (error_id, execution_id, message)
    SELECT id(8, n), id(2, 1 + n % 4000), 'm' FROM generate_series(1, 12000) n;
INSERT INTO agent_messages (message_id, from_agent_id, sent_by, to_agent_id, body)
    SELECT id(9, n), 'agent-' || 1 + n % 200, 's', 'agent-' || 1 + n % 199, 'b' FROM generate_series(1, 12000) n;
INSERT INTO decision_evidence (evidence_id, decision_id, agent_id, interval_start, interval_end)
    SELECT id(10, n), id(1, 1 + n % 4000), 'agent-1', now(), now() FROM generate_series(1, 12000) n;
INSERT INTO resource_metrics (metric_id, measurement_time, agent_id, execution_id)
    SELECT id(11, n), now() - make_interval(mins => 2 * n), 'agent-' || 1 + n % 200, id(2, 1 + n % 4000)
    FROM generate_series(1, 12000) n;
"""
MAKE_ID = """
CREATE FUNCTION id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(kind), 12, '0'))::uuid $$
"""

INDEXED = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
QUESTIONS = {
    "the dashboard": """{ workflows { pageInfo { hasNextPage endCursor } nodes { executionId executionStatus
        performanceMetrics { durationMs tasks { completed total } qualityGates { inReview } steps { failed } attempts
            failures errors tokensUsed actualCost } template { phases } decision { outcome }
        qualityGates { nodes { gateName reviewers { nodes { verdict agent { agentName } } } } }
        modelAssignments { nodes { modelName agent { agentName } } }
        pendingApprovals { totalCount } executionPath { nodes { phase } } errorLog { nodes { message } }
        decisions { nodes { outcome } } metrics(first: 3) { nodes { cpuUsage } } agents { nodes { agentName } }
        tasks { nodes { title progress { percent } assignedAgent { agentName isStale } dependencies { totalCount } } }
    } } }""",
    "one agent": """{ agent(agentId: "agent-7") { agentName isStale activeTasks { nodes { title } totalCount }
        tasks { nodes { title } pageInfo { hasNextPage } } workflows { nodes { workflowName } }
        modelAssignments { nodes { modelName } } reviews { nodes { verdict gate { gateName } } }
        decisions { nodes { outcome evidence { nodes { snapshot } } } } metrics { nodes { cpuUsage } }
        communicationHistory { nodes { body } } } }""",
    "decisions": """{ decisions { nodes { outcome workflows { nodes { workflowName } } tasks { nodes { title } }
        qualityGates { nodes { gateName tasks { nodes { title } } } } verdictOn { gateName }
        modelAssignments { nodes { modelName } } execution { workflowName } agent { agentName } } } }""",
    "lists": """{ tasks { nodes { title gate { gateName } modelAssignments { nodes { modelName } } } }
        qualityGates { nodes { gateName execution { workflowName } } }
        modelAssignments { nodes { task { title } } } }""",
    "the attention queue": """{ attentionQueue(first: 20) { totalCount nodes { kind title reason
        blockedAgents blockedSpend score execution { workflowName } gate { gateName } task { title }
        agent { agentName } } } }""",
    "the second page": """{ workflows(after: "%s") {
        nodes { workflowName } pageInfo { hasPreviousPage hasNextPage } } }""",
}


PAGE = "totalCount pageInfo { hasNextPage endCursor }"
DASHBOARD: dict[str, tuple[str, set[str]]] = {
    "workflows of a status": (
        "{ workflows(filter: {executionStatus: {eq: RUNNING}}) { nodes { workflowName } %s } }",
        {"ix_workflow_executions_execution_status_execution_id"},
    ),
    "workflows that wait for a gate": (
        "{ workflows(filter: {qualityGates: {some: {approvalStatus: {eq: PENDING}}}}) { nodes { workflowName } %s } }",
        {"ix_quality_gates_approval_status_gate_id", "pk_workflow_executions"},
    ),
    "gates that wait": (
        "{ qualityGates(filter: {approvalStatus: {eq: PENDING}}) { nodes { gateName } %s } }",
        {"ix_quality_gates_approval_status_gate_id"},
    ),
    "tasks of an agent": (
        '{ tasks(filter: {assignedAgentId: {eq: "agent-7"}}) { nodes { title } %s } }',
        {"ix_tasks_assigned_agent_id_status_task_id"},
    ),
    "tasks of an agent in a status": (
        '{ tasks(filter: {assignedAgentId: {eq: "agent-7"}, status: {eq: FAILED}}) { nodes { title } %s } }',
        {"ix_tasks_assigned_agent_id_status_task_id"},
    ),
    "tasks newest first": (
        "{ tasks(orderBy: {field: TASK_ID, direction: DESC}) { nodes { title } pageInfo { hasNextPage } } }",
        {"pk_tasks"},
    ),
    "decisions by time": (
        "{ decisions(orderBy: {field: CREATED_AT, direction: DESC}) { nodes { outcome } pageInfo { hasNextPage } } }",
        {"ix_decisions_created_at_decision_id"},
    ),
    "what an agent's models cost": (
        '{ modelAssignments(filter: {agentId: {eq: "agent-7"}}) { groups(by: {field: PROVIDER_NAME}) { '
        "key { providerName } count estimatedCost { sum } } } }",
        {"ix_model_assignments_agent_id_assignment_id"},
    ),
}
BETWEEN = "measurementTime: {gte: $from, lt: $to}"
INTERVALS = {
    "metrics of an agent": 'resourceMetrics(filter: {agentId: {eq: "agent-7"}, %s}) { nodes { cpuUsage } %s }',
    "its utilisation by hour": 'resourceMetrics(filter: {agentId: {eq: "agent-7"}, %s}) { '
    "groups(by: {field: MEASUREMENT_TIME, bucket: HOUR}) { key { measurementTime } cpuUsage { avg } } }",
    "metrics of all": "resourceMetrics(filter: {%s}) { nodes { cpuUsage } %s }",
    "utilisation by agent": "resourceMetrics(filter: {%s}) { groups(by: {field: AGENT_ID}) { cpuUsage { max } } }",
    "metrics under an agent": 'agent(agentId: "agent-7") { metrics(filter: {%s}) { nodes { cpuUsage } %s } }',
}


@pytest.fixture
async def filled(database: Database) -> Database:
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(MAKE_ID)
        for statement in FILL.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement.replace(":", "\\:")))
        await connection.exec_driver_sql("VACUUM ANALYZE")
    return database


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


async def explained(database: Database, reader: Reader, query: str, **variables: Any) -> list[dict[str, Any]]:
    """The steps of the statement that a query runs."""
    ((sql, arguments),) = (await reader.ask(query, **variables)).statements
    plan = await database.fetch_value(f"EXPLAIN (FORMAT JSON, COSTS OFF) {sql}", arguments)
    return list(scans(json.loads(plan)[0]["Plan"]))


async def test_hot_statements_use_indexes(filled: Database, schema: HubSchema) -> None:
    reader = Reader(schema, filled, principal(Role.ADMIN))
    page = await reader.data("{ workflows(first: 1) { pageInfo { endCursor } } }")
    large = set(json.loads(await filled.fetch_value(LARGE)))
    for name, query in QUESTIONS.items():
        asked = query % page["workflows"]["pageInfo"]["endCursor"] if "%s" in query else query
        steps = await explained(filled, reader, asked)
        whole = {step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"}
        assert whole & large == set(), name
        assert any(step["Node Type"].startswith("Index") for step in steps), name


async def test_filters_and_orders_of_dashboards_use_their_indexes(filled: Database, schema: HubSchema) -> None:
    reader = Reader(schema, filled, principal(Role.ADMIN))
    large = set(json.loads(await filled.fetch_value(LARGE)))
    for name, (query, indexes) in DASHBOARD.items():
        steps = await explained(filled, reader, query.replace("%s", PAGE))
        assert {step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"} & large == set(), name
        assert indexes <= {step["Index Name"] for step in steps if "Index Name" in step}, name


async def test_an_interval_of_metrics_reads_its_partitions_alone(filled: Database, schema: HubSchema) -> None:
    reader = Reader(schema, filled, principal(Role.ADMIN))
    # the two weeks of metrics lie in three partitions, of which the day in question needs one or two
    until = datetime.now(UTC) - timedelta(days=4)
    days = {until - timedelta(days=1), until}
    wanted = {f"resource_metrics_{Span.WEEK.start(day):%Y%m%d}" for day in days}
    given = {"from": min(days).isoformat(), "to": until.isoformat()}
    for name, query in INTERVALS.items():
        asked = query.replace("%s", BETWEEN, 1).replace("%s", PAGE)
        steps = await explained(filled, reader, f"query ($from: DateTime, $to: DateTime) {{ {asked} }}", **given)
        read = {step["Relation Name"] for step in steps if step.get("Relation Name", "").startswith("resource_metrics")}
        assert read == wanted, name
        assert {step["Node Type"] for step in steps if step.get("Relation Name") in wanted} <= INDEXED, name
