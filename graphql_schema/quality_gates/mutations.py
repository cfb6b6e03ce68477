"""Mutations of quality gates."""

from typing import Any

import strawberry

from app.domain.quality_gates import ApprovalStatus
from app.security.policy import Permission
from app.services.quality_gates import decide_gate, open_gate, review_gate
from graphql_schema.context import Info
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.mutating import References, by, carry_out, text_id
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.quality_gates.inputs import (
    QualityGateDecideInput,
    QualityGateOpenInput,
    QualityGateReviewInput,
)
from graphql_schema.quality_gates.types import QualityGateExecution


@strawberry.type(description="The quality gate as it is after the mutation.")
class QualityGatePayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    decision_id: strawberry.Private[str | None] = None
    quality_gate: QualityGateExecution | None = entity_of(
        "QualityGateExecution", description="The gate; null when the request was refused."
    )
    decision: PMDecisionContext | None = entity_of(
        "PMDecisionContext", key="decision_id", description="The decision that a verdict made; null otherwise."
    )


async def _decide(info: Info, input: QualityGateDecideInput, verdict: ApprovalStatus) -> QualityGatePayload:
    context = info.context

    def refer(row: Any) -> References:
        return {"entity_id": text_id(row.gate_id), "decision_id": text_id(row.decision_id)}

    return await carry_out(
        info,
        QualityGatePayload,
        input,
        Permission.DECIDE_GATE,
        lambda session: decide_gate(session, context.principal, input.command(verdict), context.sealer),
        refer,
    )


@strawberry.type
class QualityGateMutations:
    @strawberry.mutation(description="PENDING or REQUIRES_REVISION → IN_REVIEW; each reopening is a new revision.")
    async def quality_gate_open(self, info: Info, input: QualityGateOpenInput) -> QualityGatePayload:
        return await carry_out(
            info,
            QualityGatePayload,
            input,
            Permission.DECIDE_GATE,
            lambda session: open_gate(session, info.context.principal, input.command()),
            by("gate_id"),
        )

    @strawberry.mutation(description="Review a gate that is IN_REVIEW; a second review by the same holder replaces it.")
    async def quality_gate_review(self, info: Info, input: QualityGateReviewInput) -> QualityGatePayload:
        return await carry_out(
            info,
            QualityGatePayload,
            input,
            Permission.REVIEW_GATE,
            lambda session: review_gate(session, info.context.principal, input.command()),
            by("gate_id"),
        )

    @strawberry.mutation(description="IN_REVIEW → APPROVED: the work goes on. Refused while reviews are outstanding.")
    async def quality_gate_approve(self, info: Info, input: QualityGateDecideInput) -> QualityGatePayload:
        return await _decide(info, input, ApprovalStatus.APPROVED)

    @strawberry.mutation(description="IN_REVIEW → REJECTED: the execution fails with the reason.")
    async def quality_gate_reject(self, info: Info, input: QualityGateDecideInput) -> QualityGatePayload:
        return await _decide(info, input, ApprovalStatus.REJECTED)

    @strawberry.mutation(description="IN_REVIEW → REQUIRES_REVISION: the work goes back to the phase that made it.")
    async def quality_gate_request_revision(
        self,
        info: Info,
        input: QualityGateDecideInput,
    ) -> QualityGatePayload:
        return await _decide(info, input, ApprovalStatus.REQUIRES_REVISION)
