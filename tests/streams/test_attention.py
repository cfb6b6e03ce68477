"""The queue of what waits, pushed when it may have changed."""

import asyncio

from app.domain.agents import AgentStatus
from app.services.agents import SetAgentStatus, set_agent_status
from tests.services.makers import ADMIN, a_task, an_agent, run
from tests.streams.conftest import Live
from tests.streams.listening import listen

QUEUE = """subscription { attentionQueueChanged {
    cursor eventType queue { items(first: 5) { totalCount nodes { kind title } } } } }"""


async def test_the_queue_as_it_is_comes_once_an_interval_and_is_rendered_once(live: Live) -> None:
    await an_agent(live.database)
    await live.settled()
    one, other = await listen(live.streams, QUEUE), await listen(live.streams, QUEUE)
    await run(live.database, set_agent_status, ADMIN, SetAgentStatus("james-dev", AgentStatus.ERROR, 1))
    (first,) = await one.take(1)
    assert first["queue"]["items"] == {
        "totalCount": 1,
        "nodes": [{"kind": "AGENT_ERROR", "title": "james-dev"}],
    }
    # many events, one payload
    for number in range(20):
        await a_task(live.database, f"Task {number}")
    await run(live.database, set_agent_status, ADMIN, SetAgentStatus("james-dev", AgentStatus.IDLE, 2))
    (second,) = await one.take(1)
    assert second["queue"]["items"] == {"totalCount": 0, "nodes": []}
    assert await other.take(2) == [first, second]
    await asyncio.sleep(1.2)
    assert (one.payloads, live.streams.renderings) == ([], 2)
