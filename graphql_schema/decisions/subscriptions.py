"""Subscriptions to decisions."""

import strawberry

from app.domain.events import Aggregate
from db.tables.decisions import decisions
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Narrowing, StreamPlan, of_execution, stream, uuid_text


@strawberry.type(description="One event of a decision: recorded, annotated or erased.")
class DecisionChange(Change):
    decision: PMDecisionContext | None = subject(
        "PMDecisionContext",
        description="The decision as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class DecisionSubscriptions:
    decision_changed: DecisionChange = stream(
        StreamPlan(
            Aggregate.DECISION,
            (
                Narrowing("decisionId", uuid_text, "Only this decision."),
                of_execution("Only decisions that this workflow execution called for.", decisions.c.execution_id),
            ),
        ),
        description="Events of decisions. Sealed fields are read by those who may, as always.",
    )
