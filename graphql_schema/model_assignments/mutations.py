"""Mutations of model assignments."""

import strawberry

from app.security.policy import Permission
from app.services.model_assignments import (
    FailedAssignment,
    activate_assignment,
    cancel_assignment,
    complete_assignment,
    fail_assignment,
    record_assignment,
)
from graphql_schema.context import Info
from graphql_schema.model_assignments.inputs import (
    ModelAssignmentActivateInput,
    ModelAssignmentCancelInput,
    ModelAssignmentCompleteInput,
    ModelAssignmentFailInput,
    ModelAssignmentRecordInput,
)
from graphql_schema.model_assignments.types import ModelAssignment
from graphql_schema.mutating import References, by, carry_out, text_id
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="The model assignment as it is after the mutation.")
class ModelAssignmentPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    model_assignment: ModelAssignment | None = entity_of(
        "ModelAssignment", description="The assignment; null when the request was refused."
    )


@strawberry.type(description="The assignment that failed, and the one that stands in for it.")
class ModelAssignmentFailPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    fallback_id: strawberry.Private[str | None] = None
    model_assignment: ModelAssignment | None = entity_of(
        "ModelAssignment", description="The assignment that failed; null when the request was refused."
    )
    fallback: ModelAssignment | None = entity_of(
        "ModelAssignment",
        key="fallback_id",
        description="The assignment of the next model of its chain, ACTIVE; null when the chain was at its end, and in "
        "a dry run.",
    )


def _of_failure(outcome: FailedAssignment) -> References:
    fallback = outcome.fallback
    return {
        "entity_id": text_id(outcome.assignment.assignment_id),
        "fallback_id": text_id(fallback.assignment_id) if fallback is not None else None,
    }


@strawberry.type
class ModelAssignmentMutations:
    @strawberry.mutation(description="Record that a model was chosen for a task. Work without a model has none.")
    async def model_assignment_record(
        self,
        info: Info,
        input: ModelAssignmentRecordInput,
    ) -> ModelAssignmentPayload:
        return await carry_out(
            info,
            ModelAssignmentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: record_assignment(session, info.context.principal, input.command()),
            by("assignment_id"),
            agent_id=input.agent_id,
        )

    @strawberry.mutation(description="ACTIVE → COMPLETED with cost, tokens, time and rating.")
    async def model_assignment_complete(
        self,
        info: Info,
        input: ModelAssignmentCompleteInput,
    ) -> ModelAssignmentPayload:
        return await carry_out(
            info,
            ModelAssignmentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: complete_assignment(session, info.context.principal, input.command()),
            by("assignment_id"),
        )

    @strawberry.mutation(description="PENDING → ACTIVE: the model begins, for the agent that holds the task.")
    async def model_assignment_activate(
        self, info: Info, input: ModelAssignmentActivateInput
    ) -> ModelAssignmentPayload:
        return await carry_out(
            info,
            ModelAssignmentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: activate_assignment(session, info.context.principal, input.command()),
            by("assignment_id"),
        )

    @strawberry.mutation(
        description="ACTIVE → FAILED with the reason. The next model of its `fallbackChain` becomes a new assignment, "
        "ACTIVE, with the reason FALLBACK and the rest of the chain, in the same transaction."
    )
    async def model_assignment_fail(self, info: Info, input: ModelAssignmentFailInput) -> ModelAssignmentFailPayload:
        return await carry_out(
            info,
            ModelAssignmentFailPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: fail_assignment(session, info.context.principal, input.command()),
            _of_failure,
        )

    @strawberry.mutation(description="PENDING or ACTIVE → CANCELLED. No fallback takes its place.")
    async def model_assignment_cancel(self, info: Info, input: ModelAssignmentCancelInput) -> ModelAssignmentPayload:
        return await carry_out(
            info,
            ModelAssignmentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: cancel_assignment(session, info.context.principal, input.command()),
            by("assignment_id"),
        )
