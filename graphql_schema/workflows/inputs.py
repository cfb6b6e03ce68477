"""Inputs of the workflows' mutations."""

import strawberry

from app.domain.ids import parse_id
from app.domain.workflows import TriggerType
from app.services.templates import TemplateSource
from app.services.workflow_forks import ForkWorkflow
from app.services.workflow_signals import SignalWorkflow
from app.services.workflow_skips import SkipPhase
from app.services.workflows import (
    CancelWorkflow,
    FailWorkflow,
    PauseWorkflow,
    ResumeWorkflow,
    RetryWorkflow,
    StartWorkflow,
)
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import json_object, optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON

REASON_DESCRIPTION = "Why, for the audit record; at most 2,000 characters."
EXECUTION_DESCRIPTION = "The execution's UUID."


@strawberry.input(description="Run a workflow template.")
class WorkflowStartInput(MutationInput):
    workflow_name: str = given(
        "Name of the template, e.g. `code-audit`, at most 200 characters; `workflowTemplates` lists them."
    )
    input_context: JSON | None = optional("What the workflow is given, a JSON object; every task of it sees it.")
    trigger_type: TriggerType = given("How the execution was initiated.", default=TriggerType.MANUAL)
    decision_id: strawberry.ID | None = optional("The decision that caused this execution.")

    def command(self) -> StartWorkflow:
        return StartWorkflow(
            self.workflow_name,
            json_object("inputContext", self.input_context),
            self.trigger_type,
            optional_id("decisionId", self.decision_id),
        )


@strawberry.input(description="Tell an execution something that a phase of it waits for.")
class WorkflowSignalInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    name: str = given(
        "The name of the signal, at most 200 characters, which a phase of the kind wait of its template awaits."
    )
    payload: JSON | None = optional(
        "What is told, any JSON value of at most 65,536 bytes that fits the phase's schema; the result of the phase."
    )
    key: str | None = optional(
        "Names what is told, at most 200 characters: of the same key for this execution and name only the first "
        "counts, whoever sends it, also after a week."
    )

    def command(self) -> SignalWorkflow:
        return SignalWorkflow(parse_id("executionId", self.execution_id), self.name, self.payload, self.key)


@strawberry.input(description="A workflow template, as YAML or as JSON: docs/templates.md tells the language.")
class WorkflowTemplateInput(MutationInput):
    spec: JSON | None = optional("The template as a JSON object; leave it out for `yaml`.")
    yaml: str | None = optional("The template as YAML, at most 100,000 characters; leave it out for `spec`.")

    def command(self) -> TemplateSource:
        return TemplateSource(self.spec, self.yaml)


@strawberry.input(description="Hold an execution where it is; agents may finish what they have.")
class WorkflowPauseInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given(REASON_DESCRIPTION, default="")

    def command(self) -> PauseWorkflow:
        return PauseWorkflow(parse_id("executionId", self.execution_id), self.expected_version, self.reason)


@strawberry.input(description="Let a paused execution go on.")
class WorkflowResumeInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)

    def command(self) -> ResumeWorkflow:
        return ResumeWorkflow(parse_id("executionId", self.execution_id), self.expected_version)


@strawberry.input(description="Let a failed execution go on with the phase that failed.")
class WorkflowRetryInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given(REASON_DESCRIPTION, default="")

    def command(self) -> RetryWorkflow:
        return RetryWorkflow(parse_id("executionId", self.execution_id), self.expected_version, self.reason)


@strawberry.input(description="Run an execution again from one of its steps on, as a new execution.")
class WorkflowForkInput(MutationInput):
    execution_id: strawberry.ID = given("The UUID of the execution to repeat, whatever its status; it is not touched.")
    step: int = given("The `stepNumber` of the step to begin with, from 1; the steps before it stand as they are.")
    input_context: JSON | None = optional("What the new execution is given in place of what the old one was given.")
    reason: str = given(REASON_DESCRIPTION, default="")

    def command(self) -> ForkWorkflow:
        context = None if self.input_context is None else json_object("inputContext", self.input_context)
        return ForkWorkflow(parse_id("executionId", self.execution_id), self.step, context, self.reason)


@strawberry.input(description="Go on without the phase under way, or without the one that failed.")
class WorkflowSkipPhaseInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why, for the audit record and for later phases; at most 2,000 characters.")

    def command(self) -> SkipPhase:
        return SkipPhase(parse_id("executionId", self.execution_id), self.expected_version, self.reason)


@strawberry.input(description="End an execution as failed.")
class WorkflowFailInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given(REASON_DESCRIPTION)

    def command(self) -> FailWorkflow:
        return FailWorkflow(parse_id("executionId", self.execution_id), self.expected_version, self.reason)


@strawberry.input(description="Stop an execution for good.")
class WorkflowCancelInput(MutationInput):
    execution_id: strawberry.ID = given(EXECUTION_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given(REASON_DESCRIPTION)

    def command(self) -> CancelWorkflow:
        return CancelWorkflow(parse_id("executionId", self.execution_id), self.expected_version, self.reason)
