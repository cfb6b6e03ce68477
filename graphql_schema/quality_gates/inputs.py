"""Inputs of the quality gates' mutations."""

from decimal import Decimal

import strawberry

from app.domain.gate_checks import MeasuredCheck
from app.domain.ids import parse_id
from app.domain.quality_gates import ApprovalStatus, GateType, ReviewVerdict
from app.services.gate_changes import AssignReviewers, EscalateGate, RecordChecks, ResolveEscalation
from app.services.gate_creation import CreateGate
from app.services.quality_gates import DecideGate, OpenGate, ReviewGate
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import json_object, optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON

EVIDENCE_HASH = (
    "The gate's `evidenceHash` that you saw. If the evidence is another now, nothing is written and EVIDENCE_CHANGED "
    "tells the hash of today."
)
CRITERIA = (
    'What must hold for the gate to pass, a JSON object. {"verdict_by": "human"} leaves the verdict to a person, '
    '"quorum" to the reviewers. "quorum": how many approving reviews are needed, or "all"; only those of independent '
    'reviewers count, unless "allow_self_review" or "allow_same_model_family" is true. "min_score": the least score, '
    'from 0 to 10. "criteria": conditions in CEL over `results`, `checks` and `score`, which must hold for an '
    'approval. "timeout_seconds" and "escalate_to": when, and to whom, a missing verdict is escalated. "phases": whose '
    "results are under review; all completed ones when left out."
)


@strawberry.input(description="A gate that holds the end of an execution.")
class QualityGateCreateInput(MutationInput):
    workflow_execution_id: strawberry.ID = given("The execution that ends only when the gate is approved.")
    gate_name: str = given("The gate's name for people; required, at most 200 characters.")
    gate_type: GateType = given("What the gate validates.")
    validation_criteria: JSON | None = optional(CRITERIA)
    requested_by_decision_id: strawberry.ID | None = optional("The decision that asks for the gate.")

    def command(self) -> CreateGate:
        return CreateGate(
            workflow_execution_id=parse_id("workflowExecutionId", self.workflow_execution_id),
            gate_name=self.gate_name,
            gate_type=self.gate_type,
            validation_criteria=json_object("validationCriteria", self.validation_criteria),
            requested_by_decision_id=optional_id("requestedByDecisionId", self.requested_by_decision_id),
        )


@strawberry.input(description="Begin the review of a gate, or begin it again after a revision.")
class QualityGateOpenInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reviewers: list[str] | None = optional(
        "Agents' ids or people's names, at most 50, who must review before the gate can be approved."
    )

    def command(self) -> OpenGate:
        return OpenGate(parse_id("gateId", self.gate_id), self.expected_version, self.reviewers or ())


@strawberry.input(description="One reviewer's opinion of a gate that is in review.")
class QualityGateReviewInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    verdict: ReviewVerdict = given("What the reviewer recommends.")
    score: Decimal | None = optional("The reviewer's rating, from 0 to 10.")
    feedback: str | None = optional("What the reviewer found, at most 100,000 characters.")
    task_id: strawberry.ID | None = optional("The review request that this answers; it is completed with it.")
    expected_version: int | None = optional(f"Of the task: {VERSION_DESCRIPTION}")
    evidence_hash: str | None = optional(EVIDENCE_HASH)

    def command(self) -> ReviewGate:
        return ReviewGate(
            parse_id("gateId", self.gate_id),
            self.verdict,
            self.score,
            self.feedback or "",
            optional_id("taskId", self.task_id),
            self.expected_version,
            self.evidence_hash,
        )


@strawberry.input(description="The PM's verdict on a gate, recorded as a decision of type QUALITY_GATE.")
class QualityGateDecideInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(f"Of the gate: {VERSION_DESCRIPTION}")
    pm_decision: str = given("The verdict in words; required, at most 99,900 characters.")
    confidence_score: int = given("How sure the decider is, from 1 to 10.")
    reasoning_process: str | None = optional(
        "The reasoning, sealed, at most 100,000 characters; `pmDecision` stands for it when left out."
    )
    quality_score: Decimal | None = optional("The assessed quality, from 0 to 10.")
    improvement_suggestions: str | None = optional("What to do better, at most 100,000 characters.")
    task_id: strawberry.ID | None = optional("The request for a verdict that this answers; it is completed with it.")
    evidence_hash: str | None = optional(EVIDENCE_HASH)

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
            evidence_hash=self.evidence_hash,
        )


@strawberry.input(description="Approve a gate whatever its reviews, score and criteria say.")
class QualityGateWaiveInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why; required, at most 2,000 characters. It is kept with the gate, and as its `pmDecision`.")
    confidence_score: int = given("How sure you are, from 1 to 10.", default=10)
    evidence_hash: str | None = optional(EVIDENCE_HASH)

    def command(self) -> DecideGate:
        return DecideGate(
            gate_id=parse_id("gateId", self.gate_id),
            verdict=ApprovalStatus.APPROVED,
            expected_version=self.expected_version,
            pm_decision=self.reason,
            confidence_score=self.confidence_score,
            evidence_hash=self.evidence_hash,
            waives=True,
        )


@strawberry.input(description="More reviewers of a gate that is PENDING or IN_REVIEW.")
class QualityGateAssignReviewersInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reviewers: list[str] = given(
        "Agents' ids or people's names, from 1 to 50; the gate cannot be approved before they have reviewed."
    )

    def command(self) -> AssignReviewers:
        return AssignReviewers(parse_id("gateId", self.gate_id), self.expected_version, self.reviewers)


@strawberry.input(
    description="A value that was measured for a gate. With a name that the gate's checks have, it replaces that "
    "check's value, and what is left out here stays."
)
class CheckInput:
    name: str = given("The check's name; required, at most 200 characters.")
    measured: float = given("The value, a finite number.")
    measure: str | None = optional("What was measured, in words or as a path; at most 200 characters.")
    at_most: float | None = optional("The value must not be above this to pass.")
    at_least: float | None = optional("The value must not be below this to pass. A check has at least one threshold.")

    def check(self) -> MeasuredCheck:
        return MeasuredCheck(self.name, self.measured, self.measure, self.at_most, self.at_least)


@strawberry.input(description="Values that were measured for an open gate.")
class QualityGateRecordChecksInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    checks: list[CheckInput] = given("The values, at least one; a gate has at most 200 checks.")

    def command(self) -> RecordChecks:
        checks = [item.check() for item in self.checks]
        return RecordChecks(parse_id("gateId", self.gate_id), self.expected_version, checks)


@strawberry.input(description="A human must look at a gate.")
class QualityGateEscalateInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why; required, at most 2,000 characters.")
    escalate_to: str | None = optional(
        "Who is to look at it, a person or a group, at most 200 characters; whom the gate's criteria name if left out."
    )

    def command(self) -> EscalateGate:
        return EscalateGate(parse_id("gateId", self.gate_id), self.expected_version, self.reason, self.escalate_to)


@strawberry.input(description="A human has looked at a gate.")
class QualityGateResolveEscalationInput(MutationInput):
    gate_id: strawberry.ID = given("The gate.")
    expected_version: int = given(VERSION_DESCRIPTION)
    note: str | None = optional("What came of it, at most 2,000 characters; kept with the event.")

    def command(self) -> ResolveEscalation:
        return ResolveEscalation(parse_id("gateId", self.gate_id), self.expected_version, self.note or "")
