"""What is there when a sequence begins: rows and events as services would have left them, written at once.

A beginning is told to the model, by its own means; rows and events are made from that, for many sequences together: a
few statements instead of some hundred commands, so that the sequences have the time.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentStatus
from app.domain.decisions import DecisionType
from app.domain.ids import new_id
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.domain.quality_gates import ApprovalStatus, GateType
from app.domain.tasks import TaskKind, TaskStatus
from app.domain.workflows import ExecutionStatus, TriggerType
from db.session import Database
from db.tables.agents import agents
from db.tables.decisions import decisions
from db.tables.events import event_log
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_templates
from tests.properties.model import Agent, Assignment, Change, Decision, Execution, Gate, State, Task
from tests.properties.workflows import TEMPLATE
from tests.services.makers import SEALER

Beginning = Callable[[State], None]
FALLBACK = {"provider_name": Provider.ZAI_GLM.value, "model_name": "glm-4.5", "estimated_cost": None}


async def make_template(database: Database) -> None:
    """The one template, which no engine runs."""
    values = {"template_name": TEMPLATE, "template_version": 1, "description": "For a test.", "spec": {}}
    await database.transact(lambda session: session.execute(insert(workflow_templates).values(**values)))


async def begin(database: Database, states: Sequence[State]) -> None:
    """Write what the states have, and their changes as events."""
    rows: Sequence[tuple[Table, Sequence[Mapping[str, Any]]]] = [
        (agents, [_agent(agent) for state in states for agent in state.all(Agent)]),
        (workflow_executions, [_execution(execution) for state in states for execution in state.all(Execution)]),
        (decisions, [_decision(decision) for state in states for decision in state.all(Decision)]),
        (quality_gates, [_gate(state, gate) for state in states for gate in state.all(Gate)]),
        (tasks, [_task(state, task) for state in states for task in state.all(Task)]),
        (model_assignments, [_assignment(state, one) for state in states for one in state.all(Assignment)]),
        (event_log, [_event(state, change) for state in states for change in state.changes]),
    ]

    async def write(session: AsyncConnection) -> None:
        for table, values in rows:
            if values:
                await session.execute(insert(table), values)

    await database.transact(write)


def _agent(agent: Agent) -> dict[str, Any]:
    return {
        "agent_id": agent.id,
        "agent_name": agent.key,
        "agent_role": agent.role.value,
        "status": agent.status.value,
        "capabilities": sorted(agent.capabilities),
        "concurrency": agent.concurrency,
        "version": agent.version,
    }


def _execution(execution: Execution) -> dict[str, Any]:
    return {
        "execution_id": execution.id,
        "workflow_name": TEMPLATE,
        "template_version": 1,
        "execution_status": execution.status.value,
        "trigger_type": TriggerType.MANUAL.value,
        "triggered_by": "a test",
        "version": execution.version,
    }


def _gate(state: State, gate: Gate) -> dict[str, Any]:
    return {
        "gate_id": gate.id,
        "gate_name": gate.name,
        "workflow_execution_id": state.things[gate.execution].id,
        "gate_type": GateType.TECHNICAL_REVIEW.value,
        "validation_criteria": {"verdict_by": "human"} if gate.human else {},
        "approval_status": gate.status.value,
        "pm_decision": "not yet" if gate.verdict is not None else None,
        "decision_id": state.things[gate.verdict].id if gate.verdict is not None else None,
        "version": gate.version,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    texts = {"context_data": b"{}", "reasoning_process": b"step by step"}
    sealed = SEALER.seal_row("decisions", str(decision.id), texts)
    return {
        "decision_id": decision.id,
        "decision_type": DecisionType.QUALITY_GATE.value,
        "context_data_sealed": sealed.columns["context_data"],
        "reasoning_process_sealed": sealed.columns["reasoning_process"],
        "sealed_key": sealed.wrapped_key,
        "outcome": "so be it",
        "confidence_score": 8,
        "decided_by": "a test",
        "version": decision.version,
    }


def _assignment(state: State, assignment: Assignment) -> dict[str, Any]:
    return {
        "assignment_id": assignment.id,
        "agent_id": assignment.agent,
        "task_id": state.things[assignment.task].id,
        "provider_name": Provider.ANTHROPIC_CLAUDE.value,
        "model_name": "claude-sonnet-4",
        "assignment_reason": AssignmentReason.COMPLEXITY_HIGH.value,
        "task_complexity": 5,
        "assignment_status": assignment.status.value,
        "fallback_chain": [FALLBACK] * assignment.chain,
        "version": assignment.version,
    }


def _task(state: State, task: Task) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "task_kind": task.kind.value,
        "title": task.key,
        "execution_id": state.things[task.execution].id if task.execution is not None else None,
        "gate_id": state.things[task.gate].id if task.gate is not None else None,
        "phase": task.phase,
        "task_name": task.key if task.phase is not None else None,
        "phase_attempt": 1 if task.phase is not None else None,
        "required_capabilities": sorted(task.capabilities),
        "assigned_agent_id": task.holder,
        "completed_at": datetime.now(UTC) if task.status is TaskStatus.FAILED else None,
        "status": task.status.value,
        "version": task.version,
    }


def _event(state: State, change: Change) -> dict[str, Any]:
    assert change.key is not None
    return {
        "retention": "audit",
        "aggregate": change.aggregate.value,
        "entity_id": state.things[change.key].id,
        "event_type": change.event_type,
        "from_status": change.from_status,
        "to_status": change.to_status,
        "version": change.version,
        "actor": "a test",
        "detail": {},
    }


# what there may be


def an_agent(state: State, who: str, concurrency: int = 1) -> Agent:
    """An agent that is idle."""
    agent = state.add(Agent, "registered", f"{state.name}-{who}", id=f"{state.name}-{who}", status=AgentStatus.IDLE)
    agent.concurrency = agent.most = concurrency
    agent.capabilities = frozenset({state.name})
    return agent


def a_team(state: State) -> tuple[Agent, Agent]:
    """Two agents, of which one takes two tasks at once."""
    return an_agent(state, "a", 2), an_agent(state, "b")


def a_task(state: State, execution: Execution | None = None, **facts: Any) -> Task:
    """A task that is pending."""
    execution_key = execution.key if execution is not None else None
    made = state.add(Task, "created", id=str(new_id()), execution=execution_key, **facts)
    made.capabilities = frozenset({state.name})
    return made


def an_assigned_task(state: State, agent: Agent, execution: Execution | None = None, **facts: Any) -> Task:
    """A task that the agent has claimed."""
    task = a_task(state, execution, **facts)
    state.move(task, TaskStatus.ASSIGNED, "claimed")
    task.holder = agent.key
    state.follow_load(agent)
    return task


def a_running_task(state: State, agent: Agent, execution: Execution | None = None, **facts: Any) -> Task:
    """A task that the agent works on."""
    task = an_assigned_task(state, agent, execution, **facts)
    state.move(task, TaskStatus.RUNNING, "started")
    return task


def a_failed_task(state: State, agent: Agent, execution: Execution | None = None) -> Task:
    """A task that the agent has failed at."""
    task = a_running_task(state, agent, execution)
    state.move(task, TaskStatus.FAILED, "failed")
    state.let_go(task)
    return task


def an_execution(state: State) -> Execution:
    """An execution that a worker has taken up."""
    made = state.add(Execution, "started", id=str(new_id()))
    state.move(made, ExecutionStatus.RUNNING, "running")
    return made


def a_gate(state: State, execution: Execution, **facts: Any) -> Gate:
    """A gate that is pending."""
    return state.add(Gate, "created", id=str(new_id()), execution=execution.key, **facts)


def a_request(state: State, kind: TaskKind, agent: Agent, execution: Execution, gate: Gate | None = None) -> Task:
    """A question to an agent that has it at hand, as a phase of the workflow asks it."""
    gate_key = gate.key if gate is not None else None
    return a_running_task(state, agent, execution, kind=kind, gate=gate_key, phase="ask")


def a_gate_in_review(state: State, execution: Execution, **facts: Any) -> Gate:
    """A gate that nobody in particular was asked to review."""
    gate = a_gate(state, execution, **facts)
    state.move(gate, ApprovalStatus.IN_REVIEW, "opened")
    return gate


def a_decided_gate(state: State, execution: Execution, target: ApprovalStatus, event_type: str) -> Gate:
    """A gate that was rejected or sent back."""
    gate = a_gate_in_review(state, execution)
    gate.verdict = a_decision(state).key
    state.move(gate, target, event_type)
    return gate


def a_decision(state: State) -> Decision:
    """A decision."""
    return state.add(Decision, "recorded", id=str(new_id()))


def an_assignment(state: State, task: Task, *, active: bool) -> Assignment:
    """A model for a task at hand, with one more to be tried if it fails."""
    made = state.add(Assignment, "recorded", id=str(new_id()), agent=task.holder, task=task.key, chain=1)
    if active:
        state.move(made, AssignmentStatus.ACTIVE, "activated")
    return made
