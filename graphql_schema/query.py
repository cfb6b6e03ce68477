"""What can be asked. A root field whose arguments are wrong is null, with an error that says why."""

from typing import Any

import strawberry
from sqlalchemy import Column

from db.tables.agents import agents
from db.tables.decisions import decisions
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_schedules, workflow_templates
from graphql_schema.access.types import Viewer
from graphql_schema.agents.types import AgentState
from graphql_schema.connections import (
    Agents,
    Assignments,
    AttentionItems,
    Decisions,
    ErrorLog,
    Executions,
    Gates,
    Measurements,
    Messages,
    Reviews,
    Schedules,
    Tasks,
    Templates,
    Tokens,
)
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.metrics.types import ResourceMetrics
from graphql_schema.model_assignments.types import ModelAssignment
from graphql_schema.node import Node
from graphql_schema.planner.bridge import root
from graphql_schema.planner.browsing import BrowsePlan
from graphql_schema.planner.entities import rising
from graphql_schema.planner.fields import argument, page_arguments
from graphql_schema.planner.nodes import NodePlan, NodesPlan
from graphql_schema.planner.plans import FindPlan, ObjectPlan
from graphql_schema.quality_gates.types import QualityGateExecution
from graphql_schema.schedules.types import WorkflowSchedule, is_in_use
from graphql_schema.tasks.types import Task
from graphql_schema.workflows.types import WorkflowExecution, is_newest_version

AGENT = agents.c
DECISION = decisions.c
METRIC = resource_metrics.c
ASSIGNMENT = model_assignments.c
GATE = quality_gates.c
TASK = tasks.c
EXECUTION = workflow_executions.c
SCHEDULE = workflow_schedules.c
TEMPLATE = workflow_templates.c


def _find(name: str, column: Column[Any], argument_description: str, description: str) -> Any:
    plan = FindPlan(_camel(name), column)
    return root(plan, description=description, arguments=[argument(name, strawberry.ID, argument_description)])


def _browse(description: str, plan: BrowsePlan | None = None) -> Any:
    return root(plan or BrowsePlan(), description=description, arguments=page_arguments())


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@strawberry.type(
    description="What can be asked. An operation is answered from one state of the database, by one statement."
)
class Query:
    viewer: Viewer = root(ObjectPlan(), description="Who is asking.")
    node: Node | None = root(
        NodePlan(),
        description="The object with this global id; null when there is none any more. An id that the hub cannot have "
        "made is refused.",
        arguments=[argument("id", strawberry.ID, "The `id` of any object.")],
    )
    nodes: list[Node | None] | None = root(
        NodesPlan(),
        description="The objects with these global ids, in this order; null for each that is not there any more. Ids "
        "that the hub cannot have made are refused.",
        arguments=[argument("ids", list[strawberry.ID], "The `id`s of any objects, at most 100.")],
    )
    agent: AgentState | None = _find(
        "agent_id", AGENT.agent_id, "The agent's id, such as john-pm.", "One agent; null when it never registered."
    )
    agents: Agents | None = _browse("All agents, by name.")
    agent_messages: Messages | None = _browse("All messages between agents and people, newest first.")
    task: Task | None = _find("task_id", TASK.task_id, "The task's UUID.", "One task; null when there is none.")
    tasks: Tasks | None = _browse("All tasks, newest first.")
    decision: PMDecisionContext | None = _find(
        "decision_id", DECISION.decision_id, "The decision's UUID.", "One decision; null when there is none."
    )
    decisions: Decisions | None = _browse("All decisions, newest first.")
    workflow: WorkflowExecution | None = _find(
        "execution_id",
        EXECUTION.execution_id,
        "The execution's UUID.",
        "One workflow execution; null when there is none.",
    )
    workflows: Executions | None = _browse("All workflow executions, newest first.")
    schedule: WorkflowSchedule | None = _find(
        "schedule_id", SCHEDULE.schedule_id, "The schedule's UUID.", "One schedule; null when there is none."
    )
    schedules: Schedules | None = _browse(
        "The schedules of workflows, newest first; not those that were deleted.", BrowsePlan(where=is_in_use)
    )
    quality_gate: QualityGateExecution | None = _find(
        "gate_id", GATE.gate_id, "The gate's UUID.", "One quality gate; null when there is none."
    )
    quality_gates: Gates | None = _browse("All quality gates, newest first.")
    gate_reviews: Reviews | None = _browse(
        "All reviews of quality gates, newest first; those that are asked for but not answered have no verdict."
    )
    model_assignment: ModelAssignment | None = _find(
        "assignment_id",
        ASSIGNMENT.assignment_id,
        "The assignment's UUID.",
        "One model assignment; null when there is none.",
    )
    model_assignments: Assignments | None = _browse("All model assignments, newest first.")
    resource_metric: ResourceMetrics | None = _find(
        "metric_id", METRIC.metric_id, "The measurement's UUID.", "One measurement; null when there is none."
    )
    resource_metrics: Measurements | None = _browse("All measurements of the last 90 days, latest first.")
    workflow_errors: ErrorLog | None = _browse("The errors of all workflow executions, newest first.")
    workflow_templates: Templates | None = _browse(
        "The workflow templates that can be started, each in its newest version, by name.",
        BrowsePlan(rising(TEMPLATE.template_name), is_newest_version),
    )
    attention_queue: AttentionItems | None = _browse(
        "All that waits for a person or the PM, the most urgent first: by how many agents and how much spend it holds "
        "up, and for how long it has waited."
    )
    api_tokens: Tokens | None = _browse("All API tokens, newest first. For ADMIN only; refused to every other role.")
