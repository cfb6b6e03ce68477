"""Subscriptions to tasks."""

import strawberry

from app.domain.events import Aggregate
from db.tables.tasks import tasks
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Narrowing, StreamPlan, of_agent, of_execution, stream, uuid_text
from graphql_schema.tasks.types import Task


@strawberry.type(
    description="One event of a task: created, claimed, started, progressed, completed, failed, released, retried or "
    "cancelled."
)
class TaskChange(Change):
    task: Task | None = subject(
        "Task", description="The task as it is when this payload is sent, which may be later than the event."
    )


@strawberry.type
class TaskSubscriptions:
    task_changed: TaskChange = stream(
        StreamPlan(
            Aggregate.TASK,
            (
                Narrowing("taskId", uuid_text, "Only this task."),
                of_execution("Only tasks of this workflow execution.", tasks.c.execution_id),
                of_agent("Only events of tasks while this agent held them.", tasks.c.assigned_agent_id),
            ),
        ),
        description="Events of tasks: each change of status, and progress that agents report.",
    )
