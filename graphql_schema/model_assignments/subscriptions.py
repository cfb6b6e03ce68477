"""Subscriptions to model assignments."""

import strawberry

from app.domain.events import Aggregate
from db.tables.model_assignments import model_assignments
from graphql_schema.model_assignments.types import ModelAssignment
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Narrowing, StreamPlan, of_agent, of_execution, stream, uuid_text

ASSIGNMENT = model_assignments.c


@strawberry.type(
    description="One event of a model assignment: recorded, activated, completed, failed or cancelled. A fallback is "
    "recorded and activated right after its failure."
)
class ModelAssignmentChange(Change):
    model_assignment: ModelAssignment | None = subject(
        "ModelAssignment",
        description="The assignment as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class ModelAssignmentSubscriptions:
    model_assignment_changed: ModelAssignmentChange = stream(
        StreamPlan(
            Aggregate.MODEL_ASSIGNMENT,
            (
                Narrowing("assignmentId", uuid_text, "Only this assignment."),
                of_agent("Only assignments of this agent.", ASSIGNMENT.agent_id),
                of_execution("Only assignments of this workflow execution.", ASSIGNMENT.execution_id),
            ),
        ),
        description="Events of model assignments.",
    )
