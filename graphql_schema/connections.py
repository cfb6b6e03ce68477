"""Relay connections: a page of objects with cursors."""

from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import strawberry

from graphql_schema.planner.fields import part
from graphql_schema.planner.pages import COUNT_MAX
from graphql_schema.scalars import Cursor

if TYPE_CHECKING:
    from graphql_schema.access.types import ApiToken
    from graphql_schema.agents.types import AgentMessage, AgentState
    from graphql_schema.attention.types import AttentionItem
    from graphql_schema.decisions.types import DecisionEvidence, PMDecisionContext
    from graphql_schema.metrics.types import ResourceMetrics
    from graphql_schema.model_assignments.types import ModelAssignment
    from graphql_schema.quality_gates.types import GateReview, QualityGateExecution
    from graphql_schema.schedules.types import WorkflowSchedule
    from graphql_schema.tasks.types import Task
    from graphql_schema.workflows.types import WorkflowError, WorkflowExecution, WorkflowStep, WorkflowTemplate

Item = TypeVar("Item")


@strawberry.type(description="Where a page lies within its connection.")
class PageInfo:
    has_next_page: bool = part(description="Whether objects follow after this page.")
    has_previous_page: bool = part(description="Whether objects come before this page.")
    start_cursor: Cursor | None = part(description="The cursor of the first object; null on an empty page.")
    end_cursor: Cursor | None = part(
        description="The cursor of the last object, to pass as `after` for the next page; null on an empty page."
    )


@strawberry.type(description="An object of a connection with its cursor.")
class Edge(Generic[Item]):
    cursor: Cursor = part(description="The object's place in the connection, to pass as `after`.")
    node: Item = part(description="The object.")


@strawberry.type(description="A page of objects in a fixed order.")
class Connection(Generic[Item]):
    nodes: list[Item] = part(description="The objects of this page.")
    edges: list[Edge[Item]] = part(description="The objects of this page, each with its cursor.")
    page_info: PageInfo = part(description="Where this page lies within the connection.")
    total_count: int = part(
        description=f"How many objects the connection has on all pages; {COUNT_MAX} stands for that many or more."
    )


# The packages of the aggregates refer to each other in circles, so they name each other's types here, lazily.
AgentRef = Annotated["AgentState", strawberry.lazy("graphql_schema.agents.types")]
TaskRef = Annotated["Task", strawberry.lazy("graphql_schema.tasks.types")]
DecisionRef = Annotated["PMDecisionContext", strawberry.lazy("graphql_schema.decisions.types")]
ExecutionRef = Annotated["WorkflowExecution", strawberry.lazy("graphql_schema.workflows.types")]
AssignmentRef = Annotated["ModelAssignment", strawberry.lazy("graphql_schema.model_assignments.types")]
GateRef = Annotated["QualityGateExecution", strawberry.lazy("graphql_schema.quality_gates.types")]

Agents = Connection[AgentRef]
Messages = Connection[Annotated["AgentMessage", strawberry.lazy("graphql_schema.agents.types")]]
Tasks = Connection[TaskRef]
Decisions = Connection[DecisionRef]
Evidence = Connection[Annotated["DecisionEvidence", strawberry.lazy("graphql_schema.decisions.types")]]
Executions = Connection[ExecutionRef]
StepRef = Annotated["WorkflowStep", strawberry.lazy("graphql_schema.workflows.types")]
Steps = Connection[StepRef]
ScheduleRef = Annotated["WorkflowSchedule", strawberry.lazy("graphql_schema.schedules.types")]
Schedules = Connection[ScheduleRef]
ErrorLog = Connection[Annotated["WorkflowError", strawberry.lazy("graphql_schema.workflows.types")]]
Templates = Connection[Annotated["WorkflowTemplate", strawberry.lazy("graphql_schema.workflows.types")]]
Gates = Connection[GateRef]
Reviews = Connection[Annotated["GateReview", strawberry.lazy("graphql_schema.quality_gates.types")]]
Assignments = Connection[AssignmentRef]
Measurements = Connection[Annotated["ResourceMetrics", strawberry.lazy("graphql_schema.metrics.types")]]
AttentionItems = Connection[Annotated["AttentionItem", strawberry.lazy("graphql_schema.attention.types")]]
Tokens = Connection[Annotated["ApiToken", strawberry.lazy("graphql_schema.access.types")]]
