"""Mutations of tasks."""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import Principal
from app.security.policy import Permission
from app.services import tasks as services
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.tasks.inputs import (
    TaskClaimInput,
    TaskCompleteInput,
    TaskCreateInput,
    TaskFailInput,
    TaskReleaseInput,
    TaskReportProgressInput,
    TaskStartInput,
)
from graphql_schema.tasks.types import Task


@strawberry.type(description="The task as it is after the mutation.")
class TaskPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    task: Task | None = entity_of(
        "Task", description="The task; null when the request was refused, or when no task fits the claim."
    )


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


@strawberry.type
class TaskMutations:
    @strawberry.mutation(description="Create a pending task, free for any agent that fits.")
    async def task_create(self, info: Info, input: TaskCreateInput) -> TaskPayload:
        return await carry_out(
            info,
            TaskPayload,
            input,
            Permission.CREATE_TASK,
            lambda session: services.create_task(session, info.context.principal, input.command()),
            by("task_id"),
        )

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
