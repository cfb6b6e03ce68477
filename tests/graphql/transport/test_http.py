"""GraphQL over HTTP, from the good request to the hostile one."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.typing import EventDict

from graphql_schema.http_transport import BODY_LIMIT, GRAPHQL_RESPONSE, JSON, negotiate
from tests.graphql.transport.conftest import Served

JSON_TYPE = {"content-type": "application/json"}


pytestmark = pytest.mark.usefixtures("no_exception_reaches_the_server")


async def ask(client: httpx.AsyncClient, served: Served, query: str, **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    return await client.post(served.http, json={"query": query, **more}, headers=headers)


async def test_a_query_and_a_mutation(client: httpx.AsyncClient, served: Served) -> None:
    answer = await ask(client, served, "{ whoami }")
    assert (answer.status_code, answer.json()) == (200, {"data": {"whoami": "john"}})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    query = "query Other { whoami } mutation Touch($n: String!) { touch(name: $n) }"
    answer = await ask(client, served, query, variables={"n": "it"}, operationName="Touch")
    assert answer.json() == {"data": {"touch": "touched it"}}


async def test_ready_made_bytes_are_sent_as_they_are(client: httpx.AsyncClient, served: Served) -> None:
    answer = await ask(client, served, "query Planned { planned }")
    assert answer.content == b'{"data":{"planned":"bytes"}}'


HOSTILE_BODIES = [
    b"",
    b" ",
    b"null",
    b"7",
    b'"x"',
    b"true",
    b"[]",
    b'[{"query":"{ whoami }"}]',
    b"{}",
    b"{",
    b'{"query":',
    b"\x00",
    b'{"query":"{ whoami }\x00"}',
    b'{"query":"{ whoami }"}garbage',
    b"\xff\xfe",
    b'{"query":"\xff"}',
    b'{"query":"\xed\xa0\x80"}',
    b'{"query":"\\ud800"}',
    b"NaN",
    b'{"query":"{ whoami }","variables":NaN}',
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"query":"{ whoami }","variables":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b'{"query":null}',
    b'{"query":7}',
    b'{"query":["{ whoami }"]}',
    b'{"query":{}}',
    b'{"query":""}',
    b'{"query":"  "}',
    b'{"query":"{ whoami }","variables":[]}',
    b'{"query":"{ whoami }","variables":"{}"}',
    b'{"query":"{ whoami }","variables":7}',
    b'{"query":"{ whoami }","operationName":7}',
    b'{"query":"{ whoami }","operationName":["a"]}',
    b'{"query":"{ whoami }","operationName":{}}',
    b'{"query":"{ whoami }","extensions":[]}',
    b'{"query":"{ whoami }","extensions":"x"}',
    b'{"query":"{ whoami }","operationName":"Missing"}',
    b'{"query":"fragment F on Query { whoami }"}',
    b'{"query":"subscription { count(to: 3) }"}',
]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE])
async def test_what_is_no_request_is_refused(
    client: httpx.AsyncClient, served: Served, logged: list[EventDict], accept: str
) -> None:
    for body in HOSTILE_BODIES:
        answer = await client.post(served.http, content=body, headers={**JSON_TYPE, "accept": accept})
        assert answer.status_code == 400, body[:60]
        assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
        refused = answer.json()
        assert list(refused) == ["errors"], body[:60]
        assert [error["extensions"]["code"] for error in refused["errors"]] == ["INVALID_INPUT"], body[:60]
        assert "Traceback" not in answer.text
    assert logged == []


HOSTILE_DOCUMENTS = [
    "{",
    "}",
    "{ whoami(",
    "query { nothing }",
    "\x00",
    "{ whoami }\x00",
    '{ echo(value: "\\u{110000}") }',
    "{ number(value: 1e400) }",
    "{ number(value: " + "9" * 10_000 + ") }",
    "{ number(value: 99999999999) }",
    "{ number(value: $missing) }",
    "query ($n: Int!) { number(value: $n) }",
    "query ($n: Nope!) { number(value: $n) }",
    "query A { whoami } query A { whoami }",
    "{ ...Loop } fragment Loop on Query { ...Loop }",
    "{ inner" * 20_000 + "}" * 20_000,
    "{ echo(value: " + "[" * 20_000 + "]" * 20_000 + ") }",
    "{ whoami @skip(if: true) @nothing }",
    "schema { query: Query }",
    "\ufeff",
    "é",
]


async def test_a_document_that_cannot_run_says_why(
    client: httpx.AsyncClient, served: Served, logged: list[EventDict]
) -> None:
    for document in HOSTILE_DOCUMENTS:
        modern = await ask(client, served, document, headers={"accept": GRAPHQL_RESPONSE})
        assert modern.status_code == 400, document[:60]
        assert "data" not in modern.json()
        legacy = await ask(client, served, document)
        assert legacy.status_code in (200, 400), document[:60]  # 400 where there is no operation to run at all
        for error in (*modern.json()["errors"], *legacy.json()["errors"]):
            assert error["message"]
            assert error["extensions"]["code"] == "INVALID_INPUT", document[:60]
    assert logged == []


async def test_wrong_variables_are_the_clients_fault(client: httpx.AsyncClient, served: Served) -> None:
    wrong: list[object] = ["x", 1.5, None, [], {}, 2**40, True]
    for value in wrong:
        answer = await ask(
            client,
            served,
            "query ($n: Int!) { number(value: $n) }",
            variables={"n": value},
            headers={"accept": GRAPHQL_RESPONSE},
        )
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]) == (400, {"code": "INVALID_INPUT"})


async def test_variables_come_back_unharmed(client: httpx.AsyncClient, served: Served) -> None:
    value: object = {"a": [1, 2.5, None, True, "\x00\u2028é🙂"], "": {}, "deep": [[[[[[1]]]]]]}
    answer = await ask(client, served, "query ($v: Anything!) { echo(value: $v) }", variables={"v": value})
    assert answer.json() == {"data": {"echo": value}}


WRONG_TYPES = [
    None,
    "",
    "text/plain",
    "application/graphql",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "application/jsonx",
    ";",
    "application/json application/json",
    "\xff",
]


async def test_only_json_is_taken(client: httpx.AsyncClient, served: Served) -> None:
    for content_type in WRONG_TYPES:
        headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
        answer = await client.post(served.http, content=b'{"query":"{ whoami }"}', headers=headers)
        assert answer.status_code == 415, content_type
        assert answer.json()["errors"][0]["extensions"] == {"code": "INVALID_INPUT"}


async def test_json_may_say_its_charset(client: httpx.AsyncClient, served: Served) -> None:
    for content_type in ("application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'):
        headers = {"content-type": content_type}
        answer = await client.post(served.http, content=b'{"query":"{ whoami }"}', headers=headers)
        assert answer.status_code == 200


async def test_compressed_bodies_are_refused(client: httpx.AsyncClient, served: Served) -> None:
    answer = await client.post(served.http, content=b"x", headers={**JSON_TYPE, "content-encoding": "gzip"})
    assert answer.status_code == 415


async def test_only_post_is_answered(client: httpx.AsyncClient, served: Served) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
        query = {"query": "{ whoami }"}
        answer = await client.request(method, served.http, params=query, headers={"accept": "text/html"})
        assert answer.status_code == 405, method
        assert answer.headers["allow"] == "POST"
        assert answer.json()["errors"]


async def test_a_body_over_the_limit_is_refused(client: httpx.AsyncClient, served: Served) -> None:
    frame = len(json.dumps({"query": "{ whoami }", "pad": ""}).encode())
    fits = json.dumps({"query": "{ whoami }", "pad": "x" * (BODY_LIMIT - frame)}).encode()
    assert len(fits) == BODY_LIMIT
    assert (await client.post(served.http, content=fits, headers=JSON_TYPE)).status_code == 200
    for excess in (1, 5_000_000):
        answer = await client.post(served.http, content=fits + b" " * excess, headers=JSON_TYPE)
        assert answer.status_code == 413
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("size", [BODY_LIMIT + 1, 3 * BODY_LIMIT])
async def test_a_chunked_body_over_the_limit_is_refused(served: Served, size: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield b" " * min(100_000, size - start)

    async with httpx.AsyncClient(headers={"authorization": "Bearer good"}) as client:
        answer = await client.post(served.http, content=chunks(), headers=JSON_TYPE)
    assert answer.status_code == 413


async def test_a_client_that_goes_away_leaves_nothing(served: Served) -> None:
    before = len(asyncio.all_tasks())
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer good\r\ncontent-type: application/json\r\n"
        b"content-length: 1000\r\n\r\n{"
    )
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.2)
    assert len(asyncio.all_tasks()) == before
    assert not (await reader.read())


# -- who asks


NO_TOKENS = [
    None,
    "",
    "Bearer",
    "Bearer wrong",
    "Basic good",
    "good",
    "Bearer good good",
    "Bearer \xe9",
    "Bearer " + "x" * 5_000,
]


async def test_without_a_good_token_nothing_is_answered(served: Served) -> None:
    async with httpx.AsyncClient() as client:
        for authorization in NO_TOKENS:
            headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
            answer = await client.post(served.http, json={"query": "{ whoami }"}, headers=headers)
            assert answer.status_code == 401, authorization
            assert answer.headers["www-authenticate"] == 'Bearer realm="hub"'
            assert list(answer.json()) == ["errors"]
            assert answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_two_tokens_are_none(served: Served) -> None:
    async with httpx.AsyncClient() as client:
        headers = [("authorization", "Bearer good"), ("authorization", "Bearer good")]
        answer = await client.post(served.http, json={"query": "{ whoami }"}, headers=headers)
    assert answer.status_code == 401


async def test_the_scheme_is_case_insensitive(served: Served) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(served.http, json={"query": "{ whoami }"}, headers={"authorization": "bEARER good"})
    assert answer.status_code == 200


async def test_an_absent_database_is_503(client: httpx.AsyncClient, served: Served) -> None:
    served.tokens.away = True
    answer = await ask(client, served, "{ whoami }")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE"}
    served.tokens.away = False
    answer = await ask(client, served, "{ away }")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["message"] == "The database does not answer."


# -- errors


async def test_expected_failures_are_typed(client: httpx.AsyncClient, served: Served, logged: list[EventDict]) -> None:
    answer = await ask(client, served, "{ stale forbidden whoami }")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"stale": None, "forbidden": None, "whoami": "john"}
    stale, forbidden = sorted(answer.json()["errors"], key=lambda error: error["path"], reverse=True)
    assert stale["extensions"] == {"code": "STALE_VERSION", "field": "input.expectedVersion", "currentVersion": 7}
    assert forbidden["extensions"] == {"code": "FORBIDDEN"}
    assert (forbidden["message"], forbidden["path"]) == ("Not with this token.", ["forbidden"])
    assert logged == []


@pytest.mark.parametrize("document", ["{ defect }", "{ fatal }", "{ whoami inner { inner { defect } } }"])
async def test_defects_are_masked_and_logged(
    client: httpx.AsyncClient, served: Served, logged: list[EventDict], document: str
) -> None:
    answer = await ask(client, served, document)
    assert answer.status_code == 200
    (error,) = answer.json()["errors"]
    correlation_id = error["extensions"]["correlationId"]
    assert error["extensions"] == {"code": "INTERNAL", "correlationId": correlation_id}
    assert correlation_id in error["message"]
    assert error["path"]
    assert "secret" not in answer.text
    assert [entry["correlation_id"] for entry in logged] == [correlation_id]
    assert "secret" in repr(logged[0]["exc_info"])


async def test_a_defect_outside_of_the_document_is_masked(
    client: httpx.AsyncClient, served: Served, logged: list[EventDict]
) -> None:
    served.tokens.broken = True
    answer = await ask(client, served, "{ whoami }")
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in answer.text
    assert len(logged) == 1


# -- content negotiation


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, {JSON}", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0, */*", JSON),
        ("Application/GraphQL-Response+JSON", GRAPHQL_RESPONSE),
        ("text/html, */*;q=0.1", JSON),
        ("text/html", None),
        ("text/html;q=nonsense", None),
        (f"{JSON};q=0", None),
        (";;;,,,", None),
    ],
)
def test_the_media_type_is_negotiated(accept: str, media_type: str | None) -> None:
    assert negotiate(accept) == media_type


async def test_what_cannot_be_accepted_is_406(client: httpx.AsyncClient, served: Served) -> None:
    answer = await ask(client, served, "{ whoami }", headers={"accept": "text/html"})
    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["errors"]
