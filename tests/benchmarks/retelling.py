"""Whether two answers tell the same, where contenders write values and aggregates in forms of their own.

Both are brought into one form: every number an exact decimal of six places, every time one in UTC, enum values in small
letters, names in the order of the alphabet, groups in that of their keys. What is left must be equal, value for value,
on every level.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

NUMBER = re.compile(r"-?\d+(\.\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ENUM_VALUE = re.compile(r"[A-Z]+(_[A-Z]+)*")
PLACES = Decimal("0.000001")
AGGREGATES = "groupedAggregates"
FIGURES = {"sum": "sum", "average": "avg", "max": "max", "min": "min"}
"""What pg-aggregates calls the figures of a group, and what the hub calls them."""


def plain(answer: Any) -> Any:
    """An answer of the hub in the common form."""
    if isinstance(answer, dict):
        return {name: _groups(value) if name == "groups" else plain(value) for name, value in sorted(answer.items())}
    return [plain(value) for value in answer] if isinstance(answer, list) else _value(answer)


def plain_postgraphile(answer: Any) -> Any:
    """An answer of PostGraphile in the common form."""
    return plain(_with_groups(answer))


def _with_groups(answer: Any) -> Any:
    """Its grouped aggregates told as the hub tells groups."""
    if isinstance(answer, list):
        return [_with_groups(value) for value in answer]
    if not isinstance(answer, dict):
        return answer
    told = {name: _with_groups(value) for name, value in answer.items() if name != AGGREGATES}
    return {**told, "groups": [_group(each) for each in answer[AGGREGATES]]} if AGGREGATES in answer else told


def _group(told: Mapping[str, Any]) -> dict[str, Any]:
    """From figures with their columns to columns with their figures."""
    (count,) = told["count"].values()
    group: dict[str, Any] = {"key": dict(enumerate(told["keys"])), "count": count}
    for name, columns in told.items():
        for column, value in columns.items() if name in FIGURES else ():
            group.setdefault(column, {})[FIGURES[name]] = value
    return group


def _groups(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By their keys, which are known by their place alone."""
    found = [{**plain(group), "key": [_value(part) for part in group["key"].values()]} for group in groups]
    return sorted(found, key=lambda group: str(group["key"]))


def _value(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(str(value))
    if not isinstance(value, str):
        return value
    if NUMBER.fullmatch(value):
        return _number(value)
    if TIME.fullmatch(value):
        return datetime.fromisoformat(value).astimezone(UTC)
    return value.lower() if ENUM_VALUE.fullmatch(value) else value


def _number(digits: str) -> Decimal:
    return Decimal(digits).quantize(PLACES, ROUND_HALF_UP)
