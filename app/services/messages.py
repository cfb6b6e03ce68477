"""Messages: from an agent or a person, to an agent or to all."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import MESSAGE_MAX, MESSAGE_SENT, check_agent_id
from app.domain.errors import Forbidden, NotFound
from app.domain.events import Aggregate, Event
from app.domain.ids import new_id
from app.domain.principals import Principal
from app.domain.rules import required_text
from db.queries.agents import insert_message, unknown_agents
from db.queries.changes import append
from db.queries.entities import AGENT

PEOPLE = "people"
"""Whom the event of a message is told of that a person sends to all; no agent can have this id."""


@dataclass(frozen=True)
class SendMessage:
    """A message: with no sender from the agent that the token names, else from a person; with no receiver for all."""

    body: str
    from_agent_id: str | None = None
    to_agent_id: str | None = None


async def send_message(session: AsyncConnection, principal: Principal, command: SendMessage) -> Row[Any]:
    """Store the message and tell those who follow. Raises `InvalidInput`, `Forbidden`, `NotFound`."""
    sender = command.from_agent_id if command.from_agent_id is not None else principal.agent_id
    if principal.agent_id not in (None, sender):
        raise Forbidden(
            f"This token sends messages of {principal.agent_id} only, not of {sender}. Nothing was written.",
            "input.fromAgentId",
        )
    values = {
        "message_id": new_id(),
        "from_agent_id": sender,
        "to_agent_id": command.to_agent_id,
        "sent_by": principal.name,
        "body": required_text("body", command.body, MESSAGE_MAX),
    }
    await _require_known(session, {"fromAgentId": sender, "toAgentId": command.to_agent_id})
    message = await insert_message(session, values)
    told = {name: values[name] for name in ("from_agent_id", "to_agent_id")}
    detail = {"message_id": str(message.message_id), **told}
    about = sender or command.to_agent_id or PEOPLE
    await append(session, about, Event(Aggregate.AGENT, MESSAGE_SENT, principal.name, detail=detail))
    return message


async def _require_known(session: AsyncConnection, agents: dict[str, str | None]) -> None:
    named = {field: agent_id for field, agent_id in agents.items() if agent_id is not None}
    for field, agent_id in named.items():
        check_agent_id(agent_id, field)
    unknown = await unknown_agents(session, set(named.values()))
    for field, agent_id in named.items():
        if agent_id in unknown:
            raise NotFound(AGENT.kind, agent_id, f"input.{field}")
