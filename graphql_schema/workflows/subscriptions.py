"""Subscriptions to workflow executions."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.context import Info
from graphql_schema.live import After, Change, follow, optional, uuid_text
from graphql_schema.planner.bridge import entity_of
from graphql_schema.workflows.types import WorkflowExecution


@strawberry.type(
    description="One event of a workflow execution: started, running, step_started, step_completed, step_failed, "
    "error_logged, paused, resumed, retried, completed, failed or cancelled."
)
class WorkflowProgress(Change):
    execution: WorkflowExecution | None = entity_of(
        "WorkflowExecution",
        description="The execution as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class WorkflowSubscriptions:
    @strawberry.subscription(description="Events of workflow executions: changes of status, steps and errors.")
    def workflow_progress(
        self,
        info: Info,
        execution_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this execution.")
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[WorkflowProgress, None]:
        return follow(
            info,
            WorkflowProgress,
            Aggregate.WORKFLOW,
            after=after,
            entity_id=optional(uuid_text, "executionId", execution_id),
        )
