"""Mutations of quality gates."""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.quality_gates import ApprovalStatus
from app.security.policy import Permission
from app.services.gate_changes import assign_reviewers, escalate_gate, record_checks, resolve_escalation
from app.services.gate_creation import create_gate
from app.services.quality_gates import DecideGate, decide_gate, open_gate, review_gate
from graphql_schema.context import Info
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.mutating import References, by, carry_out, text_id
from graphql_schema.payloads import MutationInput, Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.quality_gates.inputs import (
    QualityGateAssignReviewersInput,
    QualityGateCreateInput,
    QualityGateDecideInput,
    QualityGateEscalateInput,
    QualityGateOpenInput,
    QualityGateRecordChecksInput,
    QualityGateResolveEscalationInput,
    QualityGateReviewInput,
    QualityGateWaiveInput,
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
    return await _give(info, input, lambda: input.command(verdict))


async def _give(info: Info, input: MutationInput, command: Callable[[], DecideGate]) -> QualityGatePayload:
    context = info.context

    def refer(row: Any) -> References:
        return {"entity_id": text_id(row.gate_id), "decision_id": text_id(row.decision_id)}

    return await carry_out(
        info,
        QualityGatePayload,
        input,
        Permission.DECIDE_GATE,
        lambda session: decide_gate(session, context.principal, command(), context.sealer),
        refer,
    )


async def _change(
    info: Info,
    input: MutationInput,
    permission: Permission,
    service: Callable[[AsyncConnection], Awaitable[Any]],
) -> QualityGatePayload:
    return await carry_out(info, QualityGatePayload, input, permission, service, by("gate_id"))


@strawberry.type
class QualityGateMutations:
    @strawberry.mutation(
        description="Ask for a gate of an execution that is under way: it then ends only when the gate is APPROVED. "
        "The gate is PENDING; `qualityGateOpen` begins its review."
    )
    async def quality_gate_create(self, info: Info, input: QualityGateCreateInput) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.DECIDE_GATE,
            lambda session: create_gate(session, info.context.principal, input.command()),
        )

    @strawberry.mutation(description="PENDING or REQUIRES_REVISION → IN_REVIEW; each reopening is a new revision.")
    async def quality_gate_open(self, info: Info, input: QualityGateOpenInput) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.DECIDE_GATE,
            lambda session: open_gate(session, info.context.principal, input.command()),
        )

    @strawberry.mutation(
        description="Review a gate that is IN_REVIEW; a second review by the same holder replaces it. A review that "
        "does not count to the quorum is kept, and `excludedBecause` says why. Where the verdict is the quorum's, the "
        "review that makes it stand gives it."
    )
    async def quality_gate_review(self, info: Info, input: QualityGateReviewInput) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.REVIEW_GATE,
            lambda session: review_gate(session, info.context.principal, input.command()),
        )

    @strawberry.mutation(
        description="IN_REVIEW → APPROVED: the work goes on. Refused while reviews are outstanding, or where the gate "
        "has a quorum, while it does not stand; and below the criteria's `min_score`. Automated checks inform and do "
        "not decide: those that failed are told in the event and in a dry run's changes. The verdict holds for the "
        "evidence of this moment."
    )
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

    @strawberry.mutation(
        description="IN_REVIEW → APPROVED whatever the reviews, the quorum, the score and the criteria say; for PM and "
        "ADMIN. Who waived it and why are kept with the gate, and recorded as a decision of type QUALITY_GATE."
    )
    async def quality_gate_waive(self, info: Info, input: QualityGateWaiveInput) -> QualityGatePayload:
        return await _give(info, input, input.command)

    @strawberry.mutation(description="Ask for more reviews of a gate that is PENDING or IN_REVIEW.")
    async def quality_gate_assign_reviewers(
        self, info: Info, input: QualityGateAssignReviewersInput
    ) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.DECIDE_GATE,
            lambda session: assign_reviewers(session, info.context.principal, input.command()),
        )

    @strawberry.mutation(
        description="Record what was measured for an open gate; the hub computes whether each check passed. Checks "
        "inform the verdict, they do not decide."
    )
    async def quality_gate_record_checks(self, info: Info, input: QualityGateRecordChecksInput) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.REVIEW_GATE,
            lambda session: record_checks(session, info.context.principal, input.command()),
        )

    @strawberry.mutation(
        description="Say that a human must look at an open gate. Its status stays, and so does who may decide; the "
        "verdict may come before the escalation is resolved."
    )
    async def quality_gate_escalate(self, info: Info, input: QualityGateEscalateInput) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.REVIEW_GATE,
            lambda session: escalate_gate(session, info.context.principal, input.command()),
        )

    @strawberry.mutation(description="Say that a human has looked at an escalated gate, be it open or decided.")
    async def quality_gate_resolve_escalation(
        self, info: Info, input: QualityGateResolveEscalationInput
    ) -> QualityGatePayload:
        return await _change(
            info,
            input,
            Permission.DECIDE_GATE,
            lambda session: resolve_escalation(session, info.context.principal, input.command()),
        )
