"""Statements that share a transaction: who waits, who goes with whom, and that nobody suffers from another's fault."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from app.domain.errors import InvalidInput
from app.domain.ids import new_id
from db.session import Database
from db.together import AT_ONCE, MOST, Together

ADD = "INSERT INTO tasks (task_id, title) VALUES ($1, $2) RETURNING title, xmin::text"


class Server:
    """Answers each statement with its own argument, when it is let."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []
        self.turns = asyncio.Semaphore(0)

    async def run(self, _sql: str, many: Sequence[Sequence[Any]]) -> Any:
        arguments = [given[0] for given in many]
        self.calls.append(arguments)
        await self.turns.acquire()
        if "bad" in arguments:
            raise ValueError(arguments)
        return arguments


@pytest.fixture
def server() -> Server:
    return Server()


async def begin(together: Together, arguments: Sequence[Any]) -> list["asyncio.Task[Any]"]:
    """Let them come one after the other."""
    begun = [asyncio.create_task(together.change("UPDATE", [argument])) for argument in arguments]
    await asyncio.sleep(0)
    return begun


def release(server: Server) -> None:
    """Let all of them end."""
    for _ in range(100):
        server.turns.release()


async def let_one(server: Server, call: int) -> None:
    """Let the first of those under way end, and wait for the call of this number to begin."""
    server.turns.release()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(server.calls) == call + 1


async def test_who_finds_the_line_free_goes_at_once_and_the_others_together(server: Server) -> None:
    asked = [*range(AT_ONCE + 3)]
    tasks = await begin(Together(server.run), asked)
    assert server.calls == [[number] for number in range(AT_ONCE)]
    await let_one(server, AT_ONCE)
    assert server.calls[AT_ONCE:] == [asked[AT_ONCE:]]
    release(server)
    assert await asyncio.gather(*tasks) == asked
    assert len(server.calls) == AT_ONCE + 1


async def test_a_transaction_takes_so_many_at_most(server: Server) -> None:
    asked = [*range(AT_ONCE + MOST + 2)]
    tasks = await begin(Together(server.run), asked)
    await let_one(server, AT_ONCE)
    release(server)
    assert await asyncio.gather(*tasks) == asked
    assert [len(call) for call in server.calls] == [*[1] * AT_ONCE, MOST, *[1] * 2]


async def test_where_one_cannot_be_run_the_others_are(server: Server) -> None:
    tasks = await begin(Together(server.run), [*range(AT_ONCE), "one", "bad", "two"])
    await let_one(server, AT_ONCE)
    release(server)
    *before, one, bad, two = await asyncio.gather(*tasks, return_exceptions=True)
    assert (before, one, two) == ([*range(AT_ONCE)], "one", "two")
    assert isinstance(bad, ValueError)
    assert sorted(map(str, server.calls[AT_ONCE:])) == ["['bad']", "['one', 'bad', 'two']", "['one']", "['two']"]


@pytest.mark.parametrize("cancelled", [0, AT_ONCE, AT_ONCE + 1], ids=["under way", "to lead", "waiting"])
async def test_one_that_is_cancelled_takes_nobody_along(server: Server, cancelled: int) -> None:
    asked = [*range(AT_ONCE + 3)]
    together = Together(server.run)
    tasks = await begin(together, asked)
    tasks[cancelled].cancel()
    await asyncio.sleep(0)
    release(server)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found.pop(cancelled), asyncio.CancelledError)
    assert found == [number for number in asked if number != cancelled]
    later: Any = await together.change("UPDATE", ["later"])
    assert later == "later"


async def test_one_that_was_told_to_lead_and_is_cancelled_hands_on(server: Server) -> None:
    together = Together(server.run)
    tasks = await begin(together, [*range(AT_ONCE), "led", "next"])
    release(server)
    while not all(task.done() for task in tasks[:AT_ONCE]):
        await asyncio.sleep(0)
        tasks[AT_ONCE].cancel()
    await asyncio.wait(tasks)
    assert tasks[AT_ONCE].cancelled()
    assert tasks[-1].result() == "next"


async def test_they_are_one_transaction_in_the_database(database: Database) -> None:
    titles = [f"task {n}" for n in range(AT_ONCE + 12)]
    rows = await asyncio.gather(*(database.change(ADD, [new_id(), title]) for title in titles))
    assert [row and row["title"] for row in rows] == titles
    # those that ended in the same moment have each let another one lead
    assert AT_ONCE < len({row["xmin"] for row in rows if row}) <= 2 * AT_ONCE


async def test_bad_input_of_one_is_refused_and_the_rest_is_written(database: Database) -> None:
    titles = [*(f"task {n}" for n in range(AT_ONCE)), "before", "", "after"]
    found = await asyncio.gather(*(database.change(ADD, [new_id(), title]) for title in titles), return_exceptions=True)
    assert [title for title, row in zip(titles, found, strict=True) if isinstance(row, InvalidInput)] == [""]
    assert await database.fetch_value("SELECT count(*) FROM tasks") == AT_ONCE + 2
