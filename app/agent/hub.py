"""What an agent says to the hub and hears from it: one method for each operation, in the agent's own terms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.agent.answers import Decision, Evidence, ModelUse, Review, Verdict, WantedGate
from app.client.connection import HubClient, Receive
from app.client.errors import HubRefused
from app.client.operations import agents, decisions, metrics, model_assignments, quality_gates, tasks
from app.domain.agents import AgentRole, AgentStatus
from app.domain.errors import ErrorCode
from app.domain.model_assignments import AssignmentReason, Provider
from app.domain.tasks import HELD, TaskKind, TaskStatus

PARTING_SECONDS = 2.0
"""How long a message may take that is sent while the agent is stopping."""
BEAT_SECONDS = 8.0
"""How long a report may take, so that even after a lost one the next comes before the agent counts as stale."""


@dataclass(frozen=True)
class Task:
    """A task in this agent's hands. `attempt` counts its starts; `gate` is what its input tells of a gate, if any.

    `given` is what its command gets on standard input, `question` the input in it.
    """

    task_id: str
    kind: TaskKind
    title: str
    version: int
    attempt: int
    execution_id: str | None
    gate: Mapping[str, Any] | None
    question: Mapping[str, Any]
    given: Mapping[str, Any]
    phase: str | None = None
    task_name: str | None = None
    phase_attempt: int | None = None
    timeout_seconds: int | None = None

    @property
    def key(self) -> str:
        """The idempotency key of this attempt's answer."""
        return f"{self.task_id}:{self.attempt}"

    @property
    def effect_key(self) -> str:
        """The key of what the work does outside the hub: the same for every attempt, by whichever agent."""
        if self.execution_id is None or self.phase is None:
            return self.task_id
        return f"{self.execution_id}/{self.phase}/{self.task_name}/{self.phase_attempt}"


@dataclass(frozen=True)
class Presence:
    """How the hub sees the agent."""

    status: AgentStatus
    task_ids: frozenset[str]


@dataclass(frozen=True)
class Measurement:
    """One measurement, in the units of the data model: per cent, MB, MB/s, milliseconds."""

    measured_at: datetime
    execution_id: str | None
    cpu_percent: float
    memory_mb: float
    disk_mb: float | None
    network_mb_s: float | None
    active_sessions: int
    response_ms: int | None
    error_percent: float | None


@dataclass(frozen=True)
class Assignment:
    """A model assignment that was recorded and is not completed yet."""

    assignment_id: str
    version: int


class AgentHub:
    """The hub as seen by one agent. Every method raises the errors of `HubClient`."""

    def __init__(self, client: HubClient, agent_id: str) -> None:
        self._client = client
        self._agent_id = agent_id

    async def register(
        self,
        role: AgentRole,
        name: str | None,
        capabilities: Sequence[str],
        concurrency: int,
        kept: Sequence[str] = (),
    ) -> None:
        """Begin a new session: the agent is online, and what an earlier process of it held is free again.

        `kept` are the ids of tasks that this process goes on with: they stay the agent's.
        """
        await self._client.mutate(
            agents.REGISTER,
            {
                "agentId": self._agent_id,
                "agentRole": role.name,
                "agentName": name,
                "capabilities": list(capabilities),
                "concurrency": concurrency,
                **({"keepTaskIds": list(kept)} if kept else {}),
            },
        )

    async def report(
        self, observed_at: datetime, utilisation: Mapping[str, Any], performance: Mapping[str, Any]
    ) -> Presence:
        """A sign of life with figures."""
        payload = await self._client.mutate(
            agents.REPORT,
            {
                "agentId": self._agent_id,
                "observedAt": observed_at.isoformat(),
                "resourceUtilization": dict(utilisation),
                "performanceMetrics": dict(performance),
            },
            seconds=BEAT_SECONDS,
        )
        agent = payload["agent"]
        held = frozenset(task["taskId"] for task in agent["activeTasks"]["nodes"])
        return Presence(AgentStatus[agent["status"]], held)

    async def set_status(self, status: AgentStatus, reason: str, *, seconds: float = PARTING_SECONDS) -> None:
        """Come online again, or leave."""
        given = {"agentId": self._agent_id, "status": status.name, "reason": reason}
        await self._client.mutate(agents.SET_STATUS, given, seconds=seconds)

    async def measure(self, taken: Measurement) -> None:
        """Store a measurement of this agent."""
        await self._client.mutate(
            metrics.RECORD,
            {
                "measurements": [
                    {
                        "measurementTime": taken.measured_at.isoformat(),
                        "agentId": self._agent_id,
                        "executionId": taken.execution_id,
                        "cpuUsage": _exact(taken.cpu_percent),
                        "memoryUsage": _exact(taken.memory_mb),
                        "diskUsage": _exact(taken.disk_mb),
                        "networkIo": _exact(taken.network_mb_s),
                        "activeSessions": taken.active_sessions,
                        "responseTime": taken.response_ms,
                        "errorRate": _exact(taken.error_percent),
                    }
                ]
            },
            seconds=BEAT_SECONDS,
        )

    async def listen(self, receive: Receive, connected: Callable[[], None]) -> None:
        """Hand on every change of every task, for ever."""
        await self._client.follow(tasks.CHANGES, {}, receive, connected=connected)

    async def claim(self) -> Task | None:
        """Take the task that is next for this agent; None when there is none now."""
        payload = await self._client.mutate(tasks.CLAIM, {"agentId": self._agent_id})
        return _task(payload["task"]) if payload["task"] is not None else None

    async def claimed(self) -> list[Task]:
        """The tasks that this agent has claimed and not started, as the hub knows them."""
        agent = (await self._client.execute(tasks.CLAIMED, {"agentId": self._agent_id}))["agent"]
        nodes = agent["activeTasks"]["nodes"] if agent is not None else []
        return [_task(found) for found in nodes if TaskStatus[found["status"]] is TaskStatus.ASSIGNED]

    async def start(self, task: Task) -> Task:
        """Say that the work begins; the task with its new version and attempt."""
        payload = await self._client.mutate(
            tasks.START,
            {
                "taskId": task.task_id,
                "expectedVersion": task.version,
                "idempotencyKey": f"{task.task_id}:{task.attempt + 1}:start",
            },
        )
        started = payload["task"]
        return replace(task, version=started["version"], attempt=started["attempts"])

    async def holds(self, task: Task) -> bool:
        """Whether the task is still in this agent's hands, at the version that it knows."""
        found = (await self._client.execute(tasks.TASK, {"taskId": task.task_id}))["task"]
        return (
            found is not None
            and _holder(found) == self._agent_id
            and TaskStatus[found["status"]] in HELD
            and found["version"] == task.version
        )

    async def progress(self, task: Task, message: str, percent: float | None) -> None:
        """Tell how far the work is."""
        given = {"taskId": task.task_id, "message": message, "percent": percent}
        await self._client.mutate(tasks.REPORT_PROGRESS, given)

    async def complete(self, task: Task, result: Any) -> None:
        """Answer a task of kind work."""
        await self._client.mutate(tasks.COMPLETE, {**_of_version(task), "result": result})

    async def decide(self, task: Task, answer: Decision) -> None:
        """Answer a question to the PM. What the answer refers to and does not exist makes it unusable."""
        given = {
            **_of_version(task),
            "decisionType": answer.decision_type.name,
            "contextData": answer.context_data,
            "reasoningProcess": answer.reasoning,
            "outcome": answer.outcome,
            "confidenceScore": answer.confidence,
            "agentAssignments": answer.agent_assignments,
            "resourceOptimization": answer.resource_optimization,
            "learningNotes": answer.learning_notes,
            "evidence": [_evidence(item) for item in answer.evidence],
            "qualityGates": [_gate(item, task) for item in answer.quality_gates],
        }
        try:
            await self._client.mutate(decisions.RECORD, given)
        except HubRefused as refusal:
            if refusal.code != ErrorCode.NOT_FOUND.name or refusal.field == "input.taskId":
                raise
            # the task is still this agent's: it is the answer that names what is not there
            raise HubRefused(ErrorCode.INVALID_INPUT.name, refusal.message, refusal.field) from None

    async def judge(self, task: Task, gate: Mapping[str, Any], answer: Verdict) -> None:
        """Answer the question whether a gate is passed; refused when the gate or the work moved since it was asked."""
        await self._client.mutate(
            quality_gates.BY_VERDICT[answer.verdict],
            {
                "gateId": gate["gate_id"],
                "expectedVersion": gate["version"],
                "taskId": task.task_id,
                "pmDecision": answer.outcome,
                "reasoningProcess": answer.reasoning,
                "confidenceScore": answer.confidence,
                "qualityScore": _exact(answer.quality_score),
                "improvementSuggestions": answer.improvement_suggestions,
                "evidenceHash": gate.get("evidence_hash"),
                "idempotencyKey": task.key,
            },
        )

    async def review(self, task: Task, gate: Mapping[str, Any], answer: Review) -> None:
        """Answer a request for a review; refused when the work is another than the agent was given."""
        await self._client.mutate(
            quality_gates.REVIEW,
            {
                **_of_version(task),
                "gateId": gate["gate_id"],
                "verdict": answer.verdict.name,
                "score": _exact(answer.score),
                "feedback": answer.feedback,
                "evidenceHash": gate.get("evidence_hash"),
            },
        )

    async def fail(self, task: Task, reason: str) -> None:
        """Say that the work did not succeed."""
        await self._client.mutate(tasks.FAIL, {**_of_version(task), "reason": reason})

    async def release(self, task: Task, reason: str, *, seconds: float = PARTING_SECONDS) -> None:
        """Give the task back."""
        given = {"taskId": task.task_id, "expectedVersion": task.version, "reason": reason}
        await self._client.mutate(tasks.RELEASE, given, seconds=seconds)

    async def release_unknown(self, task_id: str, reason: str) -> None:
        """Give back a task that the hub counts as this agent's, but of which the agent knows nothing."""
        found = (await self._client.execute(tasks.TASK, {"taskId": task_id}))["task"]
        if found is not None and _holder(found) == self._agent_id:
            given = {"taskId": task_id, "expectedVersion": found["version"], "reason": reason}
            await self._client.mutate(tasks.RELEASE, given)

    async def assign_model(self, task: Task, provider: Provider, model: str, number: int = 0) -> Assignment:
        """Record that a model works on the task; `number` tells apart several models of one attempt."""
        payload = await self._client.mutate(
            model_assignments.RECORD,
            {
                "agentId": self._agent_id,
                "taskId": task.task_id,
                "providerName": provider.name,
                "modelName": model,
                "assignmentReason": AssignmentReason.PROVIDER_PREFERENCE.name,
                "idempotencyKey": f"{task.key}:model:{number}",
            },
        )
        assignment = payload["modelAssignment"]
        return Assignment(assignment["assignmentId"], assignment["version"])

    async def complete_model(self, assignment: Assignment, use: ModelUse) -> None:
        """Record what the model's work took."""
        await self._client.mutate(model_assignments.COMPLETE, _use_of(assignment, use))

    async def fail_model(self, assignment: Assignment, use: ModelUse, reason: str) -> None:
        """Record that the model did not do the work, and what it took all the same."""
        await self._client.mutate(model_assignments.FAIL, {**_use_of(assignment, use), "reason": reason})


def _task(found: Mapping[str, Any]) -> Task:
    question = found["input"] if isinstance(found["input"], Mapping) else {}
    gate = question.get("gate")
    given = {
        "taskId": found["taskId"],
        "taskKind": TaskKind[found["taskKind"]].value,
        "title": found["title"],
        "description": found["description"],
        "executionId": found["execution"]["executionId"] if found["execution"] else None,
        "decisionId": found["decision"]["decisionId"] if found["decision"] else None,
        "phase": found["phase"],
        "complexity": found["complexity"],
        "requiredCapabilities": found["requiredCapabilities"],
        "input": found["input"],
    }
    return Task(
        task_id=found["taskId"],
        kind=TaskKind[found["taskKind"]],
        title=found["title"],
        version=found["version"],
        attempt=found["attempts"],
        execution_id=given["executionId"],
        gate=gate if isinstance(gate, Mapping) else None,
        question=question,
        given=given,
        phase=found["phase"],
        task_name=found["taskName"],
        phase_attempt=found["phaseAttempt"],
        timeout_seconds=found["timeoutSeconds"],
    )


def _use_of(assignment: Assignment, use: ModelUse) -> dict[str, Any]:
    return {
        "assignmentId": assignment.assignment_id,
        "expectedVersion": assignment.version,
        "actualCost": _exact(use.cost),
        "tokensUsed": use.tokens,
        "processingTime": use.duration_ms,
        "idempotencyKey": f"{assignment.assignment_id}:done",
    }


def _evidence(item: Evidence) -> dict[str, Any]:
    return {
        "intervalStart": item.interval_start,
        "intervalEnd": item.interval_end,
        "agentId": item.agent_id,
        "executionId": item.execution_id,
        "snapshot": item.snapshot,
    }


def _gate(item: WantedGate, task: Task) -> dict[str, Any]:
    return {
        "workflowExecutionId": item.execution_id or task.execution_id,
        "gateName": item.gate_name,
        "gateType": item.gate_type.name,
        "validationCriteria": item.validation_criteria,
        "reviewers": list(item.reviewers),
    }


def _holder(task: Mapping[str, Any]) -> str | None:
    agent = task["assignedAgent"]
    return agent["agentId"] if agent is not None else None


def _of_version(task: Task) -> dict[str, Any]:
    return {"taskId": task.task_id, "expectedVersion": task.version, "idempotencyKey": task.key}


def _exact(value: float | Decimal | None) -> str | None:
    """A number as the API's Decimal: digits without an exponent."""
    return None if value is None else format(Decimal(str(value)), "f")
