"""What leans on uvicorn: chosen where it is known, plain ASGI otherwise; and what it does beside frames."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from structlog.typing import EventDict

from graphql_schema.transport import uvicorn_protocols
from graphql_schema.transport.endings import SocketLimits
from graphql_schema.transport.uvicorn_protocols import PLAIN_ASGI, UNSENT_BYTES, FrameProtocol, chosen_protocols
from tests.graphql.transport.conftest import Served, serve
from tests.graphql.transport.feeding import FOLLOW, Feed, numbered
from tests.graphql.transport.raw import RawSocket
from tests.graphql.transport.sockets import until


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
async def served(feed: Feed) -> AsyncIterator[Served]:
    async with serve(SocketLimits(), feed) as served:
        yield served


def protocol_of(served: Served) -> FrameProtocol:
    (protocol,) = served.server.server_state.connections
    assert isinstance(protocol, FrameProtocol)
    return protocol


def test_this_uvicorn_is_known(logged: list[EventDict]) -> None:
    assert chosen_protocols().ws is FrameProtocol
    assert logged == []


@pytest.mark.parametrize("names", ["SOCKET_METHODS", "SOCKET_ATTRIBUTES", "HTTP_METHODS", "HTTP_ATTRIBUTES"])
def test_of_another_uvicorn_only_asgi_is_used(
    names: str, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    monkeypatch.setattr(uvicorn_protocols, names, (*getattr(uvicorn_protocols, names), "renamed"))
    assert chosen_protocols() == PLAIN_ASGI
    assert [entry["missing"] for entry in logged] == [["renamed"]]


async def test_payloads_of_a_tick_are_one_write(served: Served, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await RawSocket.open(served.port, "good")
    for number in range(3):
        client.subscribe(str(number), FOLLOW)
    await until(lambda: len(feed.members) == 3)
    transport = protocol_of(served).transport
    writes: list[bytes] = []
    write = transport.write

    def noted(data: bytes) -> None:
        writes.append(data)
        write(data)

    monkeypatch.setattr(transport, "write", noted)
    feed.tell([numbered(number) for number in range(5)])
    await client.until(1 + 15)
    assert [data.count(b'"next"') for data in writes] == [15]
    client.reset()


async def test_a_slow_reader_is_felt_soon(served: Served) -> None:
    client = await RawSocket.open(served.port, "good")
    connection = protocol_of(served).transport.get_extra_info("socket")
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES
    client.reset()


async def test_a_server_that_ends_cuts_off_who_does_not_read(
    served: Served, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_protocols, "CLOSE_PATIENCE", 0.2)
    client = await RawSocket.open(served.port, "good")
    client.subscribe("1", FOLLOW)
    await until(lambda: bool(feed.members))
    client.transport.pause_reading()
    feed.tell([numbered(number, 400_000) for number in range(40)])
    await asyncio.sleep(0)
    served.server.should_exit = True
    await until(lambda: not served.server.server_state.connections)
    client.reset()


async def test_nothing_is_written_after_either_side_closes(served: Served, feed: Feed) -> None:
    client = await RawSocket.open(served.port, "good")
    protocol = protocol_of(served)
    assert protocol.takes_more()
    protocol.pause_writing()
    assert not protocol.takes_more()
    protocol.resume_writing()
    assert protocol.takes_more()
    protocol.transport.close()
    assert not protocol.takes_more()
    await asyncio.wait_for(client.gone.wait(), 5)
    assert protocol.disconnected
