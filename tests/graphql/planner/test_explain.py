"""The shape of the hot statements on a few thousand rows: indexes, no table read from end to end, no great sort."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.principals import Role
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
        decision_id)
    SELECT id(2, n), 'plain', 1, 'manual', 'a', id(1, n) FROM generate_series(1, 4000) n;
UPDATE decisions SET execution_id = id(2, outcome_number) FROM (
    SELECT decision_id AS of_id, row_number() OVER () AS outcome_number FROM decisions) n WHERE decision_id = of_id;
INSERT INTO quality_gates (gate_id, gate_name, workflow_execution_id, gate_type, requested_by_decision_id)
    SELECT id(3, n), 'g', id(2, 1 + n % 4000), 'security_check', id(1, 1 + n % 4000) FROM generate_series(1, 12000) n;
INSERT INTO gate_reviewers (review_id, gate_id, reviewer, agent_id)
    SELECT id(4, n), id(3, n), 'r', 'agent-' || 1 + n % 200 FROM generate_series(1, 12000) n;
INSERT INTO tasks (task_id, title, execution_id, decision_id, gate_id, assigned_agent_id, status)
    SELECT id(5, n), 't', id(2, 1 + n % 4000), id(1, 1 + n % 4000), id(3, n), 'agent-' || 1 + n % 200, 'completed'
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
    SELECT id(11, n), now() - make_interval(secs => n), 'agent-' || 1 + n % 200, id(2, 1 + n % 4000)
    FROM generate_series(1, 12000) n;
"""
MAKE_ID = """
CREATE FUNCTION id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(kind), 12, '0'))::uuid $$
"""

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
    "the second page": """{ workflows(after: "%s") {
        nodes { workflowName } pageInfo { hasPreviousPage hasNextPage } } }""",
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


async def test_hot_statements_use_indexes(filled: Database, schema: HubSchema) -> None:
    reader = Reader(schema, filled, principal(Role.ADMIN))
    page = await reader.data("{ workflows(first: 1) { pageInfo { endCursor } } }")
    large = set(json.loads(await filled.fetch_value(LARGE)))
    for name, query in QUESTIONS.items():
        asked = query % page["workflows"]["pageInfo"]["endCursor"] if "%s" in query else query
        ((sql, arguments),) = (await reader.ask(asked)).statements
        explained = await filled.fetch_value(f"EXPLAIN (FORMAT JSON, COSTS OFF) {sql}", arguments)
        steps = list(scans(json.loads(explained)[0]["Plan"]))
        whole = {step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"}
        assert whole & large == set(), name
        assert any(step["Node Type"].startswith("Index") for step in steps), name
