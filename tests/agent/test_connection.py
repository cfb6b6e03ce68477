"""The connection survives cuts, resumes where it was, and tells failures apart. The hub here is a small fake."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from app.client import connection as connection_module
from app.client.connection import HubClient
from app.client.errors import HubFault, HubRefused, HubUnauthorised, HubUnreachable
from app.client.options import ending

SUBSCRIPTION = "subscription S($after: Cursor) { taskChanged(after: $after) { cursor } }"

GOOD = "good"

Talk = Callable[[ServerConnection, str, Mapping[str, Any]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(connection_module, "CLOSE_SECONDS", 0.2)


@asynccontextmanager
async def socket_hub(*talks: Talk, token: str = GOOD, port: int = 0) -> AsyncIterator[str]:
    """A hub whose nth socket is served by the nth talk, the last one by all that follow; its address."""
    turns = iter(range(1_000))

    async def handle(socket: ServerConnection) -> None:
        turn = next(turns)
        with suppress(ConnectionClosed):
            init = json.loads(await socket.recv())
            if init["payload"] != {"authorization": f"Bearer {token}"}:
                await socket.close(4403, "Forbidden")
                return
            await socket.send(json.dumps({"type": "connection_ack"}))
            subscribe = json.loads(await socket.recv())
            await talks[min(turn, len(talks) - 1)](socket, subscribe["id"], subscribe["payload"]["variables"])

    async with serve(handle, "127.0.0.1", port, subprotocols=["graphql-transport-ws"]) as server:  # type: ignore[list-item]
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def push(socket: ServerConnection, identity: str, *cursors: str) -> None:
    for cursor in cursors:
        data = {"taskChanged": {"cursor": cursor}}
        await socket.send(json.dumps({"id": identity, "type": "next", "payload": {"data": data}}))


class Received:
    """What a subscription handed over; `done` is set at the number that is waited for."""

    def __init__(self, wanted: int) -> None:
        self.cursors: list[str] = []
        self.connections = 0
        self.done = asyncio.Event()
        self._wanted = wanted

    def __call__(self, change: Mapping[str, Any]) -> None:
        self.cursors.append(change["cursor"])
        if len(self.cursors) == self._wanted:
            self.done.set()

    def connected(self) -> None:
        self.connections += 1


async def follow(url: str, received: Received, token: str = GOOD) -> None:
    async with HubClient(url, token) as client:
        task = asyncio.create_task(client.follow(SUBSCRIPTION, {}, received, connected=received.connected))
        waiting = asyncio.create_task(received.done.wait())
        try:
            async with asyncio.timeout(10):
                await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            waiting.cancel()
            task.cancel()
            results = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(results[0], (asyncio.CancelledError, HubFault, HubUnauthorised))


async def test_a_cut_subscription_goes_on_behind_the_last_change() -> None:
    asked: list[Any] = []

    async def first(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        asked.append(variables.get("after"))
        await push(socket, identity, "1", "2")
        socket.transport.abort()

    async def second(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        asked.append(variables.get("after"))
        await push(socket, identity, "3")
        await socket.wait_closed()

    received = Received(3)
    async with socket_hub(first, second) as url:
        await follow(url, received)
    assert asked == [None, "2"]
    assert received.cursors == ["1", "2", "3"]
    assert received.connections == 2


async def test_a_subscription_that_the_hub_completes_is_taken_up_again() -> None:
    async def first(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        await push(socket, identity, "1")
        await socket.send(json.dumps({"id": identity, "type": "complete"}))
        await socket.wait_closed()

    async def second(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        assert variables["after"] == "1"
        await push(socket, identity, "2")
        await socket.wait_closed()

    received = Received(2)
    async with socket_hub(first, second) as url:
        await follow(url, received)
    assert received.cursors == ["1", "2"]


@pytest.mark.parametrize(("code", "then_after"), [("RESYNC_REQUIRED", None), ("UNAVAILABLE", "1"), ("INTERNAL", "1")])
async def test_an_error_that_may_pass_is_tried_again(code: str, then_after: str | None) -> None:
    asked: list[Any] = []
    error = {"message": "no", "extensions": {"code": code}}

    async def first(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        await push(socket, identity, "1")
        await socket.send(json.dumps({"id": identity, "type": "error", "payload": [error]}))
        await socket.wait_closed()

    async def second(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        asked.append(variables.get("after"))
        await push(socket, identity, "2")
        await socket.wait_closed()

    received = Received(2)
    async with socket_hub(first, second) as url:
        await follow(url, received)
    assert asked == [then_after]


async def test_an_error_of_the_operation_is_told() -> None:
    async def talk(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        error = {"message": "Cannot query field 'x'", "extensions": {"code": "INVALID_INPUT"}}
        await socket.send(json.dumps({"id": identity, "type": "error", "payload": [error]}))
        await socket.wait_closed()

    async with socket_hub(talk) as url:
        with pytest.raises(HubFault, match="Cannot query field 'x'") as fault:
            await follow(url, Received(1))
    assert fault.value.code == "INVALID_INPUT"


async def test_a_token_that_is_worth_nothing_ends_a_subscription() -> None:
    async def talk(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        raise AssertionError("not reached")

    async with socket_hub(talk) as url:
        with pytest.raises(HubUnauthorised, match="unknown, expired or revoked"):
            await follow(url, Received(1), token="bad")


async def test_a_hub_that_comes_late_is_found(unused_port: int) -> None:
    async def talk(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        await push(socket, identity, "1")
        await socket.wait_closed()

    received = Received(1)

    async def late() -> None:
        await asyncio.sleep(0.6)
        async with socket_hub(talk, port=unused_port):
            await received.done.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(late())
        group.create_task(follow(f"http://127.0.0.1:{unused_port}", received))
    assert received.cursors == ["1"]


async def test_a_cancelled_subscription_ends_although_its_socket_is_dead() -> None:
    async def talk(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        await push(socket, identity, "1")
        await asyncio.sleep(0.05)
        socket.transport.abort()
        await asyncio.sleep(0.3)

    received = Received(1)
    async with socket_hub(talk) as url, HubClient(url, "good") as client:
        task = asyncio.create_task(client.follow(SUBSCRIPTION, {}, received))
        await received.done.wait()
        task.cancel()
        async with asyncio.timeout(3):
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_subscription_can_be_cancelled_at_any_moment() -> None:
    async def talk(socket: ServerConnection, identity: str, variables: Mapping[str, Any]) -> None:
        await push(socket, identity, *map(str, range(20)))
        await socket.wait_closed()

    async with socket_hub(talk) as url, HubClient(url, "good") as client:
        for number in range(120):
            task = asyncio.create_task(client.follow(SUBSCRIPTION, {}, Received(0)))
            for _ in range(number):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task}, timeout=5)
            assert task.cancelled()


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


@asynccontextmanager
async def http_hub(status: int, body: bytes, seconds: float = 0) -> AsyncIterator[tuple[str, list[Any]]]:
    """A hub that answers every request so; its address, and the requests that it got."""
    requests: list[Any] = []
    handlers: list[Any] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        try:
            await reply(reader, writer)
        finally:
            writer.close()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        requests.append((head, json.loads(await reader.readexactly(length))))
        await asyncio.sleep(seconds)
        with suppress(ConnectionError):
            writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode())
            writer.write(body)
            await writer.drain()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


def answer(payload: Mapping[str, Any]) -> bytes:
    return json.dumps({"data": {"taskStart": payload}}).encode()


async def test_a_mutation_sends_its_input_and_returns_its_payload() -> None:
    payload = {"task": {"taskId": "t"}, "userErrors": []}
    async with http_hub(200, answer(payload)) as (url, requests), HubClient(f"{url}/graphql/", "good") as client:
        assert await client.mutate("mutation M($input: I!) { taskStart(input: $input) { x } }", {"a": 1}) == payload
    head, body = requests[0]
    assert head.startswith("post /graphql ")
    assert "authorization: bearer good" in head
    assert body["variables"] == {"input": {"a": 1}}


async def test_a_refusal_is_typed() -> None:
    error = {"field": "input.x", "message": "Stale.", "code": "STALE_VERSION", "currentVersion": 4}
    async with http_hub(200, answer({"userErrors": [error]})) as (url, _), HubClient(url, "good") as client:
        with pytest.raises(HubRefused, match="Stale") as refusal:
            await client.mutate("mutation M { m }", {})
    assert (refusal.value.code, refusal.value.field, refusal.value.current_version) == ("STALE_VERSION", "input.x", 4)


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (401, b'{"errors": [{"message": "x"}]}', HubUnauthorised, "does not accept this token"),
        (503, b'{"errors": [{"message": "x"}]}', HubUnreachable, "cannot answer now"),
        (200, b'{"errors": [{"message": "No such field"}]}', HubFault, "No such field"),
        (500, b'{"errors": [{"message": "Internal, id 7"}]}', HubFault, "Internal, id 7"),
        (200, b"<html>", HubFault, "is not a hub"),
        (404, b"<html>", HubFault, "is not a hub"),
    ],
)
async def test_failures_are_told_apart(status: int, body: bytes, error: type[Exception], text: str) -> None:
    async with http_hub(status, body) as (url, _), HubClient(url, "good") as client:
        with pytest.raises(error, match=text):
            await client.execute("{ viewer { name } }")


async def test_no_hub_says_how_to_start_one(unused_port: int) -> None:
    async with HubClient(f"http://127.0.0.1:{unused_port}", "good") as client:
        with pytest.raises(HubUnreachable, match=r"No hub answers at .* Start one with `make up` or `hub up`"):
            await client.execute("{ viewer { name } }")


async def test_a_hub_that_does_not_answer_is_not_waited_for() -> None:
    async with http_hub(200, b"{}", seconds=5) as (url, _), HubClient(url, "good") as client:
        with pytest.raises(HubUnreachable, match=r"did not answer within 0\.2 seconds"):
            await client.execute("{ viewer { name } }", seconds=0.2)


async def test_what_cannot_be_written_as_json_is_a_fault_of_the_request() -> None:
    async with http_hub(200, b"{}") as (url, _), HubClient(url, "good") as client:
        for value in ("\ud800", float("inf")):
            with pytest.raises(HubFault, match="cannot be written as JSON"):
                await client.execute("{ viewer { name } }", {"x": value})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HubUnreachable("x"), 3),
        (HubUnauthorised("x"), 1),
        (HubRefused("BLOCKED", "x"), 1),
        (ExceptionGroup("g", [ExceptionGroup("h", [HubUnreachable("x")])]), 3),
        (KeyboardInterrupt(), 130),
        (asyncio.CancelledError(), 130),
    ],
)
def test_expected_failures_become_exit_codes(error: BaseException, code: int) -> None:
    with pytest.raises(Exception) as ended, ending():  # noqa: PT011
        raise error
    assert getattr(ended.value, "exit_code", None) == code


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), ending():
        raise ZeroDivisionError
    with pytest.raises(ExceptionGroup), ending():
        raise ExceptionGroup("g", [HubUnreachable("x"), ZeroDivisionError()])


async def test_a_download_that_is_cut_off_is_told() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n7\r\n{"a":1,\r\n')
        await writer.drain()
        writer.close()

    pieces: list[bytes] = []
    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        client = HubClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "good")
        with pytest.raises(HubUnreachable, match=r"did not send all of it.* not whole; ask again"):
            await client.download("/executions/x/history.json", pieces.append)
    assert b"".join(pieces) == b'{"a":1,'
