"""Readers that are slow, that stop, and that go by a reset: nobody else notices, and nothing of them is left."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from graphql_schema.transport.endings import SocketLimits
from graphql_schema.transport.uvicorn_protocols import PLAIN_ASGI, FrameProtocol, Protocols
from tests.graphql.transport.conftest import BOTH_WAYS, Served, serve
from tests.graphql.transport.feeding import FOLLOW, Feed, numbered
from tests.graphql.transport.raw import RawSocket
from tests.graphql.transport.sockets import subscribe, until, welcomed

pytestmark = [BOTH_WAYS, pytest.mark.usefixtures("no_exception_reaches_the_server")]

LIMITS = SocketLimits(waiting_messages=50, stall_patience=0.3, close_patience=0.5, slow_patience=5.0)
TOO_SLOW = (4290, "Too slow: subscribe again with `after: <your last cursor>`")


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
async def served(feed: Feed, protocols: Protocols) -> AsyncIterator[Served]:
    async with serve(LIMITS, feed, protocols) as served:
        yield served


async def following(served: Served, feed: Feed, operation_id: str = "1", **kept: Any) -> RawSocket:
    before = len(feed.members)
    client = await RawSocket.open(served.port, "good", **kept)
    client.subscribe(operation_id, FOLLOW)
    await until(lambda: len(feed.members) == before + 1)
    return client


def stop_reading(client: RawSocket) -> None:
    client.transport.pause_reading()


async def test_all_get_all_in_order_behind_their_own_ids(served: Served, feed: Feed) -> None:
    heard: list[list[bytes]] = [[], [], []]
    names = ["same", "same", "other"]
    clients = [
        await following(served, feed, name, on_frame=messages.append)
        for name, messages in zip(names, heard, strict=True)
    ]
    payloads = [numbered(number) for number in range(30)]
    for start in range(0, 30, 10):
        feed.tell(payloads[start : start + 10])
        await asyncio.sleep(0)
    feed.finish()
    for client in clients:
        await client.until(32)
        client.reset()
    for name, messages in zip(names, heard, strict=True):
        assert [orjson.loads(message) for message in messages[1:]] == [
            *({"id": name, "type": "next", "payload": orjson.loads(payload.body)} for payload in payloads),
            {"id": name, "type": "complete"},
        ]
    assert [len(payload.frames) for payload in payloads] == [2] * 30


async def test_a_reader_that_stops_is_closed_and_the_others_hear_everything(served: Served, feed: Feed) -> None:
    stopped, other = await following(served, feed), await following(served, feed)
    stop_reading(stopped)
    told = 0
    while len(feed.members) == 2:
        feed.tell([numbered(told, 20_000)])
        told += 1
        await other.until(1 + told)
        assert told < 2_000
    stopped.transport.resume_reading()
    await asyncio.wait_for(stopped.gone.wait(), 5)
    assert (stopped.close_code, stopped.close_reason) == TOO_SLOW
    await until(lambda: served.view.open_sockets == 1)
    assert stopped.frames < told
    feed.tell([numbered(told)])
    await other.until(2 + told)
    other.reset()


async def test_one_that_stops_while_little_comes_is_closed_after_a_patience(served: Served, feed: Feed) -> None:
    stopped = await following(served, feed)
    stop_reading(stopped)
    feed.tell([numbered(number, 400_000) for number in range(45)])
    await until(lambda: not feed.members)
    stopped.transport.resume_reading()
    await asyncio.wait_for(stopped.gone.wait(), 5)
    assert (stopped.close_code, stopped.close_reason) == TOO_SLOW


async def test_states_are_merged_to_the_latest_while_a_reader_is_behind(feed: Feed, protocols: Protocols) -> None:
    heard: list[bytes] = []
    async with serve(SocketLimits(waiting_messages=50), feed, protocols) as served:
        client = await following(served, feed, on_frame=heard.append)
        stop_reading(client)
        for number in range(2_000):
            feed.tell([numbered(number, 20_000, latest_of="agent")])
            await asyncio.sleep(0)
        client.transport.resume_reading()
        last = '"feed":1999'
        await until(lambda: last in heard[-1].decode())
        client.reset()
    numbers = [orjson.loads(message)["payload"]["data"]["feed"] for message in heard[1:]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 2_000


async def test_resets_leave_nothing_behind(served: Served, feed: Feed) -> None:
    state = served.server.server_state
    before = asyncio.all_tasks()
    clients = [await following(served, feed) for _ in range(50)]
    for client in clients[::2]:
        stop_reading(client)
    feed.tell([numbered(number, 20_000) for number in range(100)])
    for client in clients:
        client.reset()
    await until(lambda: not feed.members and not state.connections and asyncio.all_tasks() <= before)
    assert served.view.open_sockets == 0


async def test_a_peer_that_never_reads_is_cut_off(served: Served, feed: Feed, protocols: Protocols) -> None:
    if protocols == PLAIN_ASGI:
        pytest.skip("ASGI has no way to cut a connection off")
    limits = SocketLimits(waiting_messages=50, stall_patience=0.3, slow_patience=0.3)
    async with serve(limits, feed, protocols) as served:
        client = await following(served, feed)
        stop_reading(client)
        feed.tell([numbered(number, 400_000) for number in range(45)])
        await until(lambda: not feed.members)
        await until(lambda: not served.server.server_state.connections)
        client.transport.resume_reading()
        await asyncio.wait_for(client.gone.wait(), 5)
    assert client.close_code is None


async def test_an_unanswered_ping_ends_in_a_cut_connection(served: Served, feed: Feed, protocols: Protocols) -> None:
    if protocols == PLAIN_ASGI:
        pytest.skip("ASGI has no way to cut a connection off")
    client = await following(served, feed)
    stop_reading(client)
    feed.tell([numbered(number, 100_000) for number in range(20)])
    await asyncio.sleep(0.1)
    (connection,) = served.server.server_state.connections
    assert isinstance(connection, FrameProtocol)
    connection.keepalive_timeout()
    await asyncio.sleep(0)
    assert connection._cutting is not None
    assert not connection.takes_more()
    connection.transport.abort()
    await until(lambda: not feed.members)
    await until(lambda: served.view.open_sockets == 0)
    client.reset()


async def test_who_asks_and_does_not_read_is_not_read_any_more(protocols: Protocols) -> None:
    limits = SocketLimits(waiting_messages=50, stall_patience=0.3, slow_patience=0.3)
    async with serve(limits, protocols=protocols) as served, welcomed(served) as socket:
        socket.connection.transport.pause_reading()
        payload = "x" * 50_000

        async def flood() -> None:
            for _ in range(400):
                await socket.say({"type": "ping", "payload": {"more": payload}})

        flooding = asyncio.create_task(flood())
        await until(lambda: served.view.open_sockets == 0)
        assert not flooding.done()
        flooding.cancel()
        socket.connection.transport.abort()
        await asyncio.wait([flooding])


async def test_only_so_many_connections_of_a_token(protocols: Protocols) -> None:
    async with serve(SocketLimits(connections=2), protocols=protocols) as served:
        async with welcomed(served), welcomed(served) as second:
            third = await RawSocket.open(served.port, "good")
            await asyncio.wait_for(third.gone.wait(), 5)
            assert (third.close_code, third.frames) == (4291, 0)
            await second.say(subscribe("1", "{ whoami }"))
            assert (await second.hear())["type"] == "next"
        async with welcomed(served):
            pass
