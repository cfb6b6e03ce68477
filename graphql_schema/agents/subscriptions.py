"""Subscriptions to agents."""

import strawberry

from app.domain.agents import MESSAGE_SENT, STATE_EVENTS
from app.domain.events import Aggregate
from graphql_schema.agents.types import AgentMessage, AgentState
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Details, Narrowing, StreamPlan, agent_text, stream


@strawberry.type(description="One event of an agent: registered, status_changed, updated or reported.")
class AgentStateChange(Change):
    agent: AgentState | None = subject(
        "AgentState", description="The agent as it is when this payload is sent, which may be later than the event."
    )


@strawberry.type(description="A message that was sent.")
class AgentMessageSent(Change):
    # the event is one of the agent that sent it
    message: AgentMessage | None = subject(
        "AgentMessage", lambda event: str(event.detail["message_id"]), description="The message."
    )


def _concerned(name: str) -> Details:
    return {"from_agent_id": name}, {"to_agent_id": name}, {"to_agent_id": None}


@strawberry.type
class AgentSubscriptions:
    agent_state_changed: AgentStateChange = stream(
        StreamPlan(Aggregate.AGENT, (Narrowing("agentId", agent_text, "Only this agent."),), STATE_EVENTS),
        description="Events of agents: registrations, changes of status, and what agents report of themselves.",
    )
    agent_message_sent: AgentMessageSent = stream(
        StreamPlan(
            Aggregate.AGENT,
            (
                Narrowing(
                    "agentId", agent_text, "Only messages from this agent, to it, and to all.", details=_concerned
                ),
            ),
            frozenset({MESSAGE_SENT}),
            snapshots=False,
            merges=False,
        ),
        description="Messages as they are sent, by agents or people. With `agentId` only those from that agent, to it, "
        "and to all.",
    )
