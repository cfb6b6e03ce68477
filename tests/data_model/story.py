"""One story, told through the API, in which every attribute of the data model gets a value and every relation two ends.

The engine's part (a worker that takes the execution up, its steps and errors) is played by the engine's own queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.domain.principals import SYSTEM
from app.domain.workflows import ErrorSeverity, ExecutionStatus
from app.services.workflow_errors import note_error
from db.queries.changes import transition
from db.queries.entities import EXECUTION
from db.session import Database
from db.tables.workflows import workflow_steps
from tests.api.conftest import Client
from tests.services.makers import a_request, a_template

AGENT, OTHER = "james-dev", "john-pm"
NOW = datetime.now(UTC)
START, MEASURED = NOW - timedelta(hours=1), NOW - timedelta(minutes=2)


@dataclass
class Story:
    """Who tells it, and the ids of what is in it, by GraphQL type; `ids` are global ids."""

    database: Database
    admin: Client
    ids: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """What the story's main entities are called in their mutations."""

    async def do(self, mutation: str, type_name: str, selection: str, **fields: Any) -> Mapping[str, Any]:
        """Carry out a mutation and note the entity that its payload's first field holds."""
        payload = await self.admin.do(mutation, selection, **fields)
        assert payload["userErrors"] == [], payload
        entity: Mapping[str, Any] = payload[selection.partition(" ")[0]]
        if entity["id"] not in self.ids.setdefault(type_name, []):
            self.ids[type_name].append(entity["id"])
        return entity


async def told(database: Database, admin: Client) -> Story:
    """The story from its beginning to its end."""
    story = Story(database, admin)
    await a_template(database)
    await _agents(story)
    decision = await _decision(story)
    execution = await _execution(story, decision)
    task = await _task(story, decision, execution)
    await _assignments(story, decision, task)
    await _gate(story, execution)
    await _afterwards(story, execution, decision)
    await _task_is_done(story, task)
    await _ended(story)
    return story


async def _agents(story: Story) -> None:
    for agent_id, role in ((AGENT, "DEVELOPER"), (OTHER, "PM")):
        await story.do(
            "agentRegister", "AgentState", "agent { id }", agentId=agent_id, agentRole=role, agentName=f"The {role}",
            capabilities=["python"], concurrency=3, extensionConfig={"colour": "blue"},
        )  # fmt: skip
    await story.do(
        "agentReport", "AgentState", "agent { id }", agentId=AGENT, observedAt=NOW.isoformat(),
        resourceUtilization={"cpu_percent": 12.5}, performanceMetrics={"tasks_completed": 3},
    )  # fmt: skip
    await story.do(
        "agentMessageSend", "AgentMessage", "message { id }", fromAgentId=AGENT, toAgentId=OTHER, body="It is done."
    )


async def _decision(story: Story) -> str:
    decision = await story.do(
        "decisionRecord", "PMDecisionContext", "decision { id decisionId version }", decisionType="TASK_ASSIGNMENT",
        contextData={"request": "login"}, reasoningProcess="It was asked for.", outcome="Build a login page.",
        confidenceScore=8, agentAssignments={AGENT: "login"}, resourceOptimization={"parallel": 2},
        learningNotes="Ask earlier.",
        evidence=[{"intervalStart": START.isoformat(), "intervalEnd": NOW.isoformat(), "agentId": AGENT,
                   "snapshot": {"cpu_usage": 12.5}}],
    )  # fmt: skip
    story.keys["decision"] = decision["decisionId"]
    return str(decision["decisionId"])


async def _execution(story: Story, decision_id: str) -> str:
    execution = await story.do(
        "workflowStart", "WorkflowExecution", "workflow { id executionId }", workflowName="plain",
        inputContext={"page": "login"}, triggerType="AGENT_REQUEST", decisionId=decision_id,
    )  # fmt: skip
    execution_id = str(execution["executionId"])
    await _worker(story, UUID(execution_id))
    story.keys["workflow"] = execution_id
    return execution_id


async def _worker(story: Story, execution_id: UUID) -> None:
    """What a worker writes: the status, a step, an error."""
    values = {"current_phase": "build", "started_at": START}

    async def work(session: Any) -> None:
        await transition(
            session, EXECUTION, execution_id, ExecutionStatus.RUNNING, "claimed", SYSTEM.name, values=values
        )
        step = {"step_id": execution_id, "execution_id": execution_id, "step_number": 1, "phase": "build", "attempt": 0}
        await session.execute(workflow_steps.insert().values(**step, started_at=START))
        await note_error(session, execution_id, SYSTEM.name, ErrorSeverity.WARNING, "It was slow.", {"phase": "build"})

    await story.database.transact(work)


async def _task(story: Story, decision_id: str, execution_id: str) -> str:
    first = await story.do("taskCreate", "Task", "task { id taskId }", title="First")
    made = await story.do(
        "taskCreate", "Task", "task { id taskId }", title="Build it", description="All of it.", decisionId=decision_id,
        executionId=execution_id, requiredRole="DEVELOPER", requiredCapabilities=["python"], complexity=7,
        dependsOn=[first["taskId"]], input={"page": "login"},
    )  # fmt: skip
    task_id = str(made["taskId"])
    story.keys["firstTask"] = str(first["taskId"])
    for waiting in (str(first["taskId"]), task_id):
        await _start(story, waiting, AGENT)
        if waiting != task_id:
            await _complete(story, waiting)
    story.keys["task"] = task_id
    return task_id


async def _start(story: Story, task_id: str, agent_id: str) -> None:
    claimed = await story.do("taskClaim", "Task", "task { id version }", agentId=agent_id, taskId=task_id)
    await story.do("taskStart", "Task", "task { id }", taskId=task_id, expectedVersion=claimed["version"])


async def _complete(story: Story, task_id: str) -> None:
    version = (await story.admin.ask(f'{{ task(taskId: "{task_id}") {{ version }} }}'))["task"]["version"]
    await story.do(
        "taskComplete", "Task", "task { id }", taskId=task_id, expectedVersion=version, result={"page": "login.html"}
    )


async def _assignments(story: Story, decision_id: str, task_id: str) -> None:
    recorded = await story.do(
        "modelAssignmentRecord", "ModelAssignment", "modelAssignment { id assignmentId version }", agentId=AGENT,
        taskId=task_id, providerName="ANTHROPIC_CLAUDE", modelName="claude-sonnet-4",
        assignmentReason="COMPLEXITY_HIGH", taskComplexity=9, estimatedCost="0.5", decisionId=decision_id,
        fallbacks=[{"providerName": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": "0.25"}],
    )  # fmt: skip
    payload = await story.admin.do(
        "modelAssignmentFail",
        "modelAssignment { assignmentId } fallback { id assignmentId version }",
        assignmentId=recorded["assignmentId"],
        expectedVersion=recorded["version"],
        reason="Overloaded.",
    )
    fallback = payload["fallback"]
    story.ids["ModelAssignment"].append(fallback["id"])
    await story.do(
        "modelAssignmentComplete", "ModelAssignment", "modelAssignment { id }", assignmentId=fallback["assignmentId"],
        expectedVersion=fallback["version"], actualCost="0.125", tokensUsed=4200, processingTime=1500,
        performanceScore="9.5",
    )  # fmt: skip
    story.keys |= {"failedAssignment": recorded["assignmentId"], "modelAssignment": fallback["assignmentId"]}


async def _gate(story: Story, execution_id: str) -> None:
    """A gate that a decision asks for, with all that can be said about it."""
    asking = await story.admin.do(
        "decisionRecord", "decision { id decisionId qualityGates { nodes { id gateId version } } }",
        decisionType="QUALITY_GATE", contextData={}, reasoningProcess="Better safe.", outcome="Review it.",
        confidenceScore=6, executionId=execution_id,
        qualityGates=[{"workflowExecutionId": execution_id, "gateName": "Review", "gateType": "SECURITY_CHECK",
                       "validationCriteria": {"min_score": 7}, "reviewers": [AGENT]}],
        evidence=[{"intervalStart": START.isoformat(), "intervalEnd": NOW.isoformat(), "executionId": execution_id,
                   "snapshot": {}}],
    )  # fmt: skip
    assert asking["userErrors"] == [], asking
    (gate,) = asking["decision"]["qualityGates"]["nodes"]
    gate_id = gate["gateId"]
    story.ids["PMDecisionContext"].append(asking["decision"]["id"])
    story.ids["QualityGateExecution"] = [gate["id"]]
    story.keys["qualityGate"] = gate_id
    await _reviewed(story, execution_id, gate_id, gate["version"])


async def _reviewed(story: Story, execution_id: str, gate_id: str, version: int) -> None:
    about = {"gateId": gate_id}
    request = await a_request(story.database, "review", UUID(execution_id), UUID(gate_id))
    task = await story.admin.ask(f'{{ task(taskId: "{request.task_id}") {{ id }} }}')
    story.ids["Task"].append(task["task"]["id"])
    await _start(story, str(request.task_id), AGENT)
    kind, chosen = "QualityGateExecution", "qualityGate { id version }"
    checks = [{"name": "coverage", "measured": 91.5, "measure": "lines", "atLeast": 90.0}]
    gate = await story.do("qualityGateRecordChecks", kind, chosen, **about, expectedVersion=version, checks=checks)
    reason = {"expectedVersion": gate["version"], "reason": "Nobody agrees."}
    gate = await story.do("qualityGateEscalate", kind, chosen, **about, **reason)
    review = {"verdict": "APPROVE", "score": "8.5", "feedback": "Well done."}
    own = await _token_of(story, AGENT)
    payload = await own.do("qualityGateReview", "", **about, **review, taskId=str(request.task_id))
    assert payload["userErrors"] == [], payload
    verdict = await story.admin.do(
        "qualityGateApprove", "qualityGate { id } decision { id }", **about, expectedVersion=gate["version"],
        pmDecision="It is good.", confidenceScore=9, qualityScore="8.5", improvementSuggestions="More tests.",
    )  # fmt: skip
    assert verdict["userErrors"] == [], verdict
    story.ids["PMDecisionContext"].append(verdict["decision"]["id"])


async def _token_of(story: Story, agent_id: str) -> Client:
    made = await story.admin.do("apiTokenCreate", "secret", tokenName=agent_id, role="AGENT", agentId=agent_id)
    return Client(story.admin.http, made["secret"])


async def _afterwards(story: Story, execution_id: str, decision_id: str) -> None:
    """A decision by an agent, a second gate that waits, and measurements."""
    made = await story.admin.do("apiTokenCreate", "secret", tokenName=OTHER, role="PM", agentId=OTHER)
    john = Client(story.admin.http, made["secret"])
    payload = await john.do(
        "decisionRecord", "decision { id }", decisionType="ESCALATION", contextData={}, reasoningProcess="So.",
        outcome="So.", confidenceScore=5, executionId=execution_id,
    )  # fmt: skip
    story.ids["PMDecisionContext"].append(payload["decision"]["id"])
    await story.do(
        "qualityGateCreate", "QualityGateExecution", "qualityGate { id }", workflowExecutionId=execution_id,
        gateName="Another", gateType="FINAL_APPROVAL", requestedByDecisionId=decision_id,
    )  # fmt: skip
    measurement = {**MEASUREMENT, "agentId": AGENT, "executionId": execution_id}
    measured = await story.admin.do("resourceMetricsRecord", "metricIds", measurements=[measurement])
    (story.keys["resourceMetric"],) = measured["metricIds"]
    found = await story.admin.ask(f'{{ resourceMetric(metricId: "{story.keys["resourceMetric"]}") {{ id }} }}')
    story.ids["ResourceMetrics"] = [found["resourceMetric"]["id"]]
    await _parts(story, execution_id)


async def _parts(story: Story, execution_id: str) -> None:
    """The ids of what is made along with others."""
    found = await story.admin.ask(
        "query ($id: ID!) { workflow(executionId: $id) { executionPath { nodes { id } } errorLog { nodes { id } } "
        "qualityGates { nodes { reviewers { nodes { id } } } } } decisions { nodes { evidence { nodes { id } } } } }",
        id=execution_id,
    )
    workflow = found["workflow"]
    story.ids["WorkflowStep"] = [node["id"] for node in workflow["executionPath"]["nodes"]]
    story.ids["WorkflowError"] = [node["id"] for node in workflow["errorLog"]["nodes"]]
    gates, decisions = workflow["qualityGates"]["nodes"], found["decisions"]["nodes"]
    story.ids["GateReview"] = [node["id"] for gate in gates for node in gate["reviewers"]["nodes"]]
    story.ids["DecisionEvidence"] = [node["id"] for decision in decisions for node in decision["evidence"]["nodes"]]


async def _task_is_done(story: Story, task_id: str) -> None:
    """One more task stays at hand, so that there are active ones."""
    made = await story.do("taskCreate", "Task", "task { id taskId }", title="Next", executionId=story.keys["workflow"])
    await _start(story, str(made["taskId"]), AGENT)
    story.keys["activeTask"] = str(made["taskId"])
    await _complete(story, task_id)


async def _ended(story: Story) -> None:
    """Another execution, which is over."""
    started = await story.do(
        "workflowStart", "WorkflowExecution", "workflow { id executionId version }", workflowName="plain"
    )
    story.keys["endedWorkflow"] = started["executionId"]
    await story.do(
        "workflowCancel", "WorkflowExecution", "workflow { id }", executionId=started["executionId"],
        expectedVersion=started["version"], reason="Nobody needs it.",
    )  # fmt: skip


MEASUREMENT: Mapping[str, Any] = {
    "measurementTime": MEASURED.isoformat(),
    "cpuUsage": "12.5",
    "memoryUsage": "512.25",
    "diskUsage": "1024",
    "networkIo": "0.5",
    "activeSessions": 2,
    "databaseConnections": 5,
    "responseTime": 120,
    "errorRate": "0.25",
    "optimizationScore": "8.5",
    "optimizationSuggestions": ["Use less."],
    "alertLevel": "WARNING",
}
