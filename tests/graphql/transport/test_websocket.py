"""graphql-transport-ws: what the protocol promises, and what breaks it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError
from websockets.typing import Subprotocol

from app.domain.principals import Principal, Role
from graphql_schema.http_transport import BODY_LIMIT
from tests.graphql.transport.conftest import Served
from tests.graphql.transport.schema import running

PROTOCOL = Subprotocol("graphql-transport-ws")
INIT = {"type": "connection_init", "payload": {"authorization": "Bearer good"}}


@pytest.fixture(autouse=True)
def _no_exception_reaches_the_server(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR):
        yield
    assert caplog.records == []


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as entries:
        yield entries


class Socket:
    """A client that says exactly what it is told to."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, *messages: object) -> None:
        for message in messages:
            await self.connection.send(message if isinstance(message, (str, bytes)) else orjson.dumps(message).decode())

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            text = await self.connection.recv()
        assert isinstance(text, str)
        message: dict[str, Any] = orjson.loads(text)
        return message

    async def hear_all(self, number: int) -> list[dict[str, Any]]:
        return [await self.hear() for _ in range(number)]

    async def _drop_everything(self) -> None:
        while True:
            await self.connection.recv()

    async def closed_with(self) -> tuple[int, str]:
        """Code and reason with which the server closes; whatever it says before is dropped."""
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed) as caught:
                await self._drop_everything()
        close = caught.value.rcvd
        assert close is not None
        return close.code, close.reason


@contextlib.asynccontextmanager
async def dial(served: Served, *subprotocols: str) -> AsyncIterator[Socket]:
    offered = [Subprotocol(name) for name in subprotocols] or [PROTOCOL]
    async with connect(served.ws, subprotocols=offered, max_size=None, close_timeout=1) as connection:
        yield Socket(connection)


@contextlib.asynccontextmanager
async def welcomed(served: Served) -> AsyncIterator[Socket]:
    async with dial(served) as socket:
        await socket.say(INIT)
        assert await socket.hear() == {"type": "connection_ack"}
        yield socket


def subscribe(operation_id: object, query: str, **more: object) -> dict[str, object]:
    return {"type": "subscribe", "id": operation_id, "payload": {"query": query, **more}}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  (what holds has no event)
            await asyncio.sleep(0.01)


# -- what the protocol promises


async def test_a_subscription_from_beginning_to_end(served: Served) -> None:
    async with welcomed(served) as socket:
        assert socket.connection.subprotocol == PROTOCOL
        await socket.say(subscribe("1", "subscription ($to: Int!) { count(to: $to) }", variables={"to": 3}))
        assert await socket.hear_all(4) == [
            *({"type": "next", "id": "1", "payload": {"data": {"count": number}}} for number in range(3)),
            {"type": "complete", "id": "1"},
        ]
        # the id is free again
        await socket.say(subscribe("1", "subscription { count(to: 0) }"))
        assert await socket.hear() == {"type": "complete", "id": "1"}


async def test_queries_and_mutations_run_too(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("q", "{ whoami }"))
        assert await socket.hear_all(2) == [
            {"type": "next", "id": "q", "payload": {"data": {"whoami": "john"}}},
            {"type": "complete", "id": "q"},
        ]
        document = 'query Q { whoami } mutation M { touch(name: "it") }'
        await socket.say(subscribe("m", document, operationName="M", extensions={"any": 1}))
        assert (await socket.hear())["payload"] == {"data": {"touch": "touched it"}}
        await socket.say(subscribe("p", "query Planned { planned }"))
        assert (await socket.hear_all(2))[1]["payload"] == {"data": {"planned": "bytes"}}


async def test_operations_do_not_wait_for_each_other(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("slow", 'subscription { endless(name: "a") }'))
        assert (await socket.hear())["id"] == "slow"
        await socket.say(subscribe("quick", "{ whoami }"))
        assert [message["id"] for message in await socket.hear_all(2)] == ["quick", "quick"]


@pytest.mark.parametrize(
    "payload", [{"authorization": "Bearer good"}, {"Authorization": "bearer good"}, {"token": "good"}]
)
async def test_the_token_comes_with_connection_init(served: Served, payload: dict[str, str]) -> None:
    async with dial(served) as socket:
        await socket.say({"type": "connection_init", "payload": payload})
        assert await socket.hear() == {"type": "connection_ack"}


async def test_a_ping_is_answered_with_its_payload_at_any_time(served: Served) -> None:
    async with dial(served) as socket:
        await socket.say(
            {"type": "ping"}, {"type": "ping", "payload": {"at": [1, "é"]}}, {"type": "ping", "payload": {}}
        )
        assert await socket.hear_all(3) == [
            {"type": "pong"},
            {"type": "pong", "payload": {"at": [1, "é"]}},
            {"type": "pong", "payload": {}},
        ]
        await socket.say({"type": "pong"}, {"type": "pong", "payload": {"any": 1}}, INIT)
        assert await socket.hear() == {"type": "connection_ack"}
        await socket.say({"type": "ping", "payload": None})
        assert await socket.hear() == {"type": "pong"}


async def test_complete_ends_the_work(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", 'subscription { endless(name: "a") }'))
        assert (await socket.hear())["type"] == "next"
        assert running == {"a"}
        await socket.say(
            {"type": "complete", "id": "1"}, {"type": "complete", "id": "1"}, {"type": "complete", "id": "?"}
        )
        await until(lambda: not running)
        # at once the id is free, and nothing more is heard of the old operation
        await socket.say(subscribe("1", "{ whoami }"))
        assert [message["type"] for message in await socket.hear_all(2)] == ["next", "complete"]


async def test_a_stream_that_never_pauses_leaves_others_their_turn(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", "subscription { count(to: 100000000) }"))
        await socket.say({"type": "ping"})
        async with asyncio.timeout(5):
            while (await socket.hear())["type"] != "pong":
                pass
        await socket.say({"type": "complete", "id": "1"}, subscribe("2", "{ whoami }"))
        async with asyncio.timeout(5):
            while (await socket.hear())["id"] != "2":
                pass


@pytest.mark.parametrize("goodbye", ["close", "abort"])
async def test_a_client_that_goes_leaves_nothing_behind(served: Served, goodbye: str) -> None:
    before = asyncio.all_tasks()
    async with welcomed(served) as socket:
        for number in range(4):
            await socket.say(subscribe(str(number), f'subscription {{ endless(name: "{number}") }}'))
        await socket.hear_all(4)
        assert len(running) == 4
        assert served.view.open_sockets == 1
        if goodbye == "close":
            await socket.connection.close()
        else:
            socket.connection.transport.abort()
        await until(lambda: not running)
    await until(lambda: served.view.open_sockets == 0)
    await until(lambda: asyncio.all_tasks() <= before)


# -- operations that fail


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"query": "subscription {"}, "Syntax Error"),
        ({"query": "\x00"}, "Syntax Error"),
        ({"query": "{ nothing }"}, "Cannot query field"),
        ({"query": "{ whoami }", "operationName": "Missing"}, "no operation of that name"),
        ({"query": "fragment F on Query { whoami }"}, "no operation"),
        ({"query": "subscription ($to: Int!) { count(to: $to) }"}, "$to"),
        ({"query": "subscription ($to: Int!) { count(to: $to) }", "variables": {"to": "x"}}, "Int cannot represent"),
        ({"query": "{ inner" * 20_000 + "}" * 20_000}, "too deeply"),
    ],
)
async def test_an_operation_that_cannot_run_does_not_close_the_socket(
    served: Served, logged: list[EventDict], payload: dict[str, object], message: str
) -> None:
    async with welcomed(served) as socket:
        await socket.say({"type": "subscribe", "id": "bad", "payload": payload})
        answer = await socket.hear()
        assert (answer["type"], answer["id"]) == ("error", "bad")
        assert message in answer["payload"][0]["message"]
        assert answer["payload"][0]["extensions"] == {"code": "INVALID_INPUT"}
        await socket.say(subscribe("bad", "{ whoami }"))
        assert (await socket.hear())["type"] == "next"
    assert logged == []


@pytest.mark.parametrize(("field", "code"), [("resync", "RESYNC_REQUIRED"), ("refused", "FORBIDDEN")])
async def test_a_stream_that_cannot_begin_ends_with_its_typed_error(served: Served, field: str, code: str) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", f"subscription {{ {field} }}"))
        answer = await socket.hear()
        assert (answer["type"], answer["id"]) == ("error", "1")
        assert [error["extensions"] for error in answer["payload"]] == [{"code": code}]
        await socket.say({"type": "ping"})
        assert await socket.hear() == {"type": "pong"}


async def test_a_defect_in_the_middle_is_masked_and_logged(served: Served, logged: list[EventDict]) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", "subscription { breaking }"))
        first, second = await socket.hear_all(2)
        assert first["type"] == "next"
        assert second["type"] == "error"
        (error,) = second["payload"]
        assert error["extensions"]["code"] == "INTERNAL"
        assert "secret" not in str(error)
    assert [entry["correlation_id"] for entry in logged] == [error["extensions"]["correlationId"]]


async def test_errors_of_fields_come_with_their_data(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", "subscription { holes { whoami forbidden } }"))
        first, second, third = await socket.hear_all(3)
        assert first == second
        assert first["payload"]["data"] == {"holes": {"whoami": "john", "forbidden": None}}
        assert [error["extensions"]["code"] for error in first["payload"]["errors"]] == ["FORBIDDEN"]
        assert third == {"type": "complete", "id": "1"}


async def test_only_so_many_operations_run_at_once(served: Served) -> None:
    async with welcomed(served) as socket:
        for number in range(6):
            await socket.say(subscribe(str(number), f'subscription {{ endless(name: "{number}") }}'))
        heard = await socket.hear_all(6)
        assert sorted((message["id"], message["type"]) for message in heard) == [
            *((str(number), "next") for number in range(5)),
            ("5", "error"),
        ]
        assert len(running) == 5
        await socket.say({"type": "complete", "id": "0"}, subscribe("5", "{ whoami }"))
        assert (await socket.hear())["type"] == "next"


# -- what breaks the protocol

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


# -- time, tokens, the end


async def test_a_silent_client_is_closed(served: Served) -> None:
    async with dial(served) as socket:
        assert await socket.closed_with() == (4408, "Connection initialisation timeout")


async def test_a_client_that_only_pings_is_closed(served: Served) -> None:
    async with dial(served) as socket:

        async def ping() -> None:
            while True:
                await socket.say({"type": "ping"})
                await asyncio.sleep(0.05)

        pinging = asyncio.create_task(ping())
        assert (await socket.closed_with())[0] == 4408
        pinging.cancel()
        await asyncio.wait([pinging])


async def test_a_hanging_authentication_is_closed_too(served: Served) -> None:
    served.tokens.hanging = True
    before = asyncio.all_tasks()
    async with dial(served) as socket:
        await socket.say(INIT)
        assert (await socket.closed_with())[0] == 4408
    async with dial(served) as socket:
        await socket.say(INIT, subscribe("1", "{ whoami }"))
        assert (await socket.closed_with())[0] == 4401
    async with dial(served) as socket:
        await socket.say(INIT)
        await socket.connection.close()
    await until(lambda: served.view.open_sockets == 0)
    await until(lambda: asyncio.all_tasks() <= before)


async def test_an_absent_database_says_try_again(served: Served) -> None:
    served.tokens.away = True
    async with dial(served) as socket:
        await socket.say(INIT)
        assert (await socket.closed_with())[0] == 1013


async def test_a_defect_of_the_authentication_is_masked(served: Served, logged: list[EventDict]) -> None:
    served.tokens.broken = True
    async with dial(served) as socket:
        await socket.say(INIT)
        code, reason = await socket.closed_with()
    assert code == 1011
    assert "secret" not in reason
    assert logged[0]["correlation_id"] in reason


async def test_a_revoked_token_ends_its_sockets(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", 'subscription { endless(name: "a") }'))
        await socket.hear()
        await asyncio.sleep(0.2)
        assert served.tokens.asked >= 3
        assert served.view.open_sockets == 1
        del served.tokens.known["good"]
        assert await socket.closed_with() == (4403, "The token has expired or was revoked")
    await until(lambda: not running)


async def test_changed_rights_end_the_sockets(served: Served) -> None:
    async with welcomed(served) as socket:
        served.tokens.known["good"] = Principal("john", Role.VIEWER)
        assert await socket.closed_with() == (4403, "The token's rights have changed, connect again")


@pytest.mark.parametrize("trouble", ["away", "hanging", "broken"])
async def test_an_absent_database_does_not_end_sockets_at_once(served: Served, trouble: str) -> None:
    async with welcomed(served) as socket:
        setattr(served.tokens, trouble, True)
        await asyncio.sleep(0.2)
        await socket.say({"type": "ping"})
        assert await socket.hear() == {"type": "pong"}
        assert (await socket.closed_with())[0] == 1013  # but in the end, when nobody can tell for too long


@pytest.mark.parametrize("how", ["server", "view"])
async def test_a_shutdown_closes_with_1012_at_once(served: Served, how: str) -> None:
    before = asyncio.get_running_loop().time()
    async with welcomed(served) as busy, dial(served) as fresh:
        await busy.say(subscribe("1", 'subscription { endless(name: "a") }'))
        await busy.hear()
        if how == "server":
            served.server.should_exit = True
        else:
            closing = asyncio.create_task(served.view.close())
        assert (await busy.closed_with())[0] == 1012
        assert (await fresh.closed_with())[0] == 1012
        assert not running
        if how == "view":
            await closing
            async with dial(served) as late:
                assert await late.closed_with() == (1012, "Service restart")
    assert asyncio.get_running_loop().time() - before < 3
    await until(lambda: served.view.open_sockets == 0)


async def test_a_client_that_stops_reading_is_let_go_at_the_end(served: Served) -> None:
    async with welcomed(served) as socket:
        socket.connection.transport.pause_reading()
        await socket.say(subscribe("1", "subscription { count(to: 2000000) }"))
        await asyncio.sleep(0.5)
        closing = asyncio.create_task(served.view.close())
        async with asyncio.timeout(4):
            await closing
        assert served.view.open_sockets == 0
        socket.connection.transport.abort()
