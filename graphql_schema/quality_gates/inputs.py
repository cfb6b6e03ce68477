"""Inputs of the quality gates' mutations."""

from decimal import Decimal

import strawberry

from app.domain.ids import parse_id
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict
from app.services.quality_gates import DecideGate, OpenGate, ReviewGate
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional


@strawberry.input(description="Begin the review of a gate, or begin it again after a revision.")
class QualityGateOpenInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reviewers: list[str] | None = optional("Agents or people who must review before the gate can be approved.")

    def command(self) -> OpenGate:
        return OpenGate(parse_id("gateId", self.gate_id), self.expected_version, self.reviewers or ())


@strawberry.input(description="One reviewer's opinion of a gate that is in review.")
class QualityGateReviewInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    verdict: ReviewVerdict = given("What the reviewer recommends.")
    score: Decimal | None = optional("The reviewer's rating, from 0 to 10.")
    feedback: str | None = optional("What the reviewer found.")
    task_id: strawberry.ID | None = optional("The review request that this answers; it is completed with it.")
    expected_version: int | None = optional(f"Of the task: {VERSION_DESCRIPTION}")

    def command(self) -> ReviewGate:
        return ReviewGate(
            parse_id("gateId", self.gate_id),
            self.verdict,
            self.score,
            self.feedback or "",
            optional_id("taskId", self.task_id),
            self.expected_version,
        )


@strawberry.input(description="The PM's verdict on a gate, recorded as a decision of type QUALITY_GATE.")
class QualityGateDecideInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(f"Of the gate: {VERSION_DESCRIPTION}")
    pm_decision: str = given("The verdict in words; required.")
    confidence_score: int = given("How sure the decider is, from 1 to 10.")
    reasoning_process: str | None = optional("The reasoning, sealed; `pmDecision` stands for it when left out.")
    quality_score: Decimal | None = optional("The assessed quality, from 0 to 10.")
    improvement_suggestions: str | None = optional("What to do better.")
    task_id: strawberry.ID | None = optional("The request for a verdict that this answers; it is completed with it.")

    def command(self, verdict: ApprovalStatus) -> DecideGate:
        return DecideGate(
            gate_id=parse_id("gateId", self.gate_id),
            verdict=verdict,
            expected_version=self.expected_version,
            pm_decision=self.pm_decision,
            confidence_score=self.confidence_score,
            reasoning_process=self.reasoning_process,
            quality_score=self.quality_score,
            improvement_suggestions=self.improvement_suggestions or "",
            task_id=optional_id("taskId", self.task_id),
        )
