"""What waits for a person or the PM, and how much it holds up, as a view."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

GATES = """
    SELECT CASE WHEN gate.escalation_required THEN 'escalation' ELSE 'verdict' END AS kind,
        gate.gate_id::text AS entity_id,
        CASE
            WHEN gate.escalation_required AND gate.escalated_to = 'pm' THEN 'pm'
            WHEN gate.escalation_required THEN 'human'
            WHEN gate.approval_status = 'requires_revision' THEN 'human'
            WHEN asked.of_pm THEN 'pm'
            ELSE 'human'
        END AS waits_for,
        gate.gate_name AS title,
        CASE
            WHEN gate.escalation_required THEN 'A human must look at it: ' || gate.escalation_reason
            WHEN gate.approval_status = 'pending' THEN 'It has to be opened for review.'
            WHEN gate.approval_status = 'requires_revision'
                THEN 'It was sent back, and nothing is under way: once revised, it has to be opened again.'
            WHEN people.names IS NOT NULL THEN 'These have not given their review: ' || people.names || '.'
            WHEN asked.of_pm THEN 'The PM is asked for the verdict.'
            ELSE 'A person is to give the verdict.'
        END AS reason,
        coalesce(gate.escalated_at, gate.reviewed_at, gate.updated_at) AS since,
        gate.workflow_execution_id AS execution_id, gate.gate_id, NULL::uuid AS task_id, NULL::text AS agent_id,
        ARRAY[gate.workflow_execution_id] AS executions
    FROM quality_gates AS gate
    JOIN workflow_executions AS execution ON execution.execution_id = gate.workflow_execution_id
        AND execution.execution_status IN ('pending', 'running', 'paused')
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(task_kind = 'decision'), false) AS of_pm,
            coalesce(bool_or(task_kind <> 'decision'), false) AS of_agents
        FROM tasks WHERE tasks.gate_id = gate.gate_id AND status IN ('pending', 'assigned', 'running', 'failed')
    ) AS asked
    CROSS JOIN LATERAL (
        SELECT string_agg(reviewer, ', ' ORDER BY reviewer) AS names FROM gate_reviewers AS review
        WHERE review.gate_id = gate.gate_id AND review.revision = gate.revision
            AND review.agent_id IS NULL AND review.reviewed_at IS NULL
    ) AS people
    WHERE gate.approval_status IN ('pending', 'in_review', 'requires_revision') AND gate.closed_at IS NULL AND (
        gate.escalation_required
        OR gate.approval_status = 'in_review' AND (NOT asked.of_agents OR people.names IS NOT NULL)
        OR gate.approval_status = 'pending' AND gate.phase IS NULL
        OR gate.approval_status = 'requires_revision' AND NOT EXISTS (
            SELECT FROM tasks WHERE tasks.execution_id = gate.workflow_execution_id
                AND status IN ('pending', 'assigned', 'running')))
"""

QUESTIONS = """
    SELECT 'question', task_id::text, 'pm', title,
        CASE WHEN status = 'pending' THEN 'Nobody has taken it.'
            ELSE assigned_agent_id || ' has taken it, and has not answered.' END,
        created_at, execution_id, NULL::uuid, task_id, assigned_agent_id, ARRAY[execution_id]
    FROM tasks
    WHERE status IN ('pending', 'assigned', 'running') AND task_kind = 'decision' AND gate_id IS NULL
"""

FAILED_TASKS = """
    SELECT 'task_failed', task_id::text, 'operator', title,
        'It failed ' || failures || ' of ' || max_failures || ' times; no workflow will try it again.',
        coalesce(completed_at, updated_at), NULL::uuid, NULL::uuid, task_id, assigned_agent_id, '{}'::uuid[]
    FROM tasks WHERE status = 'failed' AND execution_id IS NULL
"""

EXECUTIONS = """
    SELECT 'execution_' || execution_status, execution_id::text, 'operator', workflow_name,
        CASE WHEN execution_status = 'paused' THEN 'It was paused.'
            ELSE 'It failed: ' || coalesce((
                SELECT left(message, 500) FROM workflow_errors AS error
                WHERE error.execution_id = workflow_executions.execution_id ORDER BY error_id DESC LIMIT 1
            ), 'without an error of its own.') END,
        coalesce(completed_at, updated_at), execution_id, NULL::uuid, NULL::uuid, NULL::text, ARRAY[execution_id]
    FROM workflow_executions WHERE execution_status IN ('failed', 'paused')
"""

AGENTS = """
    SELECT CASE WHEN status = 'error' THEN 'agent_error' ELSE 'agent_silent' END, agent_id, 'operator', agent_name,
        CASE WHEN status = 'error' THEN 'It says that it cannot work.'
            ELSE 'It is not heard of, and has ' || held.tasks || ' of the tasks at hand.' END,
        CASE WHEN status = 'error' THEN updated_at ELSE coalesce(last_activity, updated_at) END,
        NULL::uuid, NULL::uuid, NULL::uuid, agent_id, held.executions
    FROM agents LEFT JOIN agent_reports USING (agent_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS tasks,
            coalesce(array_agg(DISTINCT execution_id) FILTER (WHERE execution_id IS NOT NULL), '{}') AS executions
        FROM tasks WHERE assigned_agent_id = agents.agent_id AND tasks.status IN ('assigned', 'running')
    ) AS held
    WHERE agents.status = 'error' OR held.tasks > 0
        AND coalesce(now() - last_activity > interval '30 seconds', true)
"""


def upgrade() -> None:
    op.execute("CREATE VIEW attention AS SELECT 'queue'::text AS name")
    op.execute(f"""
        CREATE VIEW attention_items AS
        WITH free AS MATERIALIZED (
            SELECT agent_id FROM agents
            WHERE status <> 'offline' AND NOT EXISTS (
                SELECT FROM tasks WHERE assigned_agent_id = agents.agent_id AND tasks.status IN ('assigned', 'running'))
        )
        SELECT waiting.kind || ':' || waiting.entity_id AS item_id, waiting.kind, waiting.waits_for, waiting.title,
            waiting.reason, waiting.since, waiting.execution_id, waiting.gate_id, waiting.task_id, waiting.agent_id,
            blocked.agents AS blocked_agents, blocked.spend AS blocked_spend,
            10 * blocked.agents + blocked.spend - extract(epoch FROM waiting.since) / 3600 AS urgency
        FROM ({GATES} UNION ALL {QUESTIONS} UNION ALL {FAILED_TASKS} UNION ALL {EXECUTIONS} UNION ALL {AGENTS})
            AS waiting
        CROSS JOIN LATERAL (
            SELECT
                (SELECT count(DISTINCT agent_id)::integer FROM tasks JOIN free ON agent_id = assigned_agent_id
                    WHERE tasks.execution_id = ANY (waiting.executions)) AS agents,
                (SELECT coalesce(sum(actual_cost), 0) FROM model_assignments
                    WHERE model_assignments.execution_id = ANY (waiting.executions)) AS spend
        ) AS blocked
    """)  # noqa: S608
