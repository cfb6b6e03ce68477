"""The tail says when it falls behind, and which transaction it waits for."""

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.live import alarm
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.session import Database
from tests.live.events import eventually, take, write


async def test_who_holds_the_horizon_is_named_once(
    database: Database, tail: EventTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "ALARM_AFTER", 0.1)
    with capture_logs() as logs:
        async with tail.follow(EventFilter()) as events, database.engine.connect() as holding:
            pid = await holding.scalar(text("SELECT pg_backend_pid()"))
            await holding.execute(text("SELECT pg_current_xact_id()"))
            await write(database, "held-up")
            await eventually(lambda: bool(tail.held_by))
            assert (tail.held_by[0].pid, tail.held_by[0].state) == (pid, "idle in transaction")
            assert tail.held_by[0].application_name
            await holding.rollback()
            await take(events, 1)
        await eventually(lambda: not tail.held_by)
    told = [line["event"] for line in logs if line["event"].startswith("the event log")]
    assert told == [
        "the event log is told late: subscribers wait for transactions that have written and not ended",
        "the event log is told in time again",
    ]


async def test_a_log_that_is_told_in_time_raises_no_alarm(database: Database, tail: EventTail) -> None:
    with capture_logs() as logs:
        async with tail.follow(EventFilter()) as events:
            await write(database, "a", "b")
            await take(events, 2)
    assert [line for line in logs if line["log_level"] == "warning"] == []
