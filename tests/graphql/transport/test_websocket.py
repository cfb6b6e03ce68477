"""graphql-transport-ws: what the protocol promises, and operations that fail."""

import asyncio

import pytest
from structlog.typing import EventDict

from tests.graphql.transport.conftest import BOTH_WAYS, Served
from tests.graphql.transport.schema import running
from tests.graphql.transport.sockets import INIT, PROTOCOL, dial, subscribe, until, welcomed

pytestmark = [BOTH_WAYS, pytest.mark.usefixtures("no_exception_reaches_the_server")]


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
