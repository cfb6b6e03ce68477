"""Messages over the API: sent as oneself, listed newest first, pushed to those whom they concern."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.domain.principals import Role
from app.services.agents import UpdateAgent, update_agent
from db.session import Database
from db.tables.agents import agent_messages
from db.tables.events import event_log
from tests.api.conftest import Client, MakeClient
from tests.graphql.transport.test_subscriptions import settled, subscriber
from tests.live.serving import ServedHub, serve_hub
from tests.services.makers import ADMIN, agent_principal, an_agent, count, run
from tests.services.test_messages import say

MESSAGE = "message { messageId body sentBy fromAgentId toAgentId fromAgent { agentName } }"
SENT = """subscription ($agent: ID, $after: Cursor) {
    agentMessageSent(agentId: $agent, after: $after) { cursor eventType actor detail message { body fromAgentId } } }"""


@pytest.fixture
async def hub(database_url: str) -> AsyncIterator[ServedHub]:
    async with serve_hub(database_url) as hub:
        yield hub


async def the_team(database: Database) -> None:
    for name in ("james-dev", "jane-dev", "zoe-qa"):
        await an_agent(database, name)


async def test_a_message_is_sent_as_oneself_and_listed(database: Database, client_for: MakeClient) -> None:
    await the_team(database)
    james, pm = await client_for(Role.AGENT, "james-dev"), await client_for(Role.PM)
    first = await james.do("agentMessageSend", MESSAGE, toAgentId="jane-dev", body=" is the build green? ")
    assert first["message"] == {
        "messageId": first["message"]["messageId"], "body": "is the build green?", "sentBy": "james-dev",
        "fromAgentId": "james-dev", "toAgentId": "jane-dev", "fromAgent": {"agentName": "james-dev"},
    }  # fmt: skip
    to_all = await pm.do("agentMessageSend", MESSAGE, body="stand-up in five minutes")
    assert (to_all["message"]["sentBy"], to_all["message"]["fromAgentId"]) == ("pm", None)
    for_jane = await pm.do("agentMessageSend", MESSAGE, fromAgentId="zoe-qa", toAgentId="jane-dev", body="tested")
    assert (for_jane["message"]["sentBy"], for_jane["message"]["fromAgentId"]) == ("pm", "zoe-qa")
    listed = await pm.ask("{ agentMessages { totalCount nodes { body } } }")
    bodies = ["tested", "stand-up in five minutes", "is the build green?"]
    assert listed["agentMessages"] == {"totalCount": 3, "nodes": [{"body": body} for body in bodies]}
    seen = await pm.ask('{ agent(agentId: "james-dev") { communicationHistory { nodes { body } } } }')
    assert [node["body"] for node in seen["agent"]["communicationHistory"]["nodes"]] == bodies[1:]


async def test_what_is_refused_is_not_sent(database: Database, client_for: MakeClient) -> None:
    await the_team(database)
    pm, james, viewer = (
        await client_for(Role.PM),
        await client_for(Role.AGENT, "james-dev"),
        await client_for(Role.VIEWER),
    )
    cases: list[tuple[Client, dict[str, Any], str, str | None]] = [
        (james, {"fromAgentId": "jane-dev", "body": "x"}, "FORBIDDEN", "input.fromAgentId"),
        (viewer, {"body": "x"}, "FORBIDDEN", None),
        (pm, {"toAgentId": "no-one", "body": "x"}, "NOT_FOUND", "input.toAgentId"),
        (pm, {"fromAgentId": "no-one", "body": "x"}, "NOT_FOUND", "input.fromAgentId"),
        (pm, {"toAgentId": "Nobody", "body": "x"}, "INVALID_INPUT", "input.toAgentId"),
        (pm, {"body": " \n"}, "INVALID_INPUT", "input.body"),
        (pm, {"body": "x" * 10_001}, "INVALID_INPUT", "input.body"),
        (pm, {"body": "a\x00b"}, "INVALID_INPUT", "input.body"),
    ]
    before = await count(database, event_log)
    for client, fields, code, field in cases:
        payload = await client.do("agentMessageSend", MESSAGE, **fields)
        assert payload["message"] is None
        assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [(code, field)], fields
    dry = await pm.do(
        "agentMessageSend", f"{MESSAGE} dryRun {{ changes {{ entityId eventType }} }}", body="x", dryRun=True
    )
    assert dry["message"] is None
    assert dry["dryRun"]["changes"] == [{"entityId": "people", "eventType": "message_sent"}]
    assert (await count(database, agent_messages), await count(database, event_log)) == (0, before)


async def test_sent_once_with_a_key(database: Database, client_for: MakeClient) -> None:
    pm = await client_for(Role.PM)
    first = await pm.do("agentMessageSend", MESSAGE, body="x", idempotencyKey="k")
    assert await pm.do("agentMessageSend", MESSAGE, body="x", idempotencyKey="k") == first
    assert await count(database, agent_messages) == 1


async def test_messages_are_pushed_to_those_whom_they_concern(hub: ServedHub) -> None:
    database = hub.database
    await the_team(database)
    await settled(hub)
    async with subscriber(hub) as jane, subscriber(hub) as everybody, subscriber(hub) as states:
        await jane.follow(SENT, agent="jane-dev")
        await everybody.follow(SENT)
        await states.follow("subscription { agentStateChanged { eventType } }")
        await say(database, "to jane", to="jane-dev", principal=agent_principal("james-dev"))
        await say(database, "to zoe", to="zoe-qa", principal=agent_principal("james-dev"))
        await say(database, "from jane", to="zoe-qa", principal=agent_principal("jane-dev"))
        await say(database, "to all")
        heard = await jane.take(3)
        assert [one["message"]["body"] for one in heard] == ["to jane", "from jane", "to all"]
        assert heard[0]["eventType"] == "message_sent"
        assert heard[0]["message"]["fromAgentId"] == heard[0]["actor"] == "james-dev"
        assert [one["message"]["body"] for one in await everybody.take(4)] == [
            "to jane", "to zoe", "from jane", "to all",
        ]  # fmt: skip
        # a message is no change of an agent's state
        await run(database, update_agent, ADMIN, UpdateAgent("zoe-qa", 1, agent_name="Zoë"))
        assert [one["eventType"] for one in await states.take(1)] == ["updated"]
    async with subscriber(hub) as again:
        await again.follow(SENT, agent="jane-dev", after=heard[0]["cursor"])
        assert [one["message"]["body"] for one in await again.take(2)] == ["from jane", "to all"]
        assert await again.quiet()


async def test_a_subscription_to_a_malformed_agent_is_refused(hub: ServedHub) -> None:
    async with subscriber(hub) as client:
        await client.subscribe("1", SENT, {"agent": "Jane"})
        message = await client.hear()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "INVALID_INPUT"
