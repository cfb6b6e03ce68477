"""Large answers are compressed as the client prefers, and mean the same; small ones are left alone."""

import json
import sys
import threading
import zlib
from collections.abc import Callable, Mapping

import brotli  # type: ignore[import-untyped]
import httpx
import pytest

from graphql_schema import compressing
from graphql_schema.compressing import CODINGS, IN_A_THREAD, SMALLEST, Accepted, accepted, compressed
from tests.graphql.transport.conftest import Served
from tests.graphql.transport.sockets import dial

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.usefixtures("no_exception_reaches_the_server")

DECODE: Mapping[str, Callable[[bytes], bytes]] = {
    "zstd": zstd.decompress,
    "br": brotli.decompress,
    "gzip": lambda body: zlib.decompress(body, wbits=31),
}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip, deflate, br, zstd", Accepted("zstd")),
        ("gzip, deflate, br", Accepted("br")),
        ("gzip, deflate", Accepted("gzip")),
        ("GZIP", Accepted("gzip")),
        ("zstd;q=0.5, gzip;q=0.8", Accepted("gzip")),
        ("zstd; q=0.5 , br ; q=0.5", Accepted("zstd")),
        ("zstd;q=0, br;q=0.001", Accepted("br")),
        ("*", Accepted("zstd")),
        ("zstd;q=0, *", Accepted("br")),
        ("zstd;q=0.1, *;q=0.2", Accepted("br")),
        ("identity, gzip;q=0.5", Accepted()),
        ("identity;q=0.5, gzip;q=0.5", Accepted("gzip")),
        ("identity;q=0, gzip", Accepted("gzip", refuses_plain=True)),
        ("gzip, *;q=0", Accepted("gzip", refuses_plain=True)),
        ("identity;q=0", Accepted()),
        ("deflate, compress", Accepted()),
        ("gzip;q=0", Accepted()),
        ("*;q=0", Accepted()),
        ("", Accepted()),
        (" , ;", Accepted()),
        ("gzip;q=nan", Accepted()),
        ("gzip;q=-1", Accepted()),
        ("gzip;q=2", Accepted()),
        ("gzip;q=high", Accepted()),
        ("gzip;level=9", Accepted("gzip")),
    ],
)
def test_what_a_header_says(header: str, expected: Accepted) -> None:
    assert accepted(header) == expected


@pytest.mark.parametrize("coding", CODINGS)
async def test_each_coding_gives_the_bytes_back(coding: str) -> None:
    for size in (SMALLEST, IN_A_THREAD):
        body = (b'{"data":"\xc3\xbc"},' * size)[:size]
        encoded, named = await compressed(body, coding)
        assert named == coding
        assert DECODE[coding](encoded) == body
        assert len(encoded) < size / 10


async def test_only_what_is_large_is_compressed() -> None:
    short = b"a" * (SMALLEST - 1)
    assert await compressed(short, "gzip") == (short, None)
    assert (await compressed(short + b"a", "gzip"))[1] == "gzip"
    assert (await compressed(b"{}", "gzip, identity;q=0"))[1] == "gzip"
    assert await compressed(short + b"a", "deflate") == (short + b"a", None)


async def test_what_takes_long_is_done_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def encode(body: bytes) -> bytes:
        threads.append(threading.get_ident())
        return body[:1]

    monkeypatch.setattr(compressing, "CODINGS", {"gzip": encode})
    accepted.cache_clear()
    await compressed(b"a" * (IN_A_THREAD - 1), "gzip")
    await compressed(b"a" * IN_A_THREAD, "gzip")
    accepted.cache_clear()
    assert threads[0] == threading.get_ident()
    assert threads[1] != threading.get_ident()


async def asked(client: httpx.AsyncClient, served: Served, text: str, *encodings: str) -> tuple[httpx.Headers, bytes]:
    """The head and the undecoded body of the answer that gives the text back; that it is one."""
    request = {"query": "query ($value: Anything!) { echo(value: $value) }", "variables": {"value": text}}
    headers = [("accept-encoding", encoding) for encoding in encodings]
    async with client.stream("POST", served.http, json=request, headers=headers) as answer:
        assert answer.status_code == 200
        body = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert int(answer.headers["content-length"]) == len(body)
    assert answer.headers["vary"] == "accept, accept-encoding"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.headers, body


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("length", [SMALLEST, IN_A_THREAD])
async def test_an_answer_over_http_means_the_same(
    client: httpx.AsyncClient, served: Served, coding: str, length: int
) -> None:
    headers, body = await asked(client, served, "ü" * length, coding)
    assert headers["content-encoding"] == coding
    assert json.loads(DECODE[coding](body)) == {"data": {"echo": "ü" * length}}
    assert len(body) < length / 10


async def test_an_answer_over_http_that_is_not_compressed(client: httpx.AsyncClient, served: Served) -> None:
    for text, encodings in (("short", ("gzip",)), ("a" * SMALLEST, ()), ("a" * SMALLEST, ("identity",))):
        client.headers.pop("accept-encoding", None)
        headers, body = await asked(client, served, text, *encodings)
        assert "content-encoding" not in headers
        assert json.loads(body) == {"data": {"echo": text}}


async def test_several_header_lines_are_one_list(client: httpx.AsyncClient, served: Served) -> None:
    headers, _ = await asked(client, served, "a" * SMALLEST, "gzip;q=0.5", "br")
    assert headers["content-encoding"] == "br"


async def test_sockets_are_not_compressed(served: Served) -> None:
    async with dial(served) as socket:
        response = socket.connection.response
        assert response is not None
        assert "sec-websocket-extensions" not in response.headers
