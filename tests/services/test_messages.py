"""Messages: from whom, to whom, and what is told of them."""

from typing import Any

import pytest
from sqlalchemy import select

from app.domain.errors import Forbidden, HubError, InvalidInput, NotFound
from app.domain.principals import Principal, Role
from app.services.messages import SendMessage, send_message
from db.session import Database
from db.tables.agents import agent_messages, agents
from db.tables.events import event_log
from tests.services.makers import ADMIN, agent_principal, an_agent, count, row_of, run

PERSON = Principal("maria", Role.PM)


async def say(
    database: Database, body: str, *, sender: str | None = None, to: str | None = None, principal: Principal = PERSON
) -> Any:
    return await run(database, send_message, principal, SendMessage(body, sender, to))


@pytest.mark.parametrize(
    ("principal", "sender", "to", "from_agent_id", "entity_id"),
    [
        (agent_principal("james-dev"), None, "jane-dev", "james-dev", "james-dev"),
        (agent_principal("james-dev"), "james-dev", None, "james-dev", "james-dev"),
        (PERSON, None, "jane-dev", None, "jane-dev"),
        (PERSON, None, None, None, "people"),
        (PERSON, "james-dev", "jane-dev", "james-dev", "james-dev"),
    ],
)
async def test_each_message_has_its_row_and_one_event(
    database: Database, principal: Principal, sender: str | None, to: str | None, from_agent_id: str, entity_id: str
) -> None:
    await an_agent(database)
    await an_agent(database, "jane-dev")
    message = await say(database, "hello", sender=sender, to=to, principal=principal)
    assert (message.from_agent_id, message.to_agent_id, message.sent_by, message.body) == (
        from_agent_id, to, principal.name, "hello",
    )  # fmt: skip
    statement = select(event_log).where(event_log.c.event_type == "message_sent")
    (event,) = await database.transact(lambda session: session.execute(statement))
    assert (event.aggregate, event.entity_id, event.version, event.actor, event.retention) == (
        "agent", entity_id, None, principal.name, "audit",
    )  # fmt: skip
    assert event.detail == {
        "message_id": str(message.message_id), "from_agent_id": from_agent_id, "to_agent_id": to,
    }  # fmt: skip
    assert (await row_of(database, agents, agent_id="james-dev")).version == 1


@pytest.mark.parametrize(
    ("principal", "command", "error", "field"),
    [
        (agent_principal("james-dev"), SendMessage("x", "jane-dev"), Forbidden, "input.fromAgentId"),
        (agent_principal("ghost-dev"), SendMessage("x"), NotFound, "input.fromAgentId"),
        (ADMIN, SendMessage("x", "ghost-dev"), NotFound, "input.fromAgentId"),
        (ADMIN, SendMessage("x", None, "ghost-dev"), NotFound, "input.toAgentId"),
        (ADMIN, SendMessage("x", None, "people"), InvalidInput, "input.toAgentId"),
        (ADMIN, SendMessage("x", "James"), InvalidInput, "input.fromAgentId"),
        (ADMIN, SendMessage(""), InvalidInput, "input.body"),
        (ADMIN, SendMessage("x" * 10_001), InvalidInput, "input.body"),
        (ADMIN, SendMessage("\ud800"), InvalidInput, "input.body"),
    ],
)
async def test_bad_messages_are_refused_and_leave_nothing(
    database: Database, principal: Principal, command: SendMessage, error: type[HubError], field: str
) -> None:
    with pytest.raises(error) as caught:
        await run(database, send_message, principal, command)
    assert caught.value.field == field
    assert (await count(database, agent_messages), await count(database, event_log)) == (0, 0)


async def test_the_longest_message_is_taken(database: Database) -> None:
    assert len((await say(database, "x" * 10_000)).body) == 10_000
