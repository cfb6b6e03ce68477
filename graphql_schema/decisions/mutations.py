"""Mutations of decisions."""

import strawberry

from app.security.policy import Permission
from app.services.decisions import annotate_decision, erase_decision, record_decision
from graphql_schema.context import Info
from graphql_schema.decisions.inputs import DecisionAnnotateInput, DecisionEraseInput, DecisionRecordInput
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="The decision as it is after the mutation.")
class DecisionPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    decision: PMDecisionContext | None = entity_of(
        "PMDecisionContext", description="The decision; null when the request was refused."
    )


@strawberry.type
class DecisionMutations:
    @strawberry.mutation(
        description="Record a decision, with its evidence and the quality gates that it asks for. With `taskId` it "
        "answers a decision request, which is completed with it."
    )
    async def decision_record(self, info: Info, input: DecisionRecordInput) -> DecisionPayload:
        context = info.context
        return await carry_out(
            info,
            DecisionPayload,
            input,
            Permission.RECORD_DECISION,
            lambda session: record_decision(session, context.principal, input.command(), context.sealer),
            by("decision_id"),
        )

    @strawberry.mutation(description="Set what is to be remembered of a decision; all else of it stays.")
    async def decision_annotate(self, info: Info, input: DecisionAnnotateInput) -> DecisionPayload:
        return await carry_out(
            info,
            DecisionPayload,
            input,
            Permission.RECORD_DECISION,
            lambda session: annotate_decision(session, info.context.principal, input.command()),
            by("decision_id"),
        )

    @strawberry.mutation(
        description="Destroy the key of a decision: nobody can read its `contextData` and `reasoningProcess` any more. "
        "For ADMIN only, and cannot be undone; outcome, evidence and relations stay. A second time is refused with "
        "ILLEGAL_TRANSITION."
    )
    async def decision_erase(self, info: Info, input: DecisionEraseInput) -> DecisionPayload:
        return await carry_out(
            info,
            DecisionPayload,
            input,
            Permission.ERASE_SEALED,
            lambda session: erase_decision(session, info.context.principal, input.command()),
            by("decision_id"),
        )
