"""Subscriptions to agents."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated

import strawberry

from app.domain.agents import MESSAGE_SENT, STATE_EVENTS
from app.domain.events import Aggregate
from app.live.records import ANY_DETAIL, EventRecord
from graphql_schema.agents.types import AgentMessage, AgentState
from graphql_schema.context import Info
from graphql_schema.live import After, Change, agent_text, follow, optional
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="One event of an agent: registered, status_changed, updated or reported.")
class AgentStateChange(Change):
    agent: AgentState | None = entity_of(
        "AgentState", description="The agent as it is when this payload is sent, which may be later than the event."
    )


@strawberry.type(description="A message that was sent.")
class AgentMessageSent(Change):
    message: AgentMessage | None = entity_of("AgentMessage", description="The message.")

    @staticmethod
    def subject(event: EventRecord) -> str:
        """The id of the message: the event is one of the agent that sent it."""
        return str(event.detail["message_id"])


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
            event_types=STATE_EVENTS,
        )

    @strawberry.subscription(
        description="Messages as they are sent, by agents or people. With `agentId` only those from that agent, to it, "
        "and to all."
    )
    def agent_message_sent(
        self,
        info: Info,
        agent_id: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only messages from this agent, to it, and to all."),
        ] = strawberry.UNSET,
        after: After = strawberry.UNSET,
    ) -> AsyncGenerator[AgentMessageSent, None]:
        name = optional(agent_text, "agentId", agent_id)
        concerned: Sequence[Mapping[str, str | None]] = (
            {"from_agent_id": name},
            {"to_agent_id": name},
            {"to_agent_id": None},
        )
        return follow(
            info,
            AgentMessageSent,
            Aggregate.AGENT,
            after=after,
            details=ANY_DETAIL if name is None else concerned,
            event_types=frozenset({MESSAGE_SENT}),
        )
