"""What the tests of the tail share: a started tail, and short ways to write events."""

from collections.abc import AsyncIterator

import pytest

from app.live.hints import HintSender
from app.live.tail import EventTail
from db.session import Database


@pytest.fixture
async def hints(database: Database) -> AsyncIterator[HintSender]:
    """Hints for the commits of `database`."""
    sender = HintSender(database)
    await sender.start()
    yield sender
    await sender.stop()


@pytest.fixture
async def tail(database_url: str, hints: HintSender) -> AsyncIterator[EventTail]:
    """A tail at the end of the log, woken by `hints`."""
    tail = EventTail(database_url, hints)
    await tail.start()
    yield tail
    await tail.stop()
