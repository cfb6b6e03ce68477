"""Checks of a gate that somebody measured: merged with those that it has, and judged by the same rule."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidInput
from app.domain.json_schemas import AUTOMATED_CHECKS, check_json
from app.domain.quality_gates import check_result
from app.domain.rules import NAME_MAX, clean_text, required_text

WHOLE_FLOATS = 2.0**53
"""Up to here every whole number is a float, so that showing it as one changes nothing."""


@dataclass(frozen=True)
class MeasuredCheck:
    """A value that somebody measured; thresholds that are None are those of the gate's check of this name, if any."""

    name: str
    measured: float
    measure: str | None = None
    at_most: float | None = None
    at_least: float | None = None


def merge_checks(known: Sequence[Mapping[str, Any]], recorded: Sequence[MeasuredCheck]) -> list[dict[str, Any]]:
    """The gate's checks with new values: by name, in the order in which the names first came.

    Raises `InvalidInput` for a name that is empty or comes twice, a number that is not finite, a check without any
    threshold, or one that can never pass.
    """
    merged = {check["name"]: dict(check) for check in known}
    given: set[str] = set()
    for index, check in enumerate(recorded):
        place = f"checks.{index}"
        name = required_text(f"{place}.name", check.name, NAME_MAX)
        if name in given:
            raise InvalidInput(f"Two checks are named {name!r}. Nothing was written.", f"input.{place}.name")
        given.add(name)
        merged[name] = _measured(place, name, check, merged.get(name, {}))
    checks: list[dict[str, Any]] = check_json("checks", list(merged.values()), AUTOMATED_CHECKS)
    return checks


def _measured(place: str, name: str, check: MeasuredCheck, before: Mapping[str, Any]) -> dict[str, Any]:
    measured = _number(f"{place}.measured", check.measured)
    at_most = before.get("at_most") if check.at_most is None else _number(f"{place}.atMost", check.at_most)
    at_least = before.get("at_least") if check.at_least is None else _number(f"{place}.atLeast", check.at_least)
    if at_most is None and at_least is None:
        raise InvalidInput(
            f"The check {name!r} has no threshold; give atMost, atLeast or both. Nothing was written.", f"input.{place}"
        )
    if at_most is not None and at_least is not None and at_most < at_least:
        raise InvalidInput(
            f"The check {name!r} can never pass: atLeast is above atMost. Nothing was written.", f"input.{place}"
        )
    given = check.measure
    measure = before.get("measure") if given is None else clean_text(f"{place}.measure", given, NAME_MAX)
    return check_result(name, measure, measured, at_most, at_least)


def _number(field: str, value: float) -> float:
    """The number, as an integer where it is one; `InvalidInput` when it is infinite or none at all."""
    if not math.isfinite(value):
        raise InvalidInput(f"{field} must be a finite number, it is {value}. Nothing was written.", f"input.{field}")
    return int(value) if float(value).is_integer() and abs(value) <= WHOLE_FLOATS else value
