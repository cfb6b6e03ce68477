"""The load client counts right answers and stops at the first wrong one."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from tests.benchmarks.cpu import Meter
from tests.benchmarks.load import Job, WrongAnswer, content_length, digest, measure, percentiles, run, run_apart

BODY = b'{"data": "' + b"x" * 100_000 + b'"}'

Answer = Callable[[int], tuple[int, bytes]]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A server that gives the n-th request, from 1, this status and body; its port."""
    numbers = count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, body = answer(next(numbers))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.daemon_threads = True
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield serving.server_port
        serving.shutdown()


def job(port: int, *, seconds: float = 0.3) -> Job:
    request = "POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
    return Job("127.0.0.1", port, request, digest(BODY, retold=False), 3, 0.1, seconds)


def test_answers_are_counted_in_a_process_of_their_own() -> None:
    asked: list[int] = []

    def answer(number: int) -> tuple[int, bytes]:
        asked.append(number)
        return 200, BODY

    with server(answer) as port:
        load = run_apart(job(port))
    # the requests under way at the end were asked and not answered in time
    assert len(asked) - 3 <= load.answers <= len(asked)
    assert 0 < load.rate * 0.3 <= load.answers
    assert 0 < load.p50 <= load.p99 < 0.3
    assert 0 < load.cpu < 0.5


def test_what_a_request_costs_is_told() -> None:
    server_clock, database_clock = iter([10.0, 14.0]), iter([5.0, 5.5])
    meter = Meter({"server": lambda: next(server_clock), "database": lambda: next(database_clock)})
    with server(lambda _: (200, BODY)) as port:
        sample = measure(job(port), meter)
    assert sample.others is not None
    assert sample.server_cpu is not None
    assert sample.database_cpu is not None
    assert sample.server_cpu / sample.database_cpu == pytest.approx(8)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda _: (503, b"{}"), "the server answered HTTP/1.1 503"),
        (lambda number: (200 if number < 9 else 500, BODY), "the server answered HTTP/1.1 500"),
        (lambda _: (200, b"{}"), "this is not the expected answer: b'{}'"),
        (lambda number: (200, BODY if number < 9 else BODY[:-1] + b" "), "two answers to the same question differ"),
    ],
)
def test_a_wrong_answer_ends_the_measurement(answer: Answer, complaint: str) -> None:
    with server(answer) as port, pytest.raises(WrongAnswer, match=complaint):
        run(job(port, seconds=10))


def with_groups(*counts: int) -> bytes:
    """Groups by a letter each, in this order."""
    groups = [{"keys": ["abc"[count]], "count": {"id": count}} for count in counts]
    return json.dumps({"data": {"all": {"groupedAggregates": groups}}}).encode()


def test_groups_may_come_in_any_order_where_that_is_said() -> None:
    bodies = [with_groups(0, 1, 2), with_groups(2, 1, 0)]
    with server(lambda number: (200, bodies[number % 2])) as port:
        expected = replace(job(port), body_sha256=digest(bodies[0], retold=True), retold=True)
        assert run(expected).answers > 1
        with pytest.raises(WrongAnswer, match=r"not the expected|differ"):
            run(replace(expected, body_sha256=digest(bodies[0], retold=False), retold=False))
    bodies[1] = with_groups(0, 1)
    with server(lambda number: (200, bodies[number % 2])) as port, pytest.raises(WrongAnswer, match="not the expected"):
        run(replace(expected, port=port))


def test_what_goes_wrong_in_the_process_is_told() -> None:
    with server(lambda _: (401, b"{}")) as port, pytest.raises(WrongAnswer, match="401"):
        run_apart(job(port))


def test_an_answer_without_a_length_is_refused() -> None:
    assert content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 12") == 12
    with pytest.raises(WrongAnswer, match="no content-length"):
        content_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked")


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles([float(value) for value in range(100, 0, -1)]) == (50.0, 99.0)
    assert percentiles([3.0]) == (3.0, 3.0)
