"""Mutations of workflow executions."""

import strawberry

from app.security.policy import Permission
from app.services.workflows import cancel_workflow, start_workflow
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.workflows.inputs import WorkflowCancelInput, WorkflowStartInput
from graphql_schema.workflows.types import WorkflowExecution


@strawberry.type(description="The workflow execution as it is after the mutation.")
class WorkflowPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    workflow: WorkflowExecution | None = entity_of(
        "WorkflowExecution", description="The execution; null when the request was refused."
    )


@strawberry.type
class WorkflowMutations:
    @strawberry.mutation(description="Start an execution of the latest version of a template; a worker takes it up.")
    async def workflow_start(self, info: Info, input: WorkflowStartInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: start_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(description="Cancel an execution and its open tasks; what was completed stays recorded.")
    async def workflow_cancel(self, info: Info, input: WorkflowCancelInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: cancel_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )
