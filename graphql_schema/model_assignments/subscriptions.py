"""Subscriptions to model assignments."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.context import Info
from graphql_schema.live import After, Change, follow, optional, uuid_text
from graphql_schema.model_assignments.types import ModelAssignment
from graphql_schema.planner.bridge import entity_of


@strawberry.type(
    description="One event of a model assignment: recorded, activated, completed, failed or cancelled. A fallback is "
    "recorded and activated right after its failure."
)
class ModelAssignmentChange(Change):
    model_assignment: ModelAssignment | None = entity_of(
        "ModelAssignment",
        description="The assignment as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class ModelAssignmentSubscriptions:
    @strawberry.subscription(description="Events of model assignments.")
    def model_assignment_changed(
        self,
        info: Info,
        assignment_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this assignment.")
        ] = strawberry.UNSET,
        agent_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only assignments of this agent.")
        ] = strawberry.UNSET,
        execution_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only assignments of this workflow execution.")
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[ModelAssignmentChange, None]:
        return follow(
            info,
            ModelAssignmentChange,
            Aggregate.MODEL_ASSIGNMENT,
            after=after,
            entity_id=optional(uuid_text, "assignmentId", assignment_id),
            agent_id=agent_id,
            execution_id=execution_id,
        )
