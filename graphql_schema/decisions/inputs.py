"""Inputs of the decisions' mutations."""

from datetime import datetime

import strawberry

from app.domain.decisions import DecisionType
from app.services.decisions import Evidence, RecordDecision
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import json_object, optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON


@strawberry.input(description="What a decision rests on: figures over an interval, kept as they were.")
class EvidenceInput:
    interval_start: datetime = given("Start of the interval, UTC.")
    interval_end: datetime = given("End of the interval, UTC, not before its start.")
    snapshot: JSON = given("The figures, any JSON value; kept with the decision when the metrics are long gone.")
    agent_id: strawberry.ID | None = optional("The agent whose figures these are.")
    execution_id: strawberry.ID | None = optional("The execution whose figures these are.")

    def evidence(self) -> Evidence:
        return Evidence(
            self.interval_start,
            self.interval_end,
            self.snapshot,
            self.agent_id,
            optional_id("evidence.executionId", self.execution_id),
        )


@strawberry.input(description="A decision of the PM, with its reasons and confidence.")
class DecisionRecordInput(MutationInput):
    decision_type: DecisionType = given("What the decision is about.")
    context_data: JSON = given("All that the decision was made on, any JSON value. Sealed: only pm and admin read it.")
    reasoning_process: str = given("The reasoning, step by step; required. Sealed: only pm and admin read it.")
    outcome: str = given("What was decided; required.")
    confidence_score: int = given("How sure the PM is, from 1 to 10.")
    agent_assignments: JSON | None = optional("Which agents get which tasks, a JSON object.")
    resource_optimization: JSON | None = optional("Decisions on resources, a JSON object.")
    learning_notes: str | None = optional("What to remember for later decisions.")
    execution_id: strawberry.ID | None = optional("The execution that called for the decision; taken from the task.")
    task_id: strawberry.ID | None = optional(
        "The decision request that this answers; it is completed in the same transaction."
    )
    expected_version: int | None = optional(f"Of the task: {VERSION_DESCRIPTION}")
    evidence: list[EvidenceInput] | None = optional("What the decision rests on, at most 100 pieces.")

    def command(self) -> RecordDecision:
        return RecordDecision(
            decision_type=self.decision_type,
            context_data=self.context_data,
            reasoning_process=self.reasoning_process,
            outcome=self.outcome,
            confidence_score=self.confidence_score,
            agent_assignments=json_object("agentAssignments", self.agent_assignments),
            resource_optimization=json_object("resourceOptimization", self.resource_optimization),
            learning_notes=self.learning_notes or "",
            execution_id=optional_id("executionId", self.execution_id),
            task_id=optional_id("taskId", self.task_id),
            expected_version=self.expected_version,
            evidence=[item.evidence() for item in self.evidence or ()],
        )
