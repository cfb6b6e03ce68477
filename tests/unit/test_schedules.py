"""When schedules come due: across the changes of clocks, after an outage, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.errors import InvalidInput
from app.domain.schedules import (
    RUN_ALL_MAX,
    Firing,
    MissedRuns,
    Timing,
    check_timing,
    fire,
    first_run,
    time_zones,
)

BERLIN, HOWE, APIA = "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"
HOURLY = Timing("0 * * * *")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("expression", "zone", "start", "runs"),
    [
        # 02:30 is not there on the 29th: the run comes right after the gap, at 03:00, and the next day as ever
        ("30 2 * * *", BERLIN, utc(2026, 3, 28, 12), [utc(2026, 3, 29, 1), utc(2026, 3, 30, 0, 30)]),
        # 02:30 comes twice on the 25th: the first is it
        ("30 2 * * *", BERLIN, utc(2026, 10, 24, 12), [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]),
        # asked between the two, there is none left that day
        ("30 2 * * *", BERLIN, utc(2026, 10, 25, 1, 10), [utc(2026, 10, 26, 1, 30)]),
        # every hour means every hour that passes, three of them from 01:00 to 03:00
        ("0 * * * *", BERLIN, utc(2026, 10, 24, 23), [utc(2026, 10, 25, hour) for hour in range(3)]),
        ("0 * * * *", BERLIN, utc(2026, 3, 29, 0), [utc(2026, 3, 29, hour) for hour in (1, 2)]),
        # a zone whose clock moves by half an hour
        ("15 2 * * *", HOWE, utc(2026, 10, 3, 12), [utc(2026, 10, 3, 15, 30), utc(2026, 10, 4, 15, 15)]),
        # a day that a zone left out: its run comes right after it
        ("0 9 * * *", APIA, utc(2011, 12, 29, 20), [utc(2011, 12, 30, 10), utc(2011, 12, 30, 19)]),
        ("0 7 * * MON-FRI", BERLIN, utc(2026, 11, 20, 12), [utc(2026, 11, 23, 6), utc(2026, 11, 24, 6)]),
    ],
)
def test_runs_by_cron(expression: str, zone: str, start: datetime, runs: list[datetime]) -> None:
    timing = Timing(expression, zone)
    assert timing.upcoming(start, len(runs)) == runs
    for run in runs:
        assert timing.latest(run) == run
    assert timing.latest(runs[-1] + timedelta(seconds=1), len(runs) - 1) == runs[0]


def test_a_year_of_runs_is_the_same_forwards_and_backwards() -> None:
    for expression in ("30 2 * * *", "*/20 2 * * *", "5 1-3 * * SUN"):
        timing = Timing(expression, BERLIN)
        runs = timing.upcoming(utc(2026, 1, 1), 400)
        assert runs == sorted(set(runs))
        end = runs[-1]
        assert [timing.latest(end, back) for back in (0, 1, 30, 200)] == [runs[-1 - back] for back in (0, 1, 30, 200)]


def test_runs_by_interval_are_anchored() -> None:
    timing = Timing(interval_seconds=90, start_at=NOON)
    assert timing.upcoming(NOON - timedelta(days=1), 2) == [NOON, NOON + timedelta(seconds=90)]
    assert timing.after(NOON + timedelta(seconds=100)) == NOON + timedelta(seconds=180)
    assert timing.latest(NOON - timedelta(seconds=1)) is None
    assert timing.latest(NOON + timedelta(seconds=269)) == NOON + timedelta(seconds=180)
    assert timing.latest(NOON + timedelta(seconds=269), 7) == NOON


def test_a_single_run() -> None:
    timing = Timing(start_at=NOON)
    assert timing.upcoming(NOON - timedelta(seconds=1)) == [NOON]
    assert timing.after(NOON) is None
    assert timing.latest(NOON - timedelta(seconds=1)) is None
    with pytest.raises(InvalidInput, match="no moment that is still to come") as refused:
        first_run(timing, NOON)
    assert refused.value.field == "input.startAt"


HOUR = timedelta(hours=1)
LATE = NOON + timedelta(minutes=20)


@pytest.mark.parametrize(
    ("policy", "due", "now", "expected"),
    [
        # in time, or nearly so: the policy does not matter
        *[(policy, NOON, NOON + timedelta(seconds=60), Firing(NOON, NOON + HOUR)) for policy in MissedRuns],
        (MissedRuns.SKIP, NOON, LATE, Firing(None, NOON + HOUR, NOON)),
        (MissedRuns.SKIP, NOON - 5 * HOUR, LATE, Firing(None, NOON + HOUR, NOON - 5 * HOUR)),
        (MissedRuns.SKIP, NOON - HOUR, NOON, Firing(NOON, NOON + HOUR, NOON - HOUR)),
        (MissedRuns.RUN_ONCE, NOON, LATE, Firing(NOON, NOON + HOUR)),
        (MissedRuns.RUN_ONCE, NOON - 5 * HOUR, LATE, Firing(NOON, NOON + HOUR, NOON - 5 * HOUR)),
        (MissedRuns.RUN_ALL, NOON - 5 * HOUR, LATE, Firing(NOON - 5 * HOUR, NOON - 4 * HOUR)),
        (
            MissedRuns.RUN_ALL,
            NOON - 500 * HOUR,
            LATE,
            Firing(
                NOON - (RUN_ALL_MAX - 1) * HOUR, NOON - (RUN_ALL_MAX - 2) * HOUR, NOON - 500 * HOUR
            ),
        ),
    ],
)  # fmt: skip
def test_missed_runs(policy: MissedRuns, due: datetime, now: datetime, expected: Firing) -> None:
    assert fire(HOURLY, policy, due, now) == expected


def test_a_missed_single_run() -> None:
    once = Timing(start_at=NOON)
    assert fire(once, MissedRuns.RUN_ONCE, NOON, LATE) == Firing(NOON, None)
    assert fire(once, MissedRuns.RUN_ALL, NOON, LATE) == Firing(NOON, None)
    assert fire(once, MissedRuns.SKIP, NOON, LATE) == Firing(None, None, NOON)


def test_all_that_were_missed_are_run_one_by_one() -> None:
    due: datetime | None = NOON - 3 * HOUR
    runs = []
    while due is not None and due <= LATE:
        firing = fire(HOURLY, MissedRuns.RUN_ALL, due, LATE)
        runs.append(firing.run)
        due = firing.following
    assert runs == [NOON - 3 * HOUR, NOON - 2 * HOUR, NOON - HOUR, NOON]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "cronExpression"),
        ({"cron_expression": "* * * * *", "interval_seconds": 5}, "cronExpression"),
        ({"cron_expression": "* * * * *", "start_at": NOON}, "cronExpression"),
        *[
            ({"cron_expression": wrong}, "cronExpression")
            for wrong in (
                "",
                "* * * *",
                "* * * * * *",
                "61 * * * *",
                "0 0 31 2 *",
                "a b c d e",
                "*/0 * * * *",
                "@daily",
            )
        ],
        ({"interval_seconds": -1}, "intervalSeconds"),
        ({"interval_seconds": 0}, "intervalSeconds"),
        ({"cron_expression": "* * * * *", "interval_seconds": 0}, "intervalSeconds"),
        ({"interval_seconds": 10**9}, "intervalSeconds"),
        *[
            ({"start_at": NOON, "time_zone": wrong}, "timeZone")
            for wrong in ("", "Europe", "europe/berlin", "../etc/passwd", "Berlin", "\x00")
        ],
    ],
)
def test_what_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_timing(Timing(**given))
    assert refused.value.field == f"input.{field}"


def test_what_is_taken() -> None:
    for timing in (
        Timing("0 7 * * MON-FRI", BERLIN),
        Timing("0 0 L * *"),
        Timing(interval_seconds=1),
        Timing(interval_seconds=60, start_at=NOON),
        Timing(start_at=NOON),
    ):
        assert check_timing(timing) is timing
    assert {"UTC", BERLIN, HOWE, APIA} <= time_zones()


def test_an_expression_that_never_comes() -> None:
    with pytest.raises(InvalidInput) as refused:
        first_run(check_timing(Timing("0 0 */31 * MON#3")), NOON)
    assert refused.value.field == "input.cronExpression"
