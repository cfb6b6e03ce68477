"""Inputs of the tasks' mutations."""

from dataclasses import replace

import strawberry

from app.domain.agents import AgentRole
from app.domain.batches import BatchMode, Linked
from app.domain.ids import parse_id
from app.services.task_batches import CreateTasks, PlannedTask
from app.services.task_ends import CancelTask, RetryTask
from app.services.tasks import (
    ClaimTask,
    CompleteTask,
    CreateTask,
    FailTask,
    ReleaseTask,
    ReportTaskProgress,
    StartTask,
)
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.batches import ITEMS, mode_field
from graphql_schema.mutating import json_object, optional_id
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON

DECISION = "The decision that this is the breakdown of."
EXECUTION = "The workflow execution that it belongs to; it must not have ended."


@strawberry.input
class TaskFields:
    """What describes a task, alone or in a batch. Not a type of the API by itself."""

    title: str = given("What is to be done, in a line of at most 200 characters.")
    description: str | None = optional("What is to be done, in full; at most 100,000 characters.")
    required_role: AgentRole | None = optional("Only an agent of this role is offered the task; null: any.")
    required_capabilities: list[str] | None = optional(
        "Only an agent with all of these is offered the task; at most 50 of at most 100 characters."
    )
    complexity: int = given("How hard it is, from 1 to 10.", default=5)
    depends_on: list[strawberry.ID] | None = optional(
        "Tasks that must be completed before this one can be claimed; at most 200."
    )
    input: JSON | None = optional("What the agent's command is given, a JSON object.")
    priority: int = given("How urgent it is, from 1 to 9; 1 is offered first, of equal ones the oldest.", default=5)
    timeout_seconds: int | None = optional(
        "After so many seconds the agent ends the command and the attempt fails, 1 or more, a week at most; left out: "
        "the agent's own limit."
    )

    def described(self) -> CreateTask:
        """The task, of no decision or execution. Raises `InvalidInput`."""
        return CreateTask(
            title=self.title,
            description=self.description or "",
            required_role=self.required_role,
            required_capabilities=self.required_capabilities or (),
            complexity=self.complexity,
            depends_on=[parse_id("dependsOn", value) for value in self.depends_on or ()],
            input=json_object("input", self.input),
            priority=self.priority,
            timeout_seconds=self.timeout_seconds,
        )


@strawberry.input(description="A piece of work for whichever agent has the role and the capabilities.")
class TaskCreateInput(TaskFields, MutationInput):
    decision_id: strawberry.ID | None = optional(DECISION)
    execution_id: strawberry.ID | None = optional(EXECUTION)

    def command(self) -> CreateTask:
        return replace(
            self.described(),
            decision_id=optional_id("decisionId", self.decision_id),
            execution_id=optional_id("executionId", self.execution_id),
        )


@strawberry.input(description="One task of a batch.")
class PlannedTaskInput(TaskFields):
    key: str | None = optional(
        "A name by which other tasks of this request can depend on this one; unique in it, at most 200 characters, "
        "not kept afterwards."
    )
    depends_on_keys: list[str] | None = optional(
        "Keys of tasks of this request that must be completed before this one can be claimed; at most 200, not in a "
        "circle."
    )

    def planned(self) -> PlannedTask:
        return PlannedTask(self.described, Linked(self.key, self.depends_on_keys or ()))


@strawberry.input(description="The tasks that a decision breaks its work into.")
class TasksCreateInput(MutationInput):
    decision_id: strawberry.ID | None = optional(DECISION)
    execution_id: strawberry.ID | None = optional(EXECUTION)
    tasks: list[PlannedTaskInput] = given(f"{ITEMS} tasks, in any order.")
    mode: BatchMode = mode_field("tasks", ".title")

    def command(self) -> CreateTasks:
        return CreateTasks(
            [task.planned() for task in self.tasks],
            optional_id("decisionId", self.decision_id),
            optional_id("executionId", self.execution_id),
            self.mode,
        )


@strawberry.input(description="A claim by an agent: of one task, or of the first that fits it.")
class TaskClaimInput(MutationInput):
    agent_id: strawberry.ID = given("The agent that will do the work.")
    task_id: strawberry.ID | None = optional(
        "The task; left out, of those that fit the agent the one of the highest priority is taken, the oldest of these."
    )
    expected_version: int | None = optional(VERSION_DESCRIPTION)

    def command(self) -> ClaimTask:
        return ClaimTask(self.agent_id, optional_id("taskId", self.task_id), self.expected_version)


@strawberry.input(description="The agent begins the work that it claimed.")
class TaskStartInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    expected_version: int = given(VERSION_DESCRIPTION)

    def command(self) -> StartTask:
        return StartTask(parse_id("taskId", self.task_id), self.expected_version)


@strawberry.input(description="How far the work is. The task's version stays as it is.")
class TaskReportProgressInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    message: str = given("What is being done, in a line; at most 2,000 characters.")
    percent: float | None = optional("How much is done, from 0 to 100; null where it cannot be told.")

    def command(self) -> ReportTaskProgress:
        return ReportTaskProgress(parse_id("taskId", self.task_id), self.message, self.percent)


@strawberry.input(description="The result of a task of kind WORK.")
class TaskCompleteInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    expected_version: int = given(VERSION_DESCRIPTION)
    result: JSON = given("What the work gave, any JSON value of at most 20,000 nodes.")

    def command(self) -> CompleteTask:
        return CompleteTask(parse_id("taskId", self.task_id), self.expected_version, self.result)


@strawberry.input(description="The work did not succeed.")
class TaskFailInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why it failed; required, at most 100,000 characters.")
    result: JSON | None = optional("What there is of a result.")

    def command(self) -> FailTask:
        return FailTask(parse_id("taskId", self.task_id), self.expected_version, self.reason, self.result)


@strawberry.input(description="The agent gives the task back, so that it can be claimed again.")
class TaskReleaseInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str | None = optional("Why, for the audit record; at most 2,000 characters.")

    def command(self) -> ReleaseTask:
        return ReleaseTask(parse_id("taskId", self.task_id), self.expected_version, self.reason or "")


@strawberry.input(description="A task that failed, or came back to the pool too often, is to be tried again.")
class TaskRetryInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str | None = optional("Why, for the audit record; at most 2,000 characters.")

    def command(self) -> RetryTask:
        return RetryTask(parse_id("taskId", self.task_id), self.expected_version, self.reason or "")


@strawberry.input(description="Nobody needs the task any more.")
class TaskCancelInput(MutationInput):
    task_id: strawberry.ID = given("The task.")
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given("Why, for the audit record; at most 2,000 characters.")

    def command(self) -> CancelTask:
        return CancelTask(parse_id("taskId", self.task_id), self.expected_version, self.reason)
