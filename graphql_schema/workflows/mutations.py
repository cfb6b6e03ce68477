"""Mutations of workflow executions."""

import strawberry

from app.security.policy import Permission
from app.services.workflow_forks import fork_workflow
from app.services.workflow_signals import signal_workflow
from app.services.workflow_skips import skip_phase
from app.services.workflows import (
    cancel_workflow,
    fail_workflow,
    pause_workflow,
    resume_workflow,
    retry_workflow,
    start_workflow,
)
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.workflows.inputs import (
    WorkflowCancelInput,
    WorkflowFailInput,
    WorkflowForkInput,
    WorkflowPauseInput,
    WorkflowResumeInput,
    WorkflowRetryInput,
    WorkflowSignalInput,
    WorkflowSkipPhaseInput,
    WorkflowStartInput,
)
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

    @strawberry.mutation(
        description="Tell an execution something that a phase of the kind wait awaits. It is kept until such a phase "
        "takes it, once; also when it comes before the phase."
    )
    async def workflow_signal(self, info: Info, input: WorkflowSignalInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: signal_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(
        description="Hold a running execution: no phase begins or ends until `workflowResume`. Tasks at hand go on, "
        "and their results and the verdicts given meanwhile are kept and count then."
    )
    async def workflow_pause(self, info: Info, input: WorkflowPauseInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: pause_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(description="Let a paused execution go on from where it is.")
    async def workflow_resume(self, info: Info, input: WorkflowResumeInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: resume_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(
        description="Let a failed execution go on: the phase that failed is begun anew with new tasks, completed "
        "phases are not repeated. After a gate's rejection it goes on with the phase to which the gate sends work "
        "back, if it names one; then, and if it names none, a new gate is opened."
    )
    async def workflow_retry(self, info: Info, input: WorkflowRetryInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: retry_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(
        description="Run an execution again from one of its steps on, as a new execution of the same version of the "
        "template: the steps before stand as they are, their results are given to the phases that follow. The original "
        "is not touched."
    )
    async def workflow_fork(self, info: Info, input: WorkflowForkInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: fork_workflow(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(
        description="End the phase under way, or the failed phase of a failed execution, as SKIPPED: its open tasks "
        "are cancelled, the execution goes on with the next phase. Later phases are given null for its result, and "
        "why. A phase that is a quality gate is skipped by ADMIN only."
    )
    async def workflow_skip_phase(self, info: Info, input: WorkflowSkipPhaseInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: skip_phase(session, info.context.principal, input.command()),
            by("execution_id"),
        )

    @strawberry.mutation(
        description="End a running or paused execution as failed: open tasks are cancelled, and the error log says "
        "who ended it and why. `workflowRetry` can take it up again."
    )
    async def workflow_fail(self, info: Info, input: WorkflowFailInput) -> WorkflowPayload:
        return await carry_out(
            info,
            WorkflowPayload,
            input,
            Permission.RUN_WORKFLOW,
            lambda session: fail_workflow(session, info.context.principal, input.command()),
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
