"""Subscriptions to tasks."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.context import Info
from graphql_schema.live import After, Change, follow, optional, uuid_text
from graphql_schema.planner.bridge import entity_of
from graphql_schema.tasks.types import Task


@strawberry.type(
    description="One event of a task: created, claimed, started, progressed, completed, failed, released, retried or "
    "cancelled."
)
class TaskChange(Change):
    task: Task | None = entity_of(
        "Task", description="The task as it is when this payload is sent, which may be later than the event."
    )


@strawberry.type
class TaskSubscriptions:
    @strawberry.subscription(description="Events of tasks: each change of status, and progress that agents report.")
    def task_changed(
        self,
        info: Info,
        task_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this task.")] = strawberry.UNSET,
        execution_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only tasks of this workflow execution.")
        ] = strawberry.UNSET,
        agent_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only events of tasks while this agent held them.")
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[TaskChange, None]:
        return follow(
            info,
            TaskChange,
            Aggregate.TASK,
            after=after,
            entity_id=optional(uuid_text, "taskId", task_id),
            execution_id=execution_id,
            agent_id=agent_id,
        )
