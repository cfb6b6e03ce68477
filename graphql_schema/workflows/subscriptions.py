"""Subscriptions to workflow executions."""

import strawberry

from app.domain.events import Aggregate
from graphql_schema.streams.changes import Change, subject, told
from graphql_schema.streams.declaring import Narrowing, StreamPlan, stream, uuid_text
from graphql_schema.workflows.types import WorkflowExecution


@strawberry.type(
    description="One event of a workflow execution: started, running, step_started, step_completed, step_failed, "
    "step_skipped, admitted, error_logged, signalled, paused, resumed, retried, completed, failed or cancelled."
)
class WorkflowProgress(Change):
    step_number: int | None = told(
        lambda event: event.detail.get("step_number") or None,
        description="Which step the event is about, as in `executionPath`; null when about none. With the two below "
        "and `eventType` a client keeps its list of steps up to date without asking for it anew.",
    )
    phase: str | None = told(
        lambda event: event.detail.get("phase"), description="The phase that the event is about; null when about none."
    )
    attempt: int | None = told(
        lambda event: event.detail.get("attempt"),
        description="Which pass through this phase that step is; null when the event is about none.",
    )
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
