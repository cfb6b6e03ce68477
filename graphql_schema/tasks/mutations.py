"""Mutations of tasks."""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import Principal
from app.security.policy import Permission
from app.services import tasks as services
from app.services.task_batches import create_tasks
from app.services.task_ends import cancel_task, retry_task
from graphql_schema.batches import RESULTS, BatchPayload, BatchResult, refer_each
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.tasks.inputs import (
    TaskCancelInput,
    TaskClaimInput,
    TaskCompleteInput,
    TaskCreateInput,
    TaskFailInput,
    TaskReleaseInput,
    TaskReportProgressInput,
    TaskRetryInput,
    TasksCreateInput,
    TaskStartInput,
)
from graphql_schema.tasks.types import Task


@strawberry.type(description="The task as it is after the mutation.")
class TaskPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    task: Task | None = entity_of(
        "Task", description="The task; null when the request was refused, or when no task fits the claim."
    )


@strawberry.type(description="What became of one task of a batch.")
class TaskResult(BatchResult):
    task: Task | None = entity_of("Task", description="The task; null when it was refused, and in a dry run.")


@strawberry.type(description="What became of each task of a batch.")
class TasksPayload(BatchPayload):
    @strawberry.field(description=RESULTS)
    def results(self) -> list[TaskResult]:
        return [TaskResult.of(outcome) for outcome in self.outcomes]


Service = Callable[[AsyncConnection, Principal, Any], Awaitable[Any]]


async def _as_agent(
    info: Info,
    input: Any,
    service: Service,
    agent_id: str | None = None,
) -> TaskPayload:
    """Run a task's service with the rights of an agent; which tasks those are, the service knows."""
    return await carry_out(
        info,
        TaskPayload,
        input,
        Permission.ACT_AS_AGENT,
        lambda session: service(session, info.context.principal, input.command()),
        by("task_id"),
        agent_id=agent_id,
    )


async def _as_planner(info: Info, input: Any, service: Service) -> TaskPayload:
    """Run a task's service with the rights of whoever plans the work."""
    return await carry_out(
        info,
        TaskPayload,
        input,
        Permission.CREATE_TASK,
        lambda session: service(session, info.context.principal, input.command()),
        by("task_id"),
    )


@strawberry.type
class TaskMutations:
    @strawberry.mutation(description="Create a pending task, free for any agent that fits.")
    async def task_create(self, info: Info, input: TaskCreateInput) -> TaskPayload:
        return await _as_planner(info, input, services.create_task)

    @strawberry.mutation(
        description="Create the tasks that a decision breaks work into, all or nothing or each by itself. Tasks may "
        "depend on others of the same request by `key`. In mode EACH a task is refused with those that it depends on."
    )
    async def tasks_create(self, info: Info, input: TasksCreateInput) -> TasksPayload:
        return await carry_out(
            info,
            TasksPayload,
            input,
            Permission.CREATE_TASK,
            lambda session: create_tasks(session, info.context.principal, input.command()),
            refer_each("task_id"),
        )

    @strawberry.mutation(
        description="FAILED → PENDING: the task can be claimed again. `failures` stays, so that the phase of its "
        "workflow still fails at `maxFailures`; the result of the failed attempt goes. BLOCKED when its workflow ended."
    )
    async def task_retry(self, info: Info, input: TaskRetryInput) -> TaskPayload:
        return await _as_planner(info, input, retry_task)

    @strawberry.mutation(
        description="PENDING, ASSIGNED, RUNNING or FAILED → CANCELLED: nobody needs the task any more. The agent that "
        "held it is free for others; the phase of its workflow fails."
    )
    async def task_cancel(self, info: Info, input: TaskCancelInput) -> TaskPayload:
        return await _as_planner(info, input, cancel_task)

    @strawberry.mutation(
        description="Assign a task to an agent, atomically: of several claims one wins. Without `taskId` the oldest "
        "task that fits the agent; null without an error when there is none."
    )
    async def task_claim(self, info: Info, input: TaskClaimInput) -> TaskPayload:
        return await _as_agent(info, input, services.claim_task, input.agent_id)

    @strawberry.mutation(description="ASSIGNED → RUNNING, by the agent that holds the task; counts an attempt.")
    async def task_start(self, info: Info, input: TaskStartInput) -> TaskPayload:
        return await _as_agent(info, input, services.start_task)

    @strawberry.mutation(description="Tell how far the work is; pushed to subscribers, the latest is kept.")
    async def task_report_progress(self, info: Info, input: TaskReportProgressInput) -> TaskPayload:
        return await _as_agent(info, input, services.report_progress)

    @strawberry.mutation(
        description="RUNNING → COMPLETED with the result. Tasks of kind DECISION are answered by `decisionRecord` or a "
        "gate's verdict, those of kind REVIEW by `qualityGateReview`."
    )
    async def task_complete(self, info: Info, input: TaskCompleteInput) -> TaskPayload:
        return await _as_agent(info, input, services.complete_task)

    @strawberry.mutation(description="RUNNING → FAILED with the reason; its workflow tries again or fails.")
    async def task_fail(self, info: Info, input: TaskFailInput) -> TaskPayload:
        return await _as_agent(info, input, services.fail_task)

    @strawberry.mutation(description="ASSIGNED or RUNNING → PENDING: the task can be claimed again.")
    async def task_release(self, info: Info, input: TaskReleaseInput) -> TaskPayload:
        return await _as_agent(info, input, services.release_task)
