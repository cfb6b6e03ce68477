"""The benchmark of pushing on few sockets and for a moment; and what its client makes of what it is sent."""

import io
import json

import pytest
from rich.console import Console

from tests.benchmarks.fanout_crowd import Recorded
from tests.benchmarks.fanout_frames import Reader, client_frame, frames
from tests.benchmarks.live import (
    STARLETTE,
    STRAWBERRY,
    STRAWBERRY_SQL,
    VARIANTS,
    Plan,
    Variant,
    fan_out_figures,
    run,
)
from tests.benchmarks.live_figures import AtMost
from tests.benchmarks.live_latency import ANSWER, BEGIN, COMMIT, Deliveries, Load, figures, judge, without
from tests.benchmarks.load import WrongAnswer
from tests.benchmarks.rounds import Sample

SMALLEST = Plan(
    sockets=20,
    agents=12,
    rounds=1,
    seconds=0.1,
    idle=0.2,
    load=Load(seconds=1.0),
    variants=VARIANTS[:1],
)


def message(agent: str, version: int, cursor: str, second: int = 0) -> str:
    change = {"cursor": cursor, "version": version, "occurredAt": f"2026-11-22T12:00:{second:02}Z"}
    data = {"agentStateChanged": {**change, "agent": {"agentId": agent}}}
    return json.dumps({"id": "1", "type": "next", "payload": {"data": data}})


def server_frame(payload: bytes, opcode: int = 1) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.rare
@pytest.mark.slow
def test_the_hub_and_its_peers_serve_the_same_to_all_sockets() -> None:
    output = io.StringIO()
    found = run(Console(file=output, width=300), SMALLEST)
    fan_out = [(figure.name, figure.peer, figure.aim) for figure in found if figure.unit == "messages/s"]
    assert fan_out == [
        (f"fan-out to 20 sockets, {what}", peer, aim)
        for what in ("burst", "one event")
        for peer, aim in ((STRAWBERRY, 30.0), (STRAWBERRY_SQL, 30.0), (STARLETTE, 3.5))
    ]
    assert all(figure.value > 0 and figure.peer_value > 0 for figure in found)
    (once,) = (figure for figure in found if figure.unit == "messages")
    assert (once.name, once.value, once.peer_value) == (
        "commit to 20 sockets, 10 events/s, once and in order",
        200,
        200,
    )
    assert [figure.peer_value for figure in found if figure.unit == "ms"] == [15.0, 30.0, 50.0]
    assert "0 messages lost, 0 repeated, 0 out of order" in output.getvalue()
    assert output.getvalue().count("the client used ") == 2
    assert output.getvalue().count("KiB a socket") == 4


def test_each_variant_of_the_hub_has_its_own_aims() -> None:
    variants = (Variant("hub", 30.0, 3.5), Variant("hub, plain ASGI", 15.0, 1.8, {"HUB_SOME": "setting"}))
    rates = {"hub": 90.0, "hub, plain ASGI": 30.0, STRAWBERRY: 2.0, STRAWBERRY_SQL: 1.0, STARLETTE: 20.0}
    found = fan_out_figures("fan-out", variants, {name: Sample(rate) for name, rate in rates.items()})
    assert [(figure.name, figure.ratio, figure.aim) for figure in found] == [
        ("fan-out", 45.0, 30.0),
        ("fan-out", 90.0, 30.0),
        ("fan-out", 4.5, 3.5),
        ("fan-out (hub, plain ASGI)", 15.0, 15.0),
        ("fan-out (hub, plain ASGI)", 30.0, 15.0),
        ("fan-out (hub, plain ASGI)", 1.5, 1.8),
    ]


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536])
def test_frames_of_every_length_are_found_in_a_chunk(size: int) -> None:
    payloads = [b"a" * size, b"b"]
    chunk = b"".join(map(server_frame, payloads))
    assert [chunk[begin:end] for _, begin, end in frames(chunk)] == payloads
    for missing, whole in ((1, 1), (2, 1), (4, 0), (size + 3, 0)):
        assert [chunk[begin:end] for _, begin, end in frames(chunk[:-missing])] == payloads[:whole]


def test_equal_messages_have_one_number_and_an_unfinished_frame_waits() -> None:
    reader = Reader()
    one, other = (server_frame(message("a", version, "c").encode()) for version in (1, 2))
    first = reader.read(one + other + one[:7])
    assert (first.numbers, first.rest) == ((0, 1), one[:7])
    assert reader.read(one + other).numbers == (0, 1)
    assert len(reader.bodies) == 2


def test_what_asks_for_an_answer_gets_it() -> None:
    chunk = server_frame(b"1234", 9) + server_frame(b'{"type":"ping"}') + server_frame(b'{"type":"pong"}')
    read = Reader().read(chunk)
    assert read.numbers == ()
    assert read.replies == client_frame(b"1234", 10) + client_frame(b'{"type":"pong"}')


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (server_frame((4403).to_bytes(2, "big") + b"Forbidden", 8), "closed a socket: 4403 b'Forbidden'"),
        (server_frame(b'{"type":"error","id":"1","payload":[]}'), "the server sent no result"),
        (server_frame(b'{"type":"next","id":"1","payload":{"errors":[]}}'), "the server sent no result"),
        (server_frame(b'{"type":"complete","id":"1"}'), "the server sent no result"),
        (b"\x01\x01a", "in fragments"),
    ],
)
def test_anything_but_a_result_ends_the_measurement(frame: bytes, complaint: str) -> None:
    with pytest.raises(WrongAnswer, match=complaint):
        Reader().read(frame)


BODIES = [message("a", 2, "c1"), message("b", 2, "c2"), message("a", 3, "c3", second=1)]
BEGAN = 1795348800.0
"""Second 0 of the messages, since the epoch."""
COMMITTED = {("a", 2): BEGAN + 0.005, ("b", 2): BEGAN + 0.005, ("a", 3): BEGAN + 1.005}
ANSWERED = {("a", 2): BEGAN + 0.01, ("b", 2): BEGAN + 0.01, ("a", 3): BEGAN + 1.01}


def judged(*orders: list[int]) -> Deliveries:
    moments = [BEGAN + 0.02, BEGAN + 0.03, BEGAN + 1.04]
    arrivals = [[moment] * sum(order.count(number) for order in orders) for number, moment in enumerate(moments)]
    return judge(Recorded(BODIES, arrivals, [(order, 1) for order in orders], 0.0), ANSWERED, COMMITTED)


def test_messages_are_timed_by_three_clocks() -> None:
    found = judged([0, 1, 2], [0, 1, 2])
    assert found.latencies[BEGIN] == pytest.approx([20, 20, 30, 30, 40, 40], abs=0.01)
    assert found.latencies[COMMIT] == pytest.approx([15, 15, 25, 25, 35, 35], abs=0.01)
    assert found.latencies[ANSWER] == pytest.approx([10, 10, 20, 20, 30, 30], abs=0.01)
    assert (found.lost, found.repeated, found.disordered, found.expected) == (0, 0, 0, 6)
    assert [(figure.name, round(figure.value, 1), figure.met) for figure in figures(found, "push")] == [
        ("push, p50", 25.0, False),
        ("push, p95", 35.0, False),
        ("push, p99", 35.0, True),
        ("push, once and in order", 6, True),
    ]


@pytest.mark.parametrize(
    ("order", "faults"),
    [([0, 2], (1, 0, 0)), ([0, 1, 1, 2], (0, 1, 2)), ([2, 1, 0], (0, 0, 3)), ([], (3, 0, 0)), ([1, 0, 2], (0, 0, 1))],
)
def test_what_is_lost_repeated_or_out_of_order_is_counted(order: list[int], faults: tuple[int, int, int]) -> None:
    found = judged([0, 1, 2], order)
    assert (found.lost, found.repeated, found.disordered) == faults
    assert found.expected == 6
    assert not figures(found, "push")[-1].met


def test_late_messages_of_before_the_record_are_left_out() -> None:
    recorded = Recorded(BODIES, [[BEGAN], [BEGAN + 1], [BEGAN + 2]], [([0, 1, 2], 1)], 0.0)
    left = without(recorded, {("a", 2)})
    assert left == Recorded(BODIES, [[], [BEGAN + 1], [BEGAN + 2]], [([1, 2], 1)], 0.0)


def test_a_limit_is_met_from_below() -> None:
    assert AtMost("push", 14.9, "ms", "the limit", 15.0, 1.0).met
    assert not AtMost("push", 15.1, "ms", "the limit", 15.0, 1.0).met
