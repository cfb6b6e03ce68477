"""The interval over which a decision's evidence is computed, and gates' checks, at their edges."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.decisions import computed_interval
from app.domain.errors import InvalidInput
from app.domain.gate_checks import MeasuredCheck, merge_checks
from app.domain.quality_gates import check_result, run_check

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
DAYS, MINUTES = timedelta(days=90), timedelta(minutes=5)


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        (NOW - DAYS + TICK, NOW, NOW),
        (NOW, NOW, NOW),
        (NOW - MINUTES, NOW - TICK, NOW - TICK),
        (NOW - MINUTES, NOW + MINUTES, NOW),
    ],
)
def test_an_interval_within_the_retention_ends_by_now(start: datetime, end: datetime, kept: datetime) -> None:
    assert computed_interval("evidence.0", start, end, NOW) == (start, kept)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (NOW - DAYS, NOW, "intervalStart"),
        (NOW, NOW + MINUTES + TICK, "intervalEnd"),
        (NOW + TICK, NOW + MINUTES, "intervalEnd"),
    ],
)
def test_an_interval_beyond_it_is_refused(start: datetime, end: datetime, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        computed_interval("evidence.0", start, end, NOW)
    assert caught.value.field == f"input.evidence.0.{field}"


@pytest.mark.parametrize(
    ("measured", "at_most", "at_least", "passed"),
    [
        (3, 3, 3, True),
        (3, 2.999, None, False),
        (3, None, 3.001, False),
        (None, 3, None, False),
        (3, None, None, True),
    ],
)
def test_one_rule_says_whether_a_check_passed(
    measured: float | None, at_most: float | None, at_least: float | None, passed: bool
) -> None:
    assert check_result("n", None, measured, at_most, at_least)["passed"] is passed
    assert run_check("n", "a.b", at_most, at_least, {"a": {"b": measured}})["passed"] is passed


def test_whole_numbers_stay_whole_and_the_rest_exact() -> None:
    given = [3.0, 0.1, -0.0, 2.0**53, 2.0**60, 1e300]
    checks = merge_checks([], [MeasuredCheck(f"c{index}", one, at_least=0.0) for index, one in enumerate(given)])
    assert [check["measured"] for check in checks] == given
    assert [type(check["measured"]) for check in checks] == [int, float, int, int, float, float]
