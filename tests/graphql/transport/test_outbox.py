"""The outbox by itself: order, merging, one write a tick, bounds."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from graphql_schema.streams.delivery import Payload
from graphql_schema.transport.channels import FRAMES_KEPT, AsgiChannel, Wrapping, next_message
from graphql_schema.transport.endings import Ending, SocketLimits
from graphql_schema.transport.outbox import WRITE_BYTES, Outbox
from graphql_schema.transport.uvicorn_protocols import frame

LIMITS = SocketLimits(waiting_messages=8, waiting_bytes=200_000, stall_patience=0.05)


class Paper:
    """A channel that keeps what is written."""

    def __init__(self) -> None:
        self.writable = True
        self.writes: list[list[bytes]] = []
        self.pause_after = 1_000

    def listen(self, resumed: Callable[[], None], lost: Callable[[], None]) -> None:
        return

    def wrapping(self, operation_id: str) -> Wrapping:
        return Wrapping(operation_id, lambda body: b"%b:%b" % (operation_id.encode(), body))

    def wire(self, message: bytes) -> bytes:
        return message

    def write(self, pieces: Sequence[bytes]) -> None:
        assert self.writable
        self.writes.append(list(pieces))
        self.pause_after -= 1
        self.writable = self.pause_after > 0

    async def close(self, ending: Ending | None, patience: float) -> None:
        self.writable = False


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def overruns() -> list[str]:
    return []


@pytest.fixture
async def outbox(paper: Paper, overruns: list[str]) -> Outbox:
    return Outbox(paper, LIMITS, lambda: overruns.append("overrun"))


def payloads(*bodies: str, latest_of: str | None = None) -> list[Payload]:
    return [Payload(body.encode(), latest_of) for body in bodies]


async def test_what_comes_in_one_tick_is_one_write_in_order(outbox: Outbox, paper: Paper) -> None:
    outbox.say(b"ack")
    outbox.deliver(paper.wrapping("1"), payloads("a", "b"))
    outbox.deliver(paper.wrapping("2"), payloads("c"))
    outbox.say(b"complete")
    assert paper.writes == []
    await asyncio.sleep(0)
    assert paper.writes == [[b"ack", b"1:a", b"1:b", b"2:c", b"complete"]]
    assert outbox.waiting == (0, 0)


async def test_what_waits_is_left_out_for_later_of_the_same_which_stands_where_it_came(
    outbox: Outbox, paper: Paper
) -> None:
    paper.writable = False
    one, other = paper.wrapping("1"), paper.wrapping("2")
    outbox.deliver(one, payloads("old", latest_of="x"))
    outbox.deliver(one, payloads("event"))
    outbox.deliver(other, payloads("theirs", latest_of="x"))
    for number in range(50):
        outbox.deliver(one, payloads(f"new-{number}", latest_of="x"))
    assert outbox.waiting == (3, len("new-49") + len("event") + len("theirs"))
    paper.writable = True
    outbox.flush()
    assert paper.writes == [[b"1:event", b"2:theirs", b"1:new-49"]]
    outbox.deliver(one, payloads("later", latest_of="x"))
    await asyncio.sleep(0)
    assert paper.writes[1:] == [[b"1:later"]]


async def test_over_the_bounds_the_peer_is_given_up_and_nothing_is_kept(
    outbox: Outbox, paper: Paper, overruns: list[str]
) -> None:
    paper.writable = False
    for number in range(9):
        outbox.deliver(paper.wrapping("1"), payloads(str(number)))
    assert overruns == []
    outbox.deliver(paper.wrapping("1"), payloads("one too many"))
    assert overruns == ["overrun"]
    assert outbox.waiting == (0, 0)
    outbox.deliver(paper.wrapping("1"), payloads("late"))
    outbox.say(b"late")
    assert (outbox.waiting, overruns) == ((0, 0), ["overrun"])
    await asyncio.wait_for(outbox.ready(), 1)


async def test_one_large_delivery_is_taken_but_not_a_second(outbox: Outbox, paper: Paper, overruns: list[str]) -> None:
    paper.writable = False
    outbox.deliver(paper.wrapping("1"), [Payload(b"x" * 300_000)])
    assert overruns == []
    outbox.deliver(paper.wrapping("1"), payloads("a"))
    assert overruns == ["overrun"]


async def test_a_peer_that_takes_nothing_for_too_long_is_given_up(
    outbox: Outbox, paper: Paper, overruns: list[str]
) -> None:
    paper.pause_after = 1
    outbox.say(b"a")
    await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert overruns == []  # nothing waits for it
    outbox.say(b"b")
    await asyncio.sleep(0.1)
    assert overruns == ["overrun"]


async def test_a_peer_that_takes_little_by_little_is_waited_for(paper: Paper, overruns: list[str]) -> None:
    outbox = Outbox(paper, SocketLimits(waiting_bytes=200_000), lambda: overruns.append("overrun"))
    paper.writable = False
    outbox.deliver(paper.wrapping("1"), [Payload(b"x" * WRITE_BYTES) for _ in range(3)])
    ready = asyncio.create_task(outbox.ready())
    for left in (2, 1, 0):
        await asyncio.sleep(0)
        assert not ready.done()
        paper.writable, paper.pause_after = True, 1
        outbox.flush()
        assert outbox.waiting[0] == left
    await asyncio.wait_for(ready, 1)
    assert [len(write) for write in paper.writes] == [1, 1, 1]
    assert overruns == []


async def test_what_was_dropped_is_not_sent(outbox: Outbox, paper: Paper) -> None:
    kept, dropped = paper.wrapping("1"), paper.wrapping("1")
    outbox.deliver(dropped, payloads("a", "b"))
    outbox.deliver(kept, payloads("c"))
    outbox.drop(dropped)
    await outbox.sent()
    assert paper.writes == [[b"1:c"]]


async def test_nobody_is_given_up_for_what_was_dropped(outbox: Outbox, paper: Paper, overruns: list[str]) -> None:
    paper.writable = False
    wrapping = paper.wrapping("1")
    outbox.deliver(wrapping, payloads("a", "b"))
    outbox.drop(wrapping)
    await asyncio.sleep(0.1)
    assert (outbox.waiting, overruns) == ((0, 0), [])


def test_a_payload_is_wrapped_once_for_equal_keys_and_few_are_kept() -> None:
    made: list[bytes] = []

    def wrap(body: bytes) -> bytes:
        made.append(body)
        return b"[%b]" % body

    payload = Payload(b"body")
    assert {id(Wrapping("same", wrap).of(payload)) for _ in range(100)} == {id(payload.frames["same"])}
    assert made == [b"body"]
    for number in range(100):
        assert Wrapping(str(number), wrap).of(payload) == b"[body]"
    assert len(payload.frames) == FRAMES_KEPT


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_frames_are_those_of_the_protocol(length: int) -> None:
    reader = StreamReader()
    reader.feed_data(frame(b"x" * length) + b"rest")
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as stopped:
        next(parsing)
    assert stopped.value.value == Frame(Opcode.TEXT, b"x" * length)


def test_a_next_message_is_what_json_would_make_of_it() -> None:
    message = next_message('an "id" \u00e9')(b'{"data":null}')
    assert message == '{"id":"an \\"id\\" \u00e9","type":"next","payload":{"data":null}}'.encode()


class Server:
    """An ASGI server's `send`, whose peer reads when it is let."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent: list[Any] = []
        self.gone = False

    async def send(self, event: Any) -> None:
        await self.reads.wait()
        if self.gone:
            raise OSError
        self.sent.append(event)


async def test_a_task_is_made_only_for_a_send_that_waits() -> None:
    server = Server()
    channel = AsgiChannel(server.send, lambda pieces: [{"body": piece} for piece in pieces])
    told: list[str] = []
    channel.listen(lambda: told.append("resumed"), lambda: told.append("lost"))
    before = asyncio.all_tasks()
    channel.write([b"1", b"2"])
    assert (len(server.sent), channel.writable, asyncio.all_tasks()) == (2, True, before)
    server.reads.clear()
    channel.write([b"3", b"4"])
    assert (len(server.sent), channel.writable, len(asyncio.all_tasks() - before)) == (2, False, 1)
    server.reads.set()
    await asyncio.sleep(0.01)
    assert [event["body"] for event in server.sent] == [b"1", b"2", b"3", b"4"]
    assert (told, channel.writable, asyncio.all_tasks()) == (["resumed"], True, before)
    server.reads.clear()
    channel.write([b"5"])
    server.gone = True
    server.reads.set()
    await asyncio.sleep(0.01)
    assert (told, channel.writable, asyncio.all_tasks()) == (["resumed", "lost"], False, before)


async def test_a_send_that_waits_ends_with_its_channel() -> None:
    server = Server()
    channel = AsgiChannel(server.send, lambda pieces: [{"body": piece} for piece in pieces])
    before = asyncio.all_tasks()
    server.reads.clear()
    channel.write([b"1", b"2"])
    await channel.stop()
    server.reads.set()
    await asyncio.sleep(0.01)
    assert (server.sent, channel.writable, asyncio.all_tasks()) == ([], False, before)
