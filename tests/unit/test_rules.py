"""The rules of the domain: each refuses what it must and lets the rest pass."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain.agents import check_agent_id
from app.domain.errors import InvalidInput
from app.domain.ids import new_id, parse_id
from app.domain.metrics import AHEAD, RETENTION, check_measurement_time
from app.domain.quality_gates import lookup, run_check
from app.domain.rules import JSON_MAX_DEPTH, MONEY, SCORE, TEN_POINT, bounded_json, required_text

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize("value", ["john-pm", "james-dev", "a-1", "a1-b2-c3"])
def test_agent_ids_that_follow_the_convention(value: str) -> None:
    assert check_agent_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "john",
        "John-pm",
        "john_pm",
        "-pm",
        "john-",
        "1john-pm",
        "john--pm",
        "john-pm\n",
        "jöhn-pm",
        "a-" + "b" * 100,
    ],
)
def test_agent_ids_that_do_not(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_agent_id(value)
    assert caught.value.field == "input.agentId"


@pytest.mark.parametrize("value", [1, 10, None])
def test_range_holds_its_ends(value: int | None) -> None:
    TEN_POINT.check("confidenceScore", value)


@pytest.mark.parametrize("value", [0, 11, -1])
def test_range_refuses_beyond(value: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 10"):
        TEN_POINT.check("confidenceScore", value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf"), Decimal("-0.01")])
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        MONEY.check("estimatedCost", value)
    with pytest.raises(InvalidInput):
        SCORE.check("score", value)


@pytest.mark.parametrize("value", ["", "   ", "\n\t", "a\x00b", "\ud800"])
def test_texts_that_cannot_be_stored(value: str) -> None:
    with pytest.raises(InvalidInput):
        required_text("reasoningProcess", value)


def test_json_is_bounded_in_depth_size_and_kind() -> None:
    deep: Any = 1
    for _ in range(JSON_MAX_DEPTH):
        deep = [deep]
    assert bounded_json("input", deep) is deep
    too_long_ints = ([10**24], [-(2**63) - 1])
    for bad in (
        [deep],
        list(range(30_000)),
        {"a\x00": 1},
        ["\x00"],
        [float("nan")],
        {"x": float("inf")},
        *too_long_ints,
    ):
        with pytest.raises(InvalidInput):
            bounded_json("input", bad)


def test_ids_rise_with_time_and_bad_ones_are_refused() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(ids)
    assert parse_id("taskId", str(ids[0])) == ids[0]
    with pytest.raises(InvalidInput) as caught:
        parse_id("taskId", "7")
    assert caught.value.field == "input.taskId"


@pytest.mark.parametrize("age", [timedelta(0), RETENTION - timedelta(seconds=1), -AHEAD])
def test_measurement_times_within_the_window(age: timedelta) -> None:
    check_measurement_time("measurementTime", NOW - age, NOW)


@pytest.mark.parametrize("age", [RETENTION, RETENTION + timedelta(days=1), -AHEAD - timedelta(seconds=1)])
def test_measurement_times_outside(age: timedelta) -> None:
    with pytest.raises(InvalidInput, match="no older than 90 days"):
        check_measurement_time("measurementTime", NOW - age, NOW)


def test_checks_measure_what_is_there() -> None:
    results = {"audits": {"lint": {"findings": 7, "clean": True, "files": [{"n": 3}]}}}
    assert lookup("audits.lint.files.0.n", results) == 3
    assert lookup("audits.lint.files.9.n", results) is None
    passed = run_check("lint", "audits.lint.findings", 7, None, results)
    assert passed == {
        "name": "lint",
        "measure": "audits.lint.findings",
        "measured": 7,
        "at_most": 7,
        "at_least": None,
        "passed": True,
    }
    assert not run_check("lint", "audits.lint.findings", 6, None, results)["passed"]
    assert not run_check("lint", "audits.lint.findings", None, 8, results)["passed"]
    assert not run_check("lint", "audits.lint.clean", 9, None, results)["passed"]
    assert not run_check("lint", "audits.types.errors", 9, None, results)["passed"]
