"""Inputs of the model assignments' mutations."""

from decimal import Decimal

import strawberry

from app.domain.ids import parse_id
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.services.model_assignments import CompleteAssignment, RecordAssignment
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import BigInt


@strawberry.input(description="A model was chosen for an agent's task.")
class ModelAssignmentRecordInput(MutationInput):
    agent_id: strawberry.ID = given("The agent that uses the model.")
    task_id: strawberry.ID = given("The task that needs it.")
    provider_name: Provider = given("Who serves the model.")
    model_name: str = given("The model, e.g. `claude-sonnet-4`.")
    assignment_reason: AssignmentReason = given("Why this model was chosen.")
    task_complexity: int | None = optional("Assessed complexity, from 1 to 10; the task's own when left out.")
    estimated_cost: Decimal | None = optional("Estimated cost in US dollars, 0 or more.")
    decision_id: strawberry.ID | None = optional("The decision behind the choice; the task's when left out.")
    assignment_status: AssignmentStatus = given(
        "ACTIVE when the work begins now, PENDING when later.", default=AssignmentStatus.ACTIVE
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
        )


@strawberry.input(description="What the model's work took.")
class ModelAssignmentCompleteInput(MutationInput):
    assignment_id: strawberry.ID = given("The assignment.")
    expected_version: int = given(VERSION_DESCRIPTION)
    actual_cost: Decimal | None = optional("Cost in US dollars, 0 or more; 0 where a subscription covers it.")
    tokens_used: BigInt | None = optional("Tokens read and written.")
    processing_time: BigInt | None = optional("Time that the model's work took, in milliseconds.")
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
