"""What the checks of a gate's template find: numbers in results, what commands found, and conditions."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.gate_conditions import holds, phases_read, values_of
from app.domain.gate_phase import Check, GatePhase
from app.domain.quality_gates import check_result, lookup

MEASURED = "measured"
"""Where the result of a command holds its value, unless the check says otherwise."""
ERROR_SHOWN = 1_000


def measure_all(checks: Sequence[Check], results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The checks as a gate keeps them when its review begins; those of commands have not passed yet."""
    found: list[dict[str, Any]] = []
    for check in checks:
        values = values_of(results, found)
        wanted, error = (True, None) if check.when is None else holds(check.when, values)
        if error is not None:
            found.append(_failed(check, f"when: {error}"))
        elif not wanted:
            found.append({**_described(check), "passed": True, "skipped": True})
        elif check.command is not None:
            found.append({**_described(check), "passed": False})
        else:
            measured = lookup(check.measure, results) if check.measure is not None else None
            found.append(judge(check, measured, values))
    return found


def judge(check: Check, measured: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The check with what it measured: a number within its thresholds, and its criteria true."""
    number = measured if isinstance(measured, (int, float)) and not isinstance(measured, bool) else None
    if check.at_most is not None or check.at_least is not None:
        passed = bool(check_result("", None, number, check.at_most, check.at_least)["passed"])
    else:
        passed = True
    error = None
    if check.criteria is not None:
        is_met, error = holds(check.criteria, {**values, "measured": measured})
        passed = passed and is_met
    told = {"error": error[:ERROR_SHOWN]} if error is not None else {}
    return {**_described(check), "measured": number, "passed": passed, **told}


def judge_command(check: Check, task_id: str, result: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The check with what its command found."""
    is_number = isinstance(result, (int, float)) and not isinstance(result, bool)
    measured = result if is_number else lookup(check.measure or MEASURED, _keys(result))
    return {**judge(check, measured, values), "task_id": task_id}


def fail_command(check: Check, task_id: str, reason: str) -> dict[str, Any]:
    """The check whose command nobody could run: it has not passed."""
    return {**_failed(check, reason), "task_id": task_id}


def commands(phase: GatePhase, kept: Sequence[Mapping[str, Any]]) -> dict[str, Check]:
    """The checks that are commands and were not left out, by name."""
    skipped = {check["name"] for check in kept if check.get("skipped")}
    return {check.name: check for check in phase.checks if check.command is not None and check.name not in skipped}


def replaced(kept: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The checks with these in place of those of the same name; others that came later stay."""
    merged = {check["name"]: dict(check) for check in kept}
    merged.update({check["name"]: dict(check) for check in new})
    return list(merged.values())


def phases_measured(phase: GatePhase) -> set[str]:
    """The phases whose results the checks and criteria of the gate read."""
    found = {check.measure.split(".")[0] for check in phase.checks if check.measure and check.command is None}
    texts = [*phase.criteria, *(text for check in phase.checks for text in (check.when, check.criteria))]
    return found | {name for text in texts if text is not None for name in phases_read(text)}


def _keys(result: Any) -> Mapping[str, Any]:
    return result if isinstance(result, Mapping) else {}


def _described(check: Check) -> dict[str, Any]:
    """What the check is; its condition and command only where it has one, as checks have been kept so far."""
    more = {"criteria": check.criteria, "command": check.command}
    return {
        **check_result(check.name, check.measure, None, check.at_most, check.at_least),
        **{name: value for name, value in more.items() if value is not None},
    }


def _failed(check: Check, reason: str) -> dict[str, Any]:
    return {**_described(check), "passed": False, "error": reason[:ERROR_SHOWN]}
