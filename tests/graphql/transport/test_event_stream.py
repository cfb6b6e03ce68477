"""Server-Sent Events: graphql-sse's distinct connections mode."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from app.domain.principals import Principal, Role
from graphql_schema.event_stream import next_event
from graphql_schema.transport.endings import SocketLimits
from graphql_schema.transport.uvicorn_protocols import PLAIN_ASGI, Protocols, chosen_protocols
from tests.graphql.transport.conftest import Served, serve
from tests.graphql.transport.feeding import FOLLOW, Feed, numbered
from tests.graphql.transport.schema import running
from tests.graphql.transport.sockets import until, welcomed

pytestmark = pytest.mark.usefixtures("no_exception_reaches_the_server")

EVENTS = {"accept": "text/event-stream", "authorization": "Bearer good"}
ENDLESS = {"query": 'subscription { endless(name: "a") }'}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(headers=EVENTS, timeout=10) as client:
        yield client


async def read(answer: httpx.Response, enough: int = 1_000) -> list[tuple[str, Any]]:
    """The events of a stream, comments as events without a name, up to a number or to the end."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events: list[tuple[str, Any]] = []
    text = ""
    async for part in answer.aiter_text():
        text += part
        while "\n\n" in text and len(events) < enough:
            event, _, text = text.partition("\n\n")
            events.append(parsed(event))
        if len(events) >= enough:
            break
    return events


def parsed(event: str) -> tuple[str, Any]:
    if event.startswith(":"):
        return "", event[1:].strip()
    name, data = event.split("\n")
    assert name.startswith("event: ")
    assert data.startswith("data:")
    return name.removeprefix("event: "), orjson.loads(data.removeprefix("data:") or "null")


async def ask(client: httpx.AsyncClient, served: Served, body: object, **more: Any) -> list[tuple[str, Any]]:
    async with client.stream("POST", served.http, json=body, **more) as answer:
        assert answer.status_code == 200
        return await read(answer)


async def test_a_subscription_from_beginning_to_end(client: httpx.AsyncClient, served: Served) -> None:
    body = {"query": "subscription ($to: Int!) { count(to: $to) }", "variables": {"to": 3}}
    expected = [*(("next", {"data": {"count": number}}) for number in range(3)), ("complete", None)]
    assert await ask(client, served, body) == expected
    given = {"query": str(body["query"]), "variables": '{"to": 3}'}
    async with client.stream("GET", served.http, params=given) as answer:
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert await read(answer) == expected


async def test_queries_and_mutations_by_post(client: httpx.AsyncClient, served: Served) -> None:
    whoami = [("next", {"data": {"whoami": "john"}}), ("complete", None)]
    assert await ask(client, served, {"query": "{ whoami }"}) == whoami
    touched = [("next", {"data": {"touch": "touched it"}}), ("complete", None)]
    assert await ask(client, served, {"query": 'mutation { touch(name: "it") }'}) == touched
    planned = [("next", {"data": {"planned": "bytes"}}), ("complete", None)]
    assert await ask(client, served, {"query": "query Planned { planned }", "operationName": "Planned"}) == planned


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "INVALID_INPUT"),
        ("{ nothing }", "INVALID_INPUT"),
        ("subscription { nothing }", "INVALID_INPUT"),
        ("fragment F on Query { whoami }", "INVALID_INPUT"),
        ("subscription { resync }", "RESYNC_REQUIRED"),
        ("subscription { refused }", "FORBIDDEN"),
    ],
)
async def test_what_is_wrong_is_told_by_an_event(
    client: httpx.AsyncClient, served: Served, query: str, code: str
) -> None:
    (name, result), end = await ask(client, served, {"query": query})
    assert (name, end) == ("next", ("complete", None))
    assert [error["extensions"]["code"] for error in result["errors"]] == [code]
    assert "data" not in result


async def test_a_defect_is_masked(client: httpx.AsyncClient, served: Served) -> None:
    first, (name, result), end = await ask(client, served, {"query": "subscription { breaking }"})
    assert (first[0], name, end) == ("next", "next", ("complete", None))
    assert result["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in str(result)


@pytest.mark.parametrize(
    ("method", "options", "status"),
    [
        ("POST", {"json": ENDLESS, "headers": {"authorization": "Bearer bad"}}, 401),
        ("POST", {"json": ENDLESS, "headers": {"authorization": ""}}, 401),
        ("POST", {"content": b"{"}, 415),
        ("POST", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", {"json": [ENDLESS]}, 400),
        ("GET", {}, 400),
        ("GET", {"params": {"query": "{ whoami }"}}, 405),
        ("GET", {"params": {"query": 'mutation { touch(name: "it") }'}}, 405),
        ("GET", {"params": {"query": "{"}}, 405),
        ("GET", {"params": {"query": "subscription { resync }", "variables": "{"}}, 400),
        ("GET", {"params": {"query": "subscription { resync }", "variables": "[]"}}, 400),
        ("GET", {"params": b"query=%FF%00"}, 405),
        ("PUT", {}, 405),
    ],
)
async def test_what_is_no_request_gets_no_stream(
    client: httpx.AsyncClient, served: Served, method: str, options: dict[str, Any], status: int
) -> None:
    answer = await client.request(method, served.http, **options)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert len(answer.json()["errors"]) == 1
    assert served.view.open_event_streams == 0


async def test_the_database_is_away(client: httpx.AsyncClient, served: Served) -> None:
    served.tokens.away = True
    assert (await client.post(served.http, json=ENDLESS)).status_code == 503
    served.tokens.away, served.tokens.hanging = False, True
    assert (await client.post(served.http, json=ENDLESS)).status_code == 503


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, application/json;q=0.5", "text/event-stream"),
        ("text/event-stream, */*", "text/event-stream"),
        ("application/json, text/event-stream, multipart/mixed", "application/json"),
        ("application/json, text/event-stream;q=0.9", "application/json"),
        ("*/*", "application/json"),
    ],
)
async def test_events_are_for_who_prefers_them(
    client: httpx.AsyncClient, served: Served, accept: str, media_type: str
) -> None:
    answer = await client.post(served.http, json={"query": "{ whoami }"}, headers={"accept": accept})
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"


async def test_who_goes_leaves_nothing_behind(client: httpx.AsyncClient, served: Served) -> None:
    before = asyncio.all_tasks()
    async with client.stream("POST", served.http, json=ENDLESS) as answer:
        assert await read(answer, 1) == [("next", {"data": {"endless": 0}})]
        assert (running, served.view.open_event_streams) == ({"a"}, 1)
    await until(lambda: not running)
    await until(lambda: served.view.open_event_streams == 0)
    await client.aclose()
    await until(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("change", ["revoked", "changed"])
async def test_a_token_that_ends_ends_its_streams(client: httpx.AsyncClient, served: Served, change: str) -> None:
    async with client.stream("POST", served.http, json=ENDLESS) as answer:
        events = asyncio.create_task(read(answer))
        await until(lambda: bool(running))
        if change == "revoked":
            del served.tokens.known["good"]
            told = "4403 The token has expired or was revoked"
        else:
            served.tokens.known["good"] = Principal("john", Role.VIEWER)
            told = "4403 The token's rights have changed, connect again"
        assert (await events)[-1] == ("", told)
    await until(lambda: not running)


@pytest.mark.parametrize("how", ["server", "view"])
async def test_a_shutdown_ends_streams_at_once(client: httpx.AsyncClient, served: Served, how: str) -> None:
    async with client.stream("POST", served.http, json=ENDLESS) as answer:
        events = asyncio.create_task(read(answer))
        await until(lambda: bool(running))
        if how == "server":
            served.server.should_exit = True
        else:
            await served.view.close()
        async with asyncio.timeout(3):
            assert await events == [("next", {"data": {"endless": 0}}), ("", "1012 Service restart")]
    assert not running


async def test_comments_show_that_a_quiet_stream_lives(client: httpx.AsyncClient) -> None:
    async with (
        serve(SocketLimits(ping_every=0.05)) as served,
        client.stream("POST", served.http, json=ENDLESS) as answer,
    ):
        assert (await read(answer, 4))[1:] == [("", "")] * 3


async def test_streams_and_sockets_count_together(client: httpx.AsyncClient) -> None:
    async with (
        serve(SocketLimits(connections=2)) as served,
        welcomed(served),
        client.stream("POST", served.http, json=ENDLESS) as answer,
    ):
        assert await read(answer, 1)
        refused = await client.post(served.http, json=ENDLESS)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


@contextlib.asynccontextmanager
async def stopped_reader(served: Served) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    body = orjson.dumps({"query": FOLLOW})
    head = (
        "POST /graphql HTTP/1.1\r\nhost: hub\r\naccept: text/event-stream\r\nauthorization: Bearer good\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    yield reader
    writer.transport.abort()


@pytest.mark.parametrize(
    ("resumes", "protocols"),
    [(True, chosen_protocols()), (True, PLAIN_ASGI), (False, chosen_protocols())],
    ids=["told", "told-asgi", "cut-off"],
)
async def test_a_reader_that_stops_is_told_or_cut_off(resumes: bool, protocols: Protocols) -> None:
    feed = Feed()
    limits = SocketLimits(waiting_messages=20, stall_patience=0.2, slow_patience=5.0 if resumes else 0.3)
    async with serve(limits, feed, protocols) as served, stopped_reader(served) as reader:
        await until(lambda: bool(feed.members))
        feed.tell([numbered(number, 400_000) for number in range(30)])
        await asyncio.sleep(0)
        feed.tell([numbered(31)])
        await until(lambda: not feed.members)
        if resumes:
            assert b": 4290 Too slow" in await drained(reader)
        await until(lambda: served.view.open_event_streams == 0)


async def drained(reader: asyncio.StreamReader) -> bytes:
    """The last of what comes."""
    last = b""
    async with asyncio.timeout(5):
        while b"\r\n0\r\n\r\n" not in last:
            last = last[-500:] + await reader.read(65_536)
    return last


def test_line_breaks_in_json_do_not_end_an_event() -> None:
    assert next_event(b'{"data":\r\n{}}') == b'event: next\ndata: {"data":  {}}\n\n'
