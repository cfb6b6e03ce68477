"""All subscriptions: each tells events of one aggregate, in order, and resumes by cursor."""

import strawberry

from graphql_schema.agents.subscriptions import AgentSubscriptions
from graphql_schema.attention.subscriptions import AttentionSubscriptions
from graphql_schema.decisions.subscriptions import DecisionSubscriptions
from graphql_schema.events.subscriptions import EventSubscriptions
from graphql_schema.metrics.subscriptions import MetricsSubscriptions
from graphql_schema.model_assignments.subscriptions import ModelAssignmentSubscriptions
from graphql_schema.quality_gates.subscriptions import QualityGateSubscriptions
from graphql_schema.schedules.subscriptions import ScheduleSubscriptions
from graphql_schema.tasks.subscriptions import TaskSubscriptions
from graphql_schema.workflows.subscriptions import WorkflowSubscriptions


@strawberry.type(
    description="What happens, one payload for each event, in the order of the event log. Every payload has a "
    "`cursor`: come back with it as `after` to miss nothing and see nothing twice. A subscription never completes by "
    "itself."
)
class Subscription(
    AgentSubscriptions,
    TaskSubscriptions,
    WorkflowSubscriptions,
    ScheduleSubscriptions,
    DecisionSubscriptions,
    QualityGateSubscriptions,
    ModelAssignmentSubscriptions,
    MetricsSubscriptions,
    EventSubscriptions,
    AttentionSubscriptions,
):
    pass
