"""Inputs of the decisions' mutations."""

from datetime import datetime

import strawberry

from app.domain.decisions import MEASUREMENTS_MAX, DecisionType
from app.domain.ids import parse_id
from app.domain.quality_gates import GateType
from app.services.decisions import AnnotateDecision, EraseDecision, RecordDecision
from app.services.evidence import Evidence
from app.services.gate_creation import CreateGate
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import json_object, optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON


@strawberry.input(
    description="What a decision rests on: figures of an agent, of an execution, or of an agent within an execution, "
    "over an interval; kept as they were."
)
class EvidenceInput:
    interval_start: datetime = given("Start of the interval, UTC.")
    interval_end: datetime = given("End of the interval, UTC, not before its start.")
    snapshot: JSON | None = optional(
        "The figures, any JSON value; kept with the decision when the metrics are long gone. When it is left out the "
        "hub computes them from the metrics that it has of the interval, which must lie within the last 90 days and in "
        'the past (an end up to 5 minutes ahead becomes now): {"count": 12, "cpu_usage": {"min": 3.5, "avg": 7.1204, '
        '"max": 12.25}, …}. The names are those of the data model, a figure that no measurement has is left out, '
        "averages are rounded to four decimals, all else is exact. Refused when there are more than "
        f"{MEASUREMENTS_MAX:,} measurements, shared out evenly among the pieces of evidence that are computed."
    )
    agent_id: strawberry.ID | None = optional("The agent whose figures these are.")
    execution_id: strawberry.ID | None = optional("The execution whose figures these are.")

    def evidence(self, place: str) -> Evidence:
        execution_id = optional_id(f"{place}.executionId", self.execution_id)
        return Evidence(self.interval_start, self.interval_end, self.snapshot, self.agent_id, execution_id)


@strawberry.input(description="A quality gate that a decision asks for. It holds the end of its execution.")
class DecisionGateInput:
    workflow_execution_id: strawberry.ID = given("The execution that ends only when the gate is approved.")
    gate_name: str = given("The gate's name for people; required, at most 200 characters.")
    gate_type: GateType = given("What the gate validates.")
    validation_criteria: JSON | None = optional(
        'What must hold for the gate to pass, a JSON object; {"verdict_by": "human"} leaves the verdict to a person.'
    )
    reviewers: list[str] | None = optional(
        "Agents' ids or people's names, at most 50, who must review before the gate can be approved; with any, the "
        "review begins at once."
    )

    def gate(self, place: str) -> CreateGate:
        return CreateGate(
            workflow_execution_id=parse_id(f"{place}.workflowExecutionId", self.workflow_execution_id),
            gate_name=self.gate_name,
            gate_type=self.gate_type,
            validation_criteria=json_object(f"{place}.validationCriteria", self.validation_criteria),
            reviewers=self.reviewers or (),
        )


@strawberry.input(description="A decision of the PM, with its reasons and confidence.")
class DecisionRecordInput(MutationInput):
    decision_type: DecisionType = given("What the decision is about.")
    context_data: JSON = given("All that the decision was made on, any JSON value. Sealed: only pm and admin read it.")
    reasoning_process: str = given(
        "The reasoning, step by step; required, at most 100,000 characters. Sealed: only pm and admin read it."
    )
    outcome: str = given("What was decided; required, at most 100,000 characters.")
    confidence_score: int = given("How sure the PM is, from 1 to 10.")
    agent_assignments: JSON | None = optional("Which agents get which tasks, a JSON object.")
    resource_optimization: JSON | None = optional("Decisions on resources, a JSON object.")
    learning_notes: str | None = optional("What to remember for later decisions, at most 100,000 characters.")
    execution_id: strawberry.ID | None = optional("The execution that called for the decision; taken from the task.")
    task_id: strawberry.ID | None = optional(
        "The decision request that this answers; it is completed in the same transaction."
    )
    expected_version: int | None = optional(f"Of the task: {VERSION_DESCRIPTION}")
    evidence: list[EvidenceInput] | None = optional("What the decision rests on, at most 100 pieces.")
    quality_gates: list[DecisionGateInput] | None = optional(
        "Quality gates that the decision asks for, at most 50; they are made with it, or nothing is."
    )

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
            evidence=[item.evidence(f"evidence.{index}") for index, item in enumerate(self.evidence or ())],
            quality_gates=[gate.gate(f"qualityGates.{index}") for index, gate in enumerate(self.quality_gates or ())],
        )


@strawberry.input(description="What is to be remembered of a decision.")
class DecisionAnnotateInput(MutationInput):
    decision_id: strawberry.ID = given("The decision.")
    expected_version: int = given(VERSION_DESCRIPTION)
    learning_notes: str = given(
        "The notes, at most 100,000 characters, which replace those that it had; an empty text removes them."
    )

    def command(self) -> AnnotateDecision:
        return AnnotateDecision(parse_id("decisionId", self.decision_id), self.expected_version, self.learning_notes)


@strawberry.input(description="What is sealed of a decision is to be unreadable for ever.")
class DecisionEraseInput(MutationInput):
    decision_id: strawberry.ID = given("The decision.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why; required, at most 2,000 characters. It is kept with the event, and not sealed.")

    def command(self) -> EraseDecision:
        return EraseDecision(parse_id("decisionId", self.decision_id), self.expected_version, self.reason)
