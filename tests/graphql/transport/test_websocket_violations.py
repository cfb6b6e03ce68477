"""graphql-transport-ws: whatever breaks the protocol closes the socket with its code, and never more."""

import contextlib

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from graphql_schema.http_transport import BODY_LIMIT
from tests.graphql.transport.conftest import BOTH_WAYS, Served
from tests.graphql.transport.schema import running
from tests.graphql.transport.sockets import INIT, PROTOCOL, Socket, dial, subscribe, until, welcomed

pytestmark = [BOTH_WAYS, pytest.mark.usefixtures("no_exception_reaches_the_server")]


DEEP = "[" * 100_000
BEFORE_ACK: list[tuple[list[object], int]] = [
    (["x"], 4400),
    ([""], 4400),
    (["null"], 4400),
    (["7"], 4400),
    (["[]"], 4400),
    (['"connection_init"'], 4400),
    (["{"], 4400),
    (["{}"], 4400),
    ([DEEP], 4400),
    ([DEEP + "]" * 100_000], 4400),
    ([b"\x00\x01"], 4400),
    ([orjson.dumps(INIT)], 4400),
    ([{"type": None}], 4400),
    ([{"type": 7}], 4400),
    ([{"type": ["ping"]}], 4400),
    ([{"type": {"a": 1}}], 4400),
    ([{"type": "start"}], 4400),
    ([{"type": "connection_ack"}], 4400),
    ([{"type": "next", "id": "1", "payload": {}}], 4400),
    ([{"type": "ping", "payload": 7}], 4400),
    ([{"type": "ping", "payload": []}], 4400),
    ([{"type": "pong", "payload": "x"}], 4400),
    ([{"type": "connection_init", "payload": 7}], 4400),
    ([{"type": "connection_init", "payload": ["Bearer good"]}], 4400),
    ([{"type": "connection_init", "payload": "Bearer good"}], 4400),
    ([{"type": "connection_init"}], 4403),
    ([{"type": "connection_init", "payload": None}], 4403),
    ([{"type": "connection_init", "payload": {}}], 4403),
    ([{"type": "connection_init", "payload": {"authorization": "good"}}], 4403),
    ([{"type": "connection_init", "payload": {"authorization": ["Bearer good"]}}], 4403),
    ([{"type": "connection_init", "payload": {"authorization": "Bearer bad"}}], 4403),
    ([{"type": "connection_init", "payload": {"token": ""}}], 4403),
    ([{"type": "connection_init", "payload": {"token": 7}}], 4403),
    ([{"type": "connection_init", "payload": {"token": "\x00"}}], 4403),
    ([INIT, INIT], 4429),
    ([subscribe("1", "{ whoami }")], 4401),
    ([subscribe("1", "{ whoami }"), INIT], 4401),
]


async def test_before_the_acknowledgement_each_violation_has_its_code(served: Served) -> None:
    for messages, code in BEFORE_ACK:
        async with dial(served) as socket:
            with contextlib.suppress(ConnectionClosedError):
                await socket.say(*messages)
            assert (await socket.closed_with())[0] == code, str(messages)[:80]
    await until(lambda: served.view.open_sockets == 0)


GOOD_PAYLOAD = {"query": "{ whoami }"}
AFTER_ACK: list[tuple[list[object], int]] = [
    (["["], 4400),
    ([b"{}"], 4400),
    ([INIT], 4429),
    ([{"type": "connection_init"}], 4429),
    ([{"type": "subscribe"}], 4400),
    ([{"type": "subscribe", "id": "1"}], 4400),
    ([{"type": "subscribe", "payload": GOOD_PAYLOAD}], 4400),
    ([{"type": "subscribe", "id": None, "payload": GOOD_PAYLOAD}], 4400),
    ([{"type": "subscribe", "id": "", "payload": GOOD_PAYLOAD}], 4400),
    ([{"type": "subscribe", "id": 7, "payload": GOOD_PAYLOAD}], 4400),
    ([{"type": "subscribe", "id": ["1"], "payload": GOOD_PAYLOAD}], 4400),
    ([{"type": "subscribe", "id": {"a": 1}, "payload": GOOD_PAYLOAD}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": None}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": []}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": "{ whoami }"}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": {}}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": {"query": None}}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": {"query": 7}}], 4400),
    ([{"type": "subscribe", "id": "1", "payload": {"query": ["{ whoami }"]}}], 4400),
    ([subscribe("1", "{ whoami }", variables=[])], 4400),
    ([subscribe("1", "{ whoami }", variables="{}")], 4400),
    ([subscribe("1", "{ whoami }", operationName=7)], 4400),
    ([subscribe("1", "{ whoami }", extensions=[])], 4400),
    ([{"type": "complete"}], 4400),
    ([{"type": "complete", "id": ["1"]}], 4400),
    ([{"type": "complete", "id": 1}], 4400),
    ([subscribe("1", 'subscription { endless(name: "a") }')] * 2, 4409),
    ([subscribe("é🙂" * 500, 'subscription { endless(name: "a") }')] * 2, 4409),
    (["x" * (BODY_LIMIT + 1)], 1009),
]


async def test_after_the_acknowledgement_each_violation_has_its_code(served: Served) -> None:
    for messages, code in AFTER_ACK:
        async with welcomed(served) as socket:
            with contextlib.suppress(ConnectionClosedError):
                await socket.say(*messages)
            got, reason = await socket.closed_with()
            assert got == code, str(messages)[:80]
            assert len(reason.encode()) <= 123
        await until(lambda: not running)
    await until(lambda: served.view.open_sockets == 0)


async def test_text_that_is_not_utf_8_closes_with_1007(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with welcomed(served) as socket:
        await socket.connection.send(b'{"type":"\xff"}', text=True)
        assert (await socket.closed_with())[0] == 1007
    caplog.clear()  # uvicorn logs it


@pytest.mark.parametrize("offered", [("graphql-ws",), ("soap", "graphql-ws")])
async def test_another_subprotocol_is_not_acceptable(served: Served, offered: tuple[str, ...]) -> None:
    async with dial(served, *offered) as socket:
        assert socket.connection.subprotocol is None
        assert await socket.closed_with() == (4406, "Subprotocol not acceptable")


async def test_no_subprotocol_is_not_acceptable(served: Served) -> None:
    async with connect(served.ws) as connection:
        assert await Socket(connection).closed_with() == (4406, "Subprotocol not acceptable")


async def test_the_good_subprotocol_is_picked_among_others(served: Served) -> None:
    async with dial(served, "graphql-ws", PROTOCOL) as socket:
        assert socket.connection.subprotocol == PROTOCOL
