"""Every attribute of the data model: what a mutation was given is what the graph answers."""

from datetime import datetime
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from graphql_schema.schema import build_schema
from tests.data_model.model import load
from tests.data_model.story import AGENT, MEASURED, NOW, OTHER, START, Story

SCHEMA = build_schema()._schema
ROWS = {row.id: row for row in load().of_kind("attribute")}
ROOTS = {
    "PMDecisionContext": "decision(decisionId: $key)",
    "Task": "task(taskId: $key)",
    "AgentState": "agent(agentId: $key)",
    "WorkflowExecution": "workflow(executionId: $key)",
    "ModelAssignment": "modelAssignment(assignmentId: $key)",
    "QualityGateExecution": "qualityGate(gateId: $key)",
    "ResourceMetrics": "resourceMetric(metricId: $key)",
}


class Moment:
    """Equal to every point in time as the API writes it, or to one."""

    def __init__(self, expected: datetime | None = None) -> None:
        self._expected = expected

    def __eq__(self, other: object) -> bool:
        moment = datetime.fromisoformat(str(other))
        return moment.tzinfo is not None and self._expected in (None, moment)

    def __hash__(self) -> int:
        return hash(self._expected)


class Key:
    """Equal to what the story calls this entity."""

    def __init__(self, name: str) -> None:
        self.name = name


EXPECTED: dict[str, Any] = {
    "agent.attribute.agent_id": AGENT,
    "agent.attribute.agent_name": "The DEVELOPER",
    "agent.attribute.agent_role": "DEVELOPER",
    "agent.attribute.status": "ACTIVE",
    "agent.attribute.capabilities": ["python"],
    "agent.attribute.active_tasks": [{"title": "Next", "status": "RUNNING"}],
    "agent.attribute.resource_utilization": {"cpu_percent": 12.5},
    "agent.attribute.performance_metrics": {"tasks_completed": 3},
    "agent.attribute.communication_history": [{"body": "It is done.", "fromAgentId": AGENT, "toAgentId": OTHER}],
    "agent.attribute.extension_config": {"colour": "blue"},
    "agent.attribute.last_activity": Moment(),
    "agent.attribute.created_at": Moment(),
    "agent.attribute.updated_at": Moment(),
    "agent.attribute.concurrency": 3,
    "task.attribute.task_id": Key("task"),
    "task.attribute.decision_id": Key("decision"),
    "task.attribute.execution_id": Key("workflow"),
    "task.attribute.title": "Build it",
    "task.attribute.description": "All of it.",
    "task.attribute.required_capabilities": ["python"],
    "task.attribute.complexity": 7,
    "task.attribute.depends_on": [Key("firstTask")],
    "task.attribute.assigned_agent_id": AGENT,
    "task.attribute.status": "COMPLETED",
    "task.attribute.result": {"page": "login.html"},
    "task.attribute.attempts": 1,
    "decision.attribute.decision_id": Key("decision"),
    "decision.attribute.decision_type": "TASK_ASSIGNMENT",
    "decision.attribute.context_data": {"request": "login"},
    "decision.attribute.reasoning_process": "It was asked for.",
    "decision.attribute.outcome": "Build a login page.",
    "decision.attribute.confidence_score": 8,
    "decision.attribute.agent_assignments": {AGENT: "login"},
    "decision.attribute.resource_optimization": {"parallel": 2},
    "decision.attribute.learning_notes": "Ask earlier.",
    "decision.attribute.created_at": Moment(),
    "decision.attribute.updated_at": Moment(),
    "decision.attribute.evidence": [
        {
            "agentId": AGENT,
            "executionId": None,
            "intervalStart": Moment(START),
            "intervalEnd": Moment(NOW),
            "snapshot": {"cpu_usage": 12.5},
        }
    ],
    "workflow.attribute.execution_id": Key("workflow"),
    "workflow.attribute.workflow_name": "plain",
    "workflow.attribute.execution_status": "RUNNING",
    "workflow.attribute.trigger_type": "AGENT_REQUEST",
    "workflow.attribute.triggered_by": "story",
    "workflow.attribute.input_context": {"page": "login"},
    "workflow.attribute.current_phase": "build",
    "workflow.attribute.execution_path": [
        {"stepNumber": 1, "phase": "build", "attempt": 0, "startedAt": Moment(START)}
    ],
    "workflow.attribute.task_assignments": [
        {"title": "Next", "assignedAgentId": AGENT, "status": "RUNNING"},
        {"title": "Please review", "assignedAgentId": AGENT, "status": "COMPLETED"},
        {"title": "Build it", "assignedAgentId": AGENT, "status": "COMPLETED"},
    ],
    "workflow.attribute.pending_approvals": [{"gateName": "Another", "approvalStatus": "PENDING"}],
    "workflow.attribute.performance_metrics": {"errors": 1, "modelAssignments": 2, "actualCost": "0.125"},
    "workflow.attribute.error_log": [{"message": "It was slow.", "severity": "WARNING", "phase": "build"}],
    "workflow.attribute.started_at": Moment(START),
    "workflow.attribute.completed_at": Moment(),
    "workflow.attribute.last_activity": Moment(),
    "gate.attribute.gate_id": Key("qualityGate"),
    "gate.attribute.gate_name": "Review",
    "gate.attribute.workflow_execution_id": Key("workflow"),
    "gate.attribute.gate_type": "SECURITY_CHECK",
    "gate.attribute.validation_criteria": {"min_score": 7},
    "gate.attribute.automated_checks": [
        {"name": "coverage", "measured": 91.5, "measure": "lines", "atLeast": 90, "atMost": None, "passed": True}
    ],
    "gate.attribute.reviewer_assignments": [{"reviewer": AGENT, "agentId": AGENT, "revision": 0}],
    "gate.attribute.approval_status": "APPROVED",
    "gate.attribute.pm_decision": "It is good.",
    "gate.attribute.quality_score": "8.5",
    "gate.attribute.improvement_suggestions": "More tests.",
    "gate.attribute.reviewer_feedback": [{"feedback": "Well done.", "score": "8.5", "verdict": "APPROVE"}],
    "gate.attribute.escalation_required": True,
    "gate.attribute.escalation_reason": "Nobody agrees.",
    "gate.attribute.created_at": Moment(),
    "gate.attribute.reviewed_at": Moment(),
    "gate.attribute.approved_at": Moment(),
    "assignment.attribute.assignment_id": Key("modelAssignment"),
    "assignment.attribute.agent_id": AGENT,
    "assignment.attribute.task_id": Key("task"),
    "assignment.attribute.provider_name": "ZAI_GLM",
    "assignment.attribute.model_name": "glm-4.5",
    "assignment.attribute.assignment_reason": "FALLBACK",
    "assignment.attribute.task_complexity": 9,
    "assignment.attribute.estimated_cost": "0.25",
    "assignment.attribute.actual_cost": "0.125",
    "assignment.attribute.performance_score": "9.5",
    "assignment.attribute.processing_time": 1500,
    "assignment.attribute.tokens_used": 4200,
    "assignment.attribute.assignment_status": "COMPLETED",
    "assignment.attribute.created_at": Moment(),
    "assignment.attribute.completed_at": Moment(),
    "assignment.attribute.fallback_chain": [
        {"providerName": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": "0.25"}
    ],
    "assignment.attribute.failure_reason": "Overloaded.",
    "metrics.attribute.metric_id": Key("resourceMetric"),
    "metrics.attribute.measurement_time": Moment(MEASURED),
    "metrics.attribute.agent_id": AGENT,
    "metrics.attribute.cpu_usage": "12.5",
    "metrics.attribute.memory_usage": "512.25",
    "metrics.attribute.disk_usage": "1024",
    "metrics.attribute.network_io": "0.5",
    "metrics.attribute.active_sessions": 2,
    "metrics.attribute.database_connections": 5,
    "metrics.attribute.response_time": 120,
    "metrics.attribute.error_rate": "0.25",
    "metrics.attribute.optimization_score": "8.5",
    "metrics.attribute.optimization_suggestions": ["Use less."],
    "metrics.attribute.alert_level": "WARNING",
    "metrics.attribute.created_at": Moment(),
    "metrics.attribute.execution_id": Key("workflow"),
}
OF_OTHERS = {
    "assignment.attribute.fallback_chain": "failedAssignment",
    "assignment.attribute.failure_reason": "failedAssignment",
    "workflow.attribute.completed_at": "endedWorkflow",
}
"""Attributes that an entity has only after another end than that of the story's main one."""


def test_every_attribute_has_its_expected_value() -> None:
    assert set(EXPECTED) == set(ROWS)


@pytest.mark.asyncio(loop_scope="package")
@pytest.mark.parametrize("row_id", EXPECTED)
async def test_each_attribute_is_written_and_read(story: Story, row_id: str) -> None:
    type_name, _, field = ROWS[row_id].fields[0].partition(".")
    found = await read(story, type_name, field, key_of(story, row_id, type_name), EXPECTED[row_id])
    assert found == resolved(story, EXPECTED[row_id])


def key_of(story: Story, row_id: str, type_name: str) -> str:
    """Which entity of the story it is about."""
    if type_name == "AgentState":
        return AGENT
    return story.keys[OF_OTHERS.get(row_id, ROOTS[type_name].partition("(")[0])]


async def read(story: Story, type_name: str, field: str, key: str, expected: Any) -> Any:
    """The field's value; of a connection its nodes, of objects what is expected of them."""
    owner = SCHEMA.type_map[type_name]
    assert isinstance(owner, GraphQLObjectType)
    target = get_named_type(owner.fields[field].type)
    connected = isinstance(target, GraphQLObjectType) and "nodes" in target.fields
    wanted = ""
    if isinstance(target, GraphQLObjectType):
        one = expected[0] if isinstance(expected, list) else expected
        wanted = "{ " + " ".join(one) + " }"
    selection = f"{field} {{ nodes {wanted} }}" if connected else f"{field} {wanted}"
    query = f"query ($key: ID!) {{ {ROOTS[type_name]} {{ {selection} }} }}"
    (entity,) = (await story.admin.ask(query, key=key)).values()
    return entity[field]["nodes"] if connected else entity[field]


def resolved(story: Story, expected: Any) -> Any:
    """The expected value, keys of the story in their places."""
    if isinstance(expected, Key):
        return story.keys[expected.name]
    return [resolved(story, item) for item in expected] if isinstance(expected, list) else expected
