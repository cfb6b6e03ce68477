"""Model assignments."""

from datetime import datetime
from decimal import Decimal

import strawberry
from sqlalchemy import ColumnElement

from app.domain.model_assignments import ASSIGNMENT_MACHINE, AssignmentReason, AssignmentStatus, Provider
from db.tables.model_assignments import model_assignments
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import AgentRef, AssignmentRef, DecisionRef, ExecutionRef, TaskRef
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Row
from graphql_schema.planner.fields import column, item, items, one, transitions
from graphql_schema.scalars import BigInt

ASSIGNMENT = model_assignments.c


def stands_in_for(assignment: Row, fallback: Row) -> ColumnElement[bool]:
    """The second assignment is the first one's fallback."""
    return fallback[ASSIGNMENT.fallback_of] == assignment[ASSIGNMENT.assignment_id]


@strawberry.type(description="A model that may be tried.")
class ModelChoice:
    provider_name: Provider = item("provider_name", description="Who serves the model.")
    model_name: str = item("model_name", description="The model, such as claude-sonnet-4.")
    estimated_cost: Decimal | None = item(
        "estimated_cost", description="The cost expected, in US dollars, 0 or more; null when not estimated."
    )


@strawberry.type(
    description="Which AI model works, or worked, on a task, why, and what it cost. Made by `modelAssignmentRecord`, "
    "and as a fallback by `modelAssignmentFail`; work done without a model has none. Amounts are in US dollars."
)
class ModelAssignment(Node):
    __entity__ = Entity(model_assignments, (ASSIGNMENT.assignment_id,))

    assignment_id: strawberry.ID = column(ASSIGNMENT.assignment_id, description="The assignment's UUID.")
    agent_id: strawberry.ID = column(ASSIGNMENT.agent_id, description="Id of the agent that the model works for.")
    task_id: strawberry.ID = column(ASSIGNMENT.task_id, description="UUID of the task that the model works on.")
    execution_id: strawberry.ID | None = column(
        ASSIGNMENT.execution_id, description="The UUID of the workflow execution of the task; null when it has none."
    )
    decision_id: strawberry.ID | None = column(
        ASSIGNMENT.decision_id, description="The UUID of the decision that chose the model; null when none did."
    )
    provider_name: Provider = column(ASSIGNMENT.provider_name, description="Who serves the model.")
    model_name: str = column(ASSIGNMENT.model_name, description="The model, such as claude-sonnet-4.")
    assignment_reason: AssignmentReason = column(ASSIGNMENT.assignment_reason, description="Why this model was chosen.")
    task_complexity: int = column(
        ASSIGNMENT.task_complexity, description="How hard the task was taken to be, from 1 to 10."
    )
    estimated_cost: Decimal | None = column(
        ASSIGNMENT.estimated_cost, description="The cost expected, 0 or more; null when not estimated."
    )
    actual_cost: Decimal | None = column(
        ASSIGNMENT.actual_cost,
        description="The cost as it was, 0 or more (0 under a subscription); null before the model is done.",
    )
    performance_score: Decimal | None = column(
        ASSIGNMENT.performance_score, description="How well the model did, from 0 to 10; null when not judged."
    )
    processing_time: BigInt | None = column(
        ASSIGNMENT.processing_time, description="Milliseconds that the model took; null before it is done."
    )
    tokens_used: BigInt | None = column(
        ASSIGNMENT.tokens_used, description="Tokens read and written together; null before it is done."
    )
    assignment_status: AssignmentStatus = column(
        ASSIGNMENT.assignment_status, description="Where the assignment stands."
    )
    allowed_transitions: list[AssignmentStatus] = transitions(ASSIGNMENT_MACHINE, ASSIGNMENT.assignment_status)
    failure_reason: str | None = column(
        ASSIGNMENT.failure_reason, description="Why the model failed; null unless it did."
    )
    fallback_of_id: strawberry.ID | None = column(
        ASSIGNMENT.fallback_of,
        description="The UUID of the failed assignment that this one stands in for; null when it is no fallback.",
    )
    fallback_chain: list[ModelChoice] = items(
        ASSIGNMENT.fallback_chain, description="The models to be tried if this one fails, in order."
    )
    completed_at: datetime | None = column(ASSIGNMENT.completed_at, description="When the model was done; null before.")
    version: int = column(ASSIGNMENT.version, description="Rises by one with each change. For `expectedVersion`.")
    created_at: datetime = column(ASSIGNMENT.created_at, description="When the assignment was recorded.")
    updated_at: datetime = column(ASSIGNMENT.updated_at, description="When the assignment last changed.")

    agent: AgentRef = one(ASSIGNMENT.agent_id, description="The agent that the model works for.")
    task: TaskRef = one(ASSIGNMENT.task_id, description="The task that the model works on.")
    execution: ExecutionRef | None = one(
        ASSIGNMENT.execution_id, description="The workflow execution of the task; null when it has none."
    )
    decision: DecisionRef | None = one(
        ASSIGNMENT.decision_id, description="The decision that chose the model; null when none did."
    )
    fallback_of: AssignmentRef | None = one(
        ASSIGNMENT.fallback_of,
        description="The failed assignment that this one stands in for; null when it is no fallback.",
    )
    fallback: AssignmentRef | None = one(
        stands_in_for,
        description="The assignment that stands in for this one since it failed; null when none does.",
    )
