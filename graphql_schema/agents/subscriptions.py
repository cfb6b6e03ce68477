"""Subscriptions to agents."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from app.domain.events import Aggregate
from graphql_schema.agents.types import AgentState
from graphql_schema.context import Info
from graphql_schema.live import After, Change, agent_text, follow, optional
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="One event of an agent: registered, status_changed, updated or reported.")
class AgentStateChange(Change):
    agent: AgentState | None = entity_of(
        "AgentState", description="The agent as it is when this payload is sent, which may be later than the event."
    )


@strawberry.type
class AgentSubscriptions:
    @strawberry.subscription(
        description="Events of agents: registrations, changes of status, and what agents report of themselves."
    )
    def agent_state_changed(
        self,
        info: Info,
        agent_id: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this agent.")
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[AgentStateChange, None]:
        return follow(
            info,
            AgentStateChange,
            Aggregate.AGENT,
            after=after,
            entity_id=optional(agent_text, "agentId", agent_id),
        )
