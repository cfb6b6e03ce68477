"""Agents, and the messages between them."""

from datetime import datetime

import strawberry
from sqlalchemy import ColumnElement, false, func, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.agents import AGENT_MACHINE, STALE_AFTER, AgentRole, AgentStatus
from app.domain.tasks import HELD
from db.tables.agents import agent_messages, agent_reports, agents
from db.tables.decisions import decision_evidence, decisions
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import gate_reviewers
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import (
    AgentRef,
    Assignments,
    Decisions,
    Evidence,
    Executions,
    Measurements,
    Messages,
    Reviews,
    Tasks,
)
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Row, Side, column_at, falling, rising
from graphql_schema.planner.fields import column, computed, many, one, one_of, transitions
from graphql_schema.planner.sql import number
from graphql_schema.scalars import JSON

AGENT = agents.c
MESSAGE = agent_messages.c
REPORT = agent_reports.c
DECISION = decisions.c
EVIDENCE = decision_evidence.c
METRIC = resource_metrics.c
ASSIGNMENT = model_assignments.c
REVIEW = gate_reviewers.c
TASK = tasks.c
EXECUTION = workflow_executions.c


def _is_stale(agent: Row) -> ColumnElement[bool]:
    silence = func.now() - agent[REPORT.last_activity]
    limit = func.make_interval(*[number(0)] * 6, number(int(STALE_AFTER.total_seconds())))
    return func.coalesce(silence > limit, true(), type_=false().type)


def _works_on(agent: Row, execution: Row) -> ColumnElement[bool]:
    held = tasks.alias()
    theirs = select(column_at(held, TASK.execution_id)).where(
        column_at(held, TASK.assigned_agent_id) == agent[AGENT.agent_id]
    )
    return execution[EXECUTION.execution_id].in_(theirs.correlate_except(held))


def _talks(agent: Row, message: Row) -> ColumnElement[bool]:
    name = agent[AGENT.agent_id]
    to_all = message[MESSAGE.to_agent_id].is_(None)
    return or_(message[MESSAGE.from_agent_id] == name, message[MESSAGE.to_agent_id] == name, to_all)


def _or_empty(value: ColumnElement[object]) -> ColumnElement[object]:
    return func.coalesce(value, func.jsonb_build_object(), type_=JSONB())


@strawberry.type(
    description="An AI agent of the team: who it is, what it can do and what it is doing. Made by `agentRegister`."
)
class AgentState(Node):
    __entity__ = Entity(
        agents,
        (AGENT.agent_id,),
        sides=(Side(agent_reports, REPORT.agent_id),),
        order=rising(AGENT.agent_name, AGENT.agent_id),
    )

    agent_id: strawberry.ID = column(
        AGENT.agent_id,
        description="The agent's name among agents: lower-case words joined by hyphens, such as john-pm. Fixed.",
    )
    agent_name: str = column(AGENT.agent_name, description="The agent's name for people.")
    agent_role: AgentRole = column(AGENT.agent_role, description="What the agent is specialised in.")
    status: AgentStatus = column(
        AGENT.status,
        description="What the agent is doing. Online it follows its tasks: IDLE with none, ACTIVE below `concurrency`, "
        "BUSY at it. `agentSetStatus` and `agentRegister` change it, and the hub when the agent falls silent.",
    )
    allowed_transitions: list[AgentStatus] = transitions(AGENT_MACHINE, AGENT.status)
    capabilities: list[str] = column(
        AGENT.capabilities,
        description="What the agent can do, such as `python`; a task needs an agent that has all it requires.",
    )
    concurrency: int = column(AGENT.concurrency, description="How many tasks the agent takes at once, from 1 to 64.")
    extension_config: JSON = column(
        AGENT.extension_config, description="Configuration of the agent's own, an object; the hub only keeps it."
    )
    resource_utilization: JSON = computed(
        lambda agent: _or_empty(agent[REPORT.resource_utilization]),
        description='What the agent last reported to use, an object such as {"cpu_percent": 12.5}; key by key the '
        "newest observation. `{}` before the first `agentReport`.",
    )
    performance_metrics: JSON = computed(
        lambda agent: _or_empty(agent[REPORT.performance_metrics]),
        description="What the agent last reported of its performance, an object; key by key the newest observation. "
        "`{}` before the first `agentReport`.",
    )
    last_activity: datetime | None = column(
        REPORT.last_activity,
        description="When the hub last heard of the agent, by the database's clock; null if never.",
    )
    is_stale: bool = computed(
        _is_stale,
        description=f"Whether the hub has not heard of the agent for {int(STALE_AFTER.total_seconds())} seconds, or "
        "never; after 90 seconds the agent is OFFLINE and its tasks are released.",
    )
    version: int = column(
        AGENT.version, description="Rises by one with each change; reports change nothing. For `expectedVersion`."
    )
    created_at: datetime = column(AGENT.created_at, description="When the agent first registered.")
    updated_at: datetime = column(AGENT.updated_at, description="When the agent last changed; reports do not count.")

    active_tasks: Tasks = many(
        TASK.assigned_agent_id,
        where=lambda task: one_of(task[TASK.status], HELD),
        description="The tasks that the agent has at hand (ASSIGNED or RUNNING), newest first.",
    )
    tasks: Tasks = many(
        TASK.assigned_agent_id, description="All tasks that the agent has or had to the end, newest first."
    )
    workflows: Executions = many(
        _works_on, description="The workflow executions that the agent has or had tasks of, newest first."
    )
    model_assignments: Assignments = many(
        ASSIGNMENT.agent_id, description="Which AI models worked for the agent, newest first."
    )
    reviews: Reviews = many(
        REVIEW.agent_id, description="The reviews of quality gates asked of the agent, newest first."
    )
    decisions: Decisions = many(DECISION.agent_id, description="The decisions that the agent took, newest first.")
    evidence: Evidence = many(
        EVIDENCE.agent_id, description="The agent's figures that decisions rest on, newest first."
    )
    metrics: Measurements = many(
        METRIC.agent_id,
        order=falling(METRIC.measurement_time, METRIC.metric_id),
        description="Measurements of the agent's resources over the last 90 days, latest first.",
    )
    communication_history: Messages = many(
        _talks, description="Messages from the agent, to the agent and to all, newest first."
    )


@strawberry.type(description="A message from one agent to another, or to all.")
class AgentMessage(Node):
    __entity__ = Entity(agent_messages, (MESSAGE.message_id,))

    message_id: strawberry.ID = column(MESSAGE.message_id, description="The message's UUID.")
    body: str = column(MESSAGE.body, description="What the message says.")
    created_at: datetime = column(MESSAGE.created_at, description="When it was sent.")
    sent_by: str = column(MESSAGE.sent_by, description="Who sent it: the name of the token with which it was sent.")
    from_agent_id: strawberry.ID | None = column(
        MESSAGE.from_agent_id, description="The id of the agent that sent it; null when a person did."
    )
    to_agent_id: strawberry.ID | None = column(
        MESSAGE.to_agent_id, description="The id of the agent that it is for; null when it is for all."
    )
    from_agent: AgentRef | None = one(
        MESSAGE.from_agent_id, description="The agent that sent it; null when a person did."
    )
    to_agent: AgentRef | None = one(
        MESSAGE.to_agent_id, description="The agent that it is for; null when it is for all."
    )
