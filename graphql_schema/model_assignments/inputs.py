"""Inputs of the model assignments' mutations."""

from decimal import Decimal

import strawberry

from app.domain.ids import parse_id
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, ModelChoice, Provider
from app.services.model_assignments import (
    ActivateAssignment,
    CancelAssignment,
    CompleteAssignment,
    FailAssignment,
    ModelUse,
    RecordAssignment,
)
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import BigInt

ROUNDED = "0 or more, rounded half up to six decimals"


@strawberry.input(description="A model that may be tried.")
class ModelChoiceInput:
    provider_name: Provider = given("Who serves the model.")
    model_name: str = given("The model, e.g. `glm-4.5`; required, at most 200 characters.")
    estimated_cost: Decimal | None = optional(f"Estimated cost in US dollars, {ROUNDED}.")

    def choice(self) -> ModelChoice:
        return ModelChoice(self.provider_name, self.model_name, self.estimated_cost)


@strawberry.input(description="A model was chosen for an agent's task.")
class ModelAssignmentRecordInput(MutationInput):
    agent_id: strawberry.ID = given("The agent that uses the model.")
    task_id: strawberry.ID = given("The task that needs it.")
    provider_name: Provider = given("Who serves the model.")
    model_name: str = given("The model, e.g. `claude-sonnet-4`; required, at most 200 characters.")
    assignment_reason: AssignmentReason = given(
        "Why this model was chosen. FALLBACK may be given when the first choice was not to be had and the hub never "
        "heard of it; `modelAssignmentFail` makes the fallbacks that it knows of by itself."
    )
    task_complexity: int | None = optional("Assessed complexity, from 1 to 10; the task's own when left out.")
    estimated_cost: Decimal | None = optional(f"Estimated cost in US dollars, {ROUNDED}.")
    decision_id: strawberry.ID | None = optional("The decision behind the choice; the task's when left out.")
    assignment_status: AssignmentStatus = given(
        "ACTIVE when the work begins now, by the agent that holds the task; PENDING when later.",
        default=AssignmentStatus.ACTIVE,
    )
    fallbacks: list[ModelChoiceInput] | None = optional(
        "The models to be tried if this one fails, in order, at most 10."
    )

    def command(self) -> RecordAssignment:
        return RecordAssignment(
            self.agent_id,
            parse_id("taskId", self.task_id),
            self.provider_name,
            self.model_name,
            self.assignment_reason,
            self.task_complexity,
            self.estimated_cost,
            optional_id("decisionId", self.decision_id),
            self.assignment_status,
            [choice.choice() for choice in self.fallbacks or ()],
        )


@strawberry.input(description="What the model's work took.")
class ModelAssignmentCompleteInput(MutationInput):
    assignment_id: strawberry.ID = given("The assignment.")
    expected_version: int = given(VERSION_DESCRIPTION)
    actual_cost: Decimal | None = optional(f"Cost in US dollars, {ROUNDED}; 0 where a subscription covers it.")
    tokens_used: BigInt | None = optional("Tokens read and written, 0 or more.")
    processing_time: BigInt | None = optional("Time that the model's work took, in milliseconds, 0 or more.")
    performance_score: Decimal | None = optional("How well the model did, from 0 to 10.")

    def command(self) -> CompleteAssignment:
        return CompleteAssignment(
            parse_id("assignmentId", self.assignment_id),
            self.expected_version,
            self.actual_cost,
            self.tokens_used,
            self.processing_time,
            self.performance_score,
        )


@strawberry.input(description="The model that was planned begins.")
class ModelAssignmentActivateInput(MutationInput):
    assignment_id: strawberry.ID = given("The assignment.")
    expected_version: int = given(VERSION_DESCRIPTION)

    def command(self) -> ActivateAssignment:
        return ActivateAssignment(parse_id("assignmentId", self.assignment_id), self.expected_version)


@strawberry.input(description="The model did not do the work, and what it took all the same.")
class ModelAssignmentFailInput(MutationInput):
    assignment_id: strawberry.ID = given("The assignment.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why it failed; required, at most 2,000 characters.")
    actual_cost: Decimal | None = optional(f"Cost in US dollars, {ROUNDED}; 0 where a subscription covers it.")
    tokens_used: BigInt | None = optional("Tokens read and written, 0 or more.")
    processing_time: BigInt | None = optional("Time that the model's work took, in milliseconds, 0 or more.")

    def command(self) -> FailAssignment:
        return FailAssignment(
            parse_id("assignmentId", self.assignment_id),
            self.expected_version,
            self.reason,
            ModelUse(self.actual_cost, self.tokens_used, self.processing_time),
        )


@strawberry.input(description="The model is not to work on the task, or no longer.")
class ModelAssignmentCancelInput(MutationInput):
    assignment_id: strawberry.ID = given("The assignment.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str | None = optional("Why, at most 2,000 characters; kept with the event.")

    def command(self) -> CancelAssignment:
        return CancelAssignment(parse_id("assignmentId", self.assignment_id), self.expected_version, self.reason or "")
