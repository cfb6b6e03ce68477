"""Conditions of gates in CEL: over results of phases, the checks, the reviewers' score, and a measured value."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from app.domain.errors import InvalidInput
from app.domain.expressions import Expression, Gives, Unevaluable, WrongExpression, compile_expression

VARIABLES = ("results", "checks", "score", "measured")
"""Results by phase; checks by name, each with `measured` and `passed`; the mean score of the reviews that count, and
what a check has measured, both null where there is none."""


def compile_condition(text: str) -> Expression:
    """The condition, its types checked. Raises `WrongExpression`."""
    return compile_expression(text, Gives.BOOLEAN, VARIABLES)


def phases_read(text: str) -> list[str]:
    """The phases whose results the condition names, as far as its text tells."""
    return sorted(compile_condition(text).phases or ())


def require_conditions(field: str, texts: Sequence[str]) -> None:
    """Raise `InvalidInput` for the first text that is no condition."""
    for index, text in enumerate(texts):
        try:
            compile_condition(text)
        except WrongExpression as error:
            raise InvalidInput(
                f"{field}.{index} {error.message} ({error.hint}). Nothing was written.", f"input.{field}"
            ) from None


def values_of(
    results: Mapping[str, Any],
    checks: Sequence[Mapping[str, Any]],
    score: Decimal | float | None = None,
    measured: Any = None,
) -> dict[str, Any]:
    """The values of the variables."""
    return {
        "results": dict(results),
        "checks": {check["name"]: dict(check) for check in checks},
        "score": float(score) if score is not None else None,
        "measured": measured,
    }


def holds(text: str, values: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether the condition holds; and where that cannot be said, why not: then it does not."""
    try:
        return bool(compile_condition(text).evaluate(values)), None
    except Unevaluable as error:
        return False, error.message


def unmet(texts: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The conditions that do not hold, each with the reason where it could not be evaluated."""
    found = []
    for text in texts:
        is_met, error = holds(text, values)
        if not is_met:
            found.append(repr(text) if error is None else f"{text!r} ({error})")
    return found
