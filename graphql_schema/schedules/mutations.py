"""Mutations of schedules."""

import strawberry

from app.security.policy import Permission
from app.services.schedules import (
    create_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
    update_schedule,
)
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.schedules.inputs import (
    ScheduleCreateInput,
    ScheduleDeleteInput,
    SchedulePauseInput,
    ScheduleResumeInput,
    ScheduleTriggerInput,
    ScheduleUpdateInput,
)
from graphql_schema.schedules.types import WorkflowSchedule
from graphql_schema.workflows.mutations import WorkflowPayload


@strawberry.type(description="The schedule as it is after the mutation.")
class SchedulePayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    schedule: WorkflowSchedule | None = entity_of(
        "WorkflowSchedule", description="The schedule; null when the request was refused."
    )


@strawberry.type
class ScheduleMutations:
    @strawberry.mutation(description="Start a workflow at certain times, by cron, at intervals or once.")
    async def schedule_create(self, info: Info, input: ScheduleCreateInput) -> SchedulePayload:
        return await carry_out(
            info,
            SchedulePayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: create_schedule(session, info.context.principal, input.command()),
            by("schedule_id"),
        )

    @strawberry.mutation(
        description="Change a schedule. One that has ENDED and is given another time is ACTIVE again; executions that "
        "were started stay as they are."
    )
    async def schedule_update(self, info: Info, input: ScheduleUpdateInput) -> SchedulePayload:
        return await carry_out(
            info,
            SchedulePayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: update_schedule(session, info.context.principal, input.command()),
            by("schedule_id"),
        )

    @strawberry.mutation(description="Let a schedule start no executions; those under way go on.")
    async def schedule_pause(self, info: Info, input: SchedulePauseInput) -> SchedulePayload:
        return await carry_out(
            info,
            SchedulePayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: pause_schedule(session, info.context.principal, input.command()),
            by("schedule_id"),
        )

    @strawberry.mutation(description="Let a paused schedule go on; what came due meanwhile is left out.")
    async def schedule_resume(self, info: Info, input: ScheduleResumeInput) -> SchedulePayload:
        return await carry_out(
            info,
            SchedulePayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: resume_schedule(session, info.context.principal, input.command()),
            by("schedule_id"),
        )

    @strawberry.mutation(
        description="Use a schedule no more. `schedules` does not list it then; executions that it started go on and "
        "keep it."
    )
    async def schedule_delete(self, info: Info, input: ScheduleDeleteInput) -> SchedulePayload:
        return await carry_out(
            info,
            SchedulePayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: delete_schedule(session, info.context.principal, input.command()),
            by("schedule_id"),
        )

    @strawberry.mutation(
        description="Start a schedule's execution now. When it comes due next stays as it is; a paused one can be "
        "triggered too."
    )
    async def schedule_trigger(self, info: Info, input: ScheduleTriggerInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: trigger_schedule(session, info.context.principal, input.command()),
            by("execution_id"),
        )
