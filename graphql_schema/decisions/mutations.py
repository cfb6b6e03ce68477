"""Mutations of decisions."""

import strawberry

from app.security.policy import Permission
from app.services.decisions import record_decision
from graphql_schema.context import Info
from graphql_schema.decisions.inputs import DecisionRecordInput
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.mutating import by, carry_out
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="The decision that was recorded.")
class DecisionPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    decision: PMDecisionContext | None = entity_of(
        "PMDecisionContext", description="The decision; null when the request was refused."
    )


@strawberry.type
class DecisionMutations:
    @strawberry.mutation(
        description="Record a decision. With `taskId` it answers a decision request, which is completed with it."
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
