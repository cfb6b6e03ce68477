"""The tail says when it falls behind, and which transaction it waits for."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from app.live import alarm
from app.live.hints import HintSender
from app.live.records import EventFilter
from app.live.tail import EventTail
from db.queries import events as log
from db.session import Database
from tests.live.events import eventually, take, write

HELD = "a transaction holds up the event log: until it ends, nothing is pushed"
LATE = "the event log is told late"
AGAIN = "the event log is told in time again"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alarms after a tenth of the time."""
    for name in ("HELD_AFTER", "LATE_AFTER", "LOOK_EVERY"):
        monkeypatch.setattr(alarm, name, getattr(alarm, name) / 10)


async def an_id(connection: AsyncConnection) -> int:
    """Let the connection's transaction write; its process."""
    await connection.execute(text("SELECT pg_current_xact_id()"))
    return int(await connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def told(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs if line["event"] in (HELD, LATE, AGAIN)]


@pytest.mark.usefixtures("soon")
async def test_who_holds_the_horizon_is_named_and_each_alarm_is_raised_once(
    database: Database, tail: EventTail
) -> None:
    with capture_logs() as logs:
        async with tail.follow(EventFilter()) as events, database.engine.connect() as holding:
            pid = await an_id(holding)
            await write(database, "held-up")
            await eventually(lambda: tail.lag_seconds > 1.0)
            assert [holder.pid for holder in tail.held_by] == [pid]
            await holding.rollback()
            await take(events, 1)
        await eventually(lambda: not tail.held_by)
    assert told(logs) == [HELD, LATE, AGAIN]
    (held,) = (line for line in logs if line["event"] == HELD)
    assert held["log_level"] == "warning"
    (holder,) = held["held_by"]
    assert (holder["pid"], holder["application_name"], holder["state"]) == (
        pid, "orchestration-hub", "idle in transaction",
    )  # fmt: skip
    assert holder["seconds"] >= alarm.HELD_AFTER


@pytest.mark.usefixtures("soon")
async def test_alarms_that_come_and_go_fill_no_log(
    database: Database, tail: EventTail, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold_up() -> None:
        async with database.engine.connect() as holding:
            await an_id(holding)
            await write(database, "held-up")
            await eventually(lambda: bool(tail.held_by))
            await holding.rollback()
        await eventually(lambda: not tail.held_by)

    with capture_logs() as logs:
        for _ in range(3):
            await hold_up()
        assert told(logs) == [HELD, AGAIN]
        monkeypatch.setattr(alarm, "REPEATED_AFTER", 0.0)
        await hold_up()
    assert told(logs) == [HELD, AGAIN, HELD, AGAIN]


async def test_the_oldest_id_is_named_first_and_not_who_began_first(database: Database, tail: EventTail) -> None:
    async with database.engine.connect() as began_first, database.engine.connect() as wrote_first:
        await began_first.execute(text("SELECT 1"))
        holder, other = await an_id(wrote_first), await an_id(began_first)
        connection = tail._connection
        assert connection is not None
        found = [each.pid for each in await log.holders(connection)]
    assert [pid for pid in found if pid in (holder, other)] == [holder, other]


async def test_a_log_that_is_told_in_time_raises_no_alarm(database: Database, tail: EventTail) -> None:
    with capture_logs() as logs:
        async with tail.follow(EventFilter()) as events:
            await write(database, "a", "b")
            await take(events, 2)
    assert [line for line in logs if line["log_level"] == "warning"] == []


async def test_no_session_of_ours_stays_in_a_transaction_for_long(
    database: Database, tail: EventTail, hints: HintSender
) -> None:
    """A process that hangs in a transaction would hold up the log for everybody."""
    setting = "SELECT current_setting('idle_in_transaction_session_timeout')"
    await write(database, "a hint is sent")
    await eventually(lambda: hints.backend_pid is not None)
    assert tail._connection is not None
    assert tail._readers is not None
    assert hints._connection is not None
    async with database.engine.connect() as connection:
        found = [await connection.scalar(text(setting)), await database.fetch_value(setting)]
    found += [await each.fetchval(setting) for each in (tail._connection, tail._readers, hints._connection)]
    assert found == ["10s"] * 5
