"""The rules of agents, tasks and metrics in the domain; tests/services and tests/db hold them at the other levels."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.agents import (
    AGENT_MACHINE,
    CONCURRENCY,
    FIGURE_BYTES,
    SETTABLE,
    AgentStatus,
    check_figures,
    check_settable,
    is_agent_id,
    status_by_load,
)
from app.domain.errors import Blocked, HubError, IllegalTransition, InvalidInput
from app.domain.metrics import AMOUNT
from app.domain.rules import PERCENT, SCORE, Number, Range
from app.domain.tasks import TaskStatus, require_retryable


@pytest.mark.parametrize("status", AgentStatus)
def test_only_some_statuses_of_an_agent_can_be_set(status: AgentStatus) -> None:
    if status in SETTABLE:
        check_settable(status)
        return
    with pytest.raises(InvalidInput, match=f"{status.upper()} follows from the agent's tasks"):
        check_settable(status)


def test_an_agents_status_follows_its_load() -> None:
    found = [status_by_load(held, 2) for held in range(4)]
    assert found == [AgentStatus.IDLE, AgentStatus.ACTIVE, AgentStatus.BUSY, AgentStatus.BUSY]
    assert all(AGENT_MACHINE.sources_of(status) for status in found)


def test_ids_that_belong_to_no_agent() -> None:
    assert is_agent_id("john-pm")
    assert not is_agent_id("people")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (TaskStatus.FAILED, None),
        (TaskStatus.PENDING, IllegalTransition),
        (TaskStatus.COMPLETED, IllegalTransition),
        (TaskStatus.CANCELLED, IllegalTransition),
        (TaskStatus.ASSIGNED, Blocked),
        (TaskStatus.RUNNING, Blocked),
    ],
)
def test_only_what_failed_is_retried(status: TaskStatus, error: type[HubError] | None) -> None:
    if error is None:
        require_retryable(status)
        return
    with pytest.raises(error):
        require_retryable(status)


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        (CONCURRENCY, [1, 64], [0, 65, -1]),
        (PERCENT, [Decimal(0), Decimal(100)], [Decimal("-0.01"), Decimal("100.01"), Decimal("NaN")]),
        (SCORE, [Decimal(0), Decimal(10)], [Decimal("-0.01"), Decimal("10.01"), Decimal("Infinity")]),
        (AMOUNT, [Decimal(0), Decimal(99_999_999_999)], [Decimal(-1), Decimal(100_000_000_000), Decimal("NaN")]),
    ],
    ids=["concurrency", "percent", "score", "amount"],
)
def test_ranges(limits: Range, inside: list[Number], outside: list[Number]) -> None:
    for value in inside:
        limits.check("x", value)
    for value in outside:
        with pytest.raises(InvalidInput):
            limits.check("x", value)


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"cpu": 1.5, "ok": True, "none": None},
        {"text": "x" * 1_000},
        {"é" * 100: [1, "a", None]},
        {"group": {"a": {"b": 1}}},
    ],
    ids=["none", "plain", "text", "name", "groups"],
)
def test_figures(figures: dict[str, Any]) -> None:
    assert check_figures("resourceUtilization", figures) == figures


def test_a_figure_is_bounded_in_bytes() -> None:
    group = {"a": "x" * (FIGURE_BYTES - len('{"a":""}'))}
    assert check_figures("resourceUtilization", {"group": group}) == {"group": group}
    with pytest.raises(InvalidInput, match=r"resourceUtilization\.group has more than 4096 bytes"):
        check_figures("resourceUtilization", {"group": {"a": group["a"] + "x"}})
