"""All mutations: each is named object first, takes one input and answers with a payload."""

import strawberry

from graphql_schema.access.mutations import AccessMutations
from graphql_schema.agents.mutations import AgentMutations
from graphql_schema.decisions.mutations import DecisionMutations
from graphql_schema.metrics.mutations import MetricsMutations
from graphql_schema.model_assignments.mutations import ModelAssignmentMutations
from graphql_schema.quality_gates.mutations import QualityGateMutations
from graphql_schema.schedules.mutations import ScheduleMutations
from graphql_schema.tasks.mutations import TaskMutations
from graphql_schema.workflows.mutations import WorkflowMutations
from graphql_schema.workflows.template_mutations import WorkflowTemplateMutations


@strawberry.type(description="Changes. Every payload has `userErrors`; when it is not empty, nothing was written.")
class Mutation(
    AgentMutations,
    TaskMutations,
    WorkflowMutations,
    WorkflowTemplateMutations,
    ScheduleMutations,
    DecisionMutations,
    QualityGateMutations,
    ModelAssignmentMutations,
    MetricsMutations,
    AccessMutations,
):
    pass
