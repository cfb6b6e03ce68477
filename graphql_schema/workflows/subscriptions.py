"""Subscriptions to workflow executions."""

import strawberry

from app.domain.events import Aggregate
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Narrowing, StreamPlan, stream, uuid_text
from graphql_schema.workflows.types import WorkflowExecution


@strawberry.type(
    description="One event of a workflow execution: started, running, step_started, step_completed, step_failed, "
    "step_skipped, admitted, error_logged, signalled, paused, resumed, retried, completed, failed or cancelled."
)
class WorkflowProgress(Change):
    execution: WorkflowExecution | None = subject(
        "WorkflowExecution",
        description="The execution as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class WorkflowSubscriptions:
    workflow_progress: WorkflowProgress = stream(
        StreamPlan(Aggregate.WORKFLOW, (Narrowing("executionId", uuid_text, "Only this execution."),)),
        description="Events of workflow executions: changes of status, steps and errors.",
    )
