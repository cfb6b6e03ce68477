"""Subscriptions to decisions."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.context import Info
from graphql_schema.decisions.types import PMDecisionContext
from graphql_schema.live import After, Change, follow, optional, uuid_text
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="One event of a decision: recorded, annotated or erased.")
class DecisionChange(Change):
    decision: PMDecisionContext | None = entity_of(
        "PMDecisionContext",
        description="The decision as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class DecisionSubscriptions:
    @strawberry.subscription(description="Events of decisions. Sealed fields are read by those who may, as always.")
    def decision_changed(
        self,
        info: Info,
        decision_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this decision.")
        ] = strawberry.UNSET,
        execution_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only decisions that this workflow execution called for."),
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[DecisionChange, None]:
        return follow(
            info,
            DecisionChange,
            Aggregate.DECISION,
            after=after,
            entity_id=optional(uuid_text, "decisionId", decision_id),
            execution_id=execution_id,
        )
