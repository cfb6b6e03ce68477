"""Mutations of model assignments."""

import strawberry

from app.security.policy import Permission
from app.services.model_assignments import complete_assignment, record_assignment
from graphql_schema.context import Info
from graphql_schema.model_assignments.inputs import ModelAssignmentCompleteInput, ModelAssignmentRecordInput
from graphql_schema.model_assignments.types import ModelAssignment
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="The model assignment as it is after the mutation.")
class ModelAssignmentPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    model_assignment: ModelAssignment | None = entity_of(
        "ModelAssignment", description="The assignment; null when the request was refused."
    )


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
