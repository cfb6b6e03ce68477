"""Statements that come while others of the same text are under way: they wait for those, and then go together.

Together they take one round trip and one commit, whose wait for the disk costs more than most of our statements. Nobody
waits for company: whoever finds the line free goes at once. Nobody is held up by another's fault either: where they
cannot be run together, each is run alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import asyncpg

MOST = 16
"""Statements in one transaction, which so takes some milliseconds."""

AT_ONCE = 3
"""Transactions of one text: while PostgreSQL waits for the disk in one, others are at work."""

Arguments = Sequence[Any]
Row = asyncpg.Record | None
Run = Callable[[str, Sequence[Arguments]], Awaitable[Sequence[Row]]]
"""Runs a statement once for each of the arguments, all in one transaction; a row for each."""


class Turn(Enum):
    """What one that waits is told, if not its row: run what waits, its own included, or its own alone."""

    LEAD = auto()
    ALONE = auto()


@dataclass(eq=False)
class Pending:
    """One that waits."""

    arguments: Arguments
    told: "asyncio.Future[Row | Turn]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def tell(self, news: Row | Turn) -> None:
        """Unless it was cancelled."""
        if not self.told.done():
            self.told.set_result(news)


@dataclass
class Line:
    """Those of one text. `under_way` counts transactions, also those that are about to begin."""

    under_way: int = 0
    waiting: deque[Pending] = field(default_factory=deque)

    def take(self, most: int) -> list[Pending]:
        """The first who wait, and wait no more."""
        taken: list[Pending] = []
        while self.waiting and len(taken) < most:
            pending = self.waiting.popleft()
            if not pending.told.done():
                taken.append(pending)
        return taken

    def hand_on(self) -> None:
        """Let the next one lead, if there is one."""
        self.under_way -= 1
        for pending in self.take(1):
            self.under_way += 1
            pending.tell(Turn.LEAD)


class Together:
    """Runs statements by `run`, those that wait for each other in one call."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lines: dict[str, Line] = {}

    async def change(self, sql: str, arguments: Arguments) -> Row:
        """Run it; its row. Each text returns exactly one row, which says whether anything was changed."""
        line = self._lines.setdefault(sql, Line())
        if line.under_way < AT_ONCE:
            line.under_way += 1
            return await self._lead(line, sql, arguments)
        pending = Pending(arguments)
        line.waiting.append(pending)
        try:
            news = await pending.told
        except asyncio.CancelledError:
            if not pending.told.cancelled() and pending.told.result() is Turn.LEAD:
                line.hand_on()
            raise
        if news is Turn.LEAD:
            return await self._lead(line, sql, arguments)
        if news is Turn.ALONE:
            return (await self._run(sql, [arguments]))[0]
        return news

    async def _lead(self, line: Line, sql: str, arguments: Arguments) -> Row:
        """Run it with those that wait, then let the next one lead."""
        others = line.take(MOST - 1)
        try:
            row, *rows = await self._run(sql, [arguments, *(other.arguments for other in others)])
        except BaseException as error:
            for other in others:
                other.tell(Turn.ALONE)
            if not others or not isinstance(error, Exception):
                raise
        else:
            for other, found in zip(others, rows, strict=True):
                other.tell(found)
            return row
        finally:
            line.hand_on()
        return (await self._run(sql, [arguments]))[0]
