"""A thousand sockets: reset at once they leave nothing behind, and a shutdown tells every one."""

import asyncio

import pytest

from tests.graphql.transport.raw import RawSocket
from tests.graphql.transport.sockets import until
from tests.live.serving import ServedHub, serve_hub
from tests.services.makers import a_task

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SOCKETS = 1_000
STREAMS = 10


async def thousand(hub: ServedHub) -> list[RawSocket]:
    """So many sockets, each with a subscription, in several streams."""
    clients: list[RawSocket] = []
    for _ in range(SOCKETS // 100):
        clients += await asyncio.gather(*[RawSocket.open(hub.port, hub.secret) for _ in range(100)])
    for number, client in enumerate(clients):
        client.subscribe("1", f"subscription {{ a{number % STREAMS}: taskChanged {{ cursor }} }}")
    async with asyncio.timeout(30):
        while hub.streams.members < SOCKETS:  # noqa: ASYNC110  (members have no event)
            await asyncio.sleep(0.05)
    return clients


def counts(hub: ServedHub) -> dict[str, int]:
    """Everything that a socket holds in the server."""
    return {
        "tasks": len(asyncio.all_tasks()),
        "connections": len(hub.server.server_state.connections),
        "requests": len(hub.server.server_state.tasks),
        "sockets": hub.view.open_sockets,
        "sessions": hub.view.sessions.connections,
        "streams": hub.streams.streams,
        "members": hub.streams.members,
        "followers": hub.tail.followers,
    }


async def test_a_thousand_sockets_reset_at_once_leave_nothing(database_url: str) -> None:
    async with serve_hub(database_url) as hub:
        baseline = counts(hub)
        clients = await thousand(hub)
        await a_task(hub.database)
        for client in clients:
            await client.until(2)
        held = counts(hub)
        assert [held[what] for what in ("connections", "sockets", "sessions", "members", "streams")] == [
            *[SOCKETS] * 4,
            STREAMS,
        ]
        for client in clients:
            client.reset()
        await until(lambda: counts(hub) == baseline)  # within 5 s


async def test_a_shutdown_tells_a_thousand_sockets_to_come_again(database_url: str) -> None:
    async with serve_hub(database_url) as hub:
        clients = await thousand(hub)
        hub.server.should_exit = True
        async with asyncio.timeout(10):
            for client in clients:
                await client.gone.wait()
        assert {client.close_code for client in clients} == {1012}
        await until(lambda: hub.view.open_sockets == 0)
