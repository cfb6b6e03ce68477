"""Conditions and values of templates in CEL, the Common Expression Language: compiled once, evaluated within bounds.

The library checks types, knows no loops but the macros over lists, and stops after 10,000 rounds of those; its regular
expressions are linear. What it leaves open is bounded here: the length of the text, how often lists can be doubled in
nested macros, and the size of what comes out. Why this library: docs/adr/0029.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from app.domain.errors import InvalidInput

TEXT_MAX = 2_000
"""Characters of an expression."""
JOINS_MAX = 6
"""Plus signs in an expression that has a macro: each may double a list or a text."""
NODES_MAX = 20_000
"""Values in what an expression gives, as in any JSON that is stored."""
TEXT_RESULT_MAX = 100_000
"""Characters of a text in what an expression gives."""

VARIABLES = ("context", "results", "attempt", "failure")
"""What an expression in a phase sees: the input, results by phase, the pass's number, the last failure or null."""
ITEM_VARIABLES = (*VARIABLES, "item", "index")
"""What it sees where it is asked once for each item of a list; the index counts from 0."""

_MACRO = re.compile(r"\.\s*(map|filter|all|exists|exists_one|transformList|transformMap)\s*\(")
_BY_KEY = re.compile(r"""\bresults\s*(?:\.\s*([A-Za-z_]\w*)\b(?!\s*\()|\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\])""")
_RESULTS = re.compile(r"\bresults\b")
_TEXTS = re.compile(r"""(?P<key>\[\s*(?:"[^"\\]*"|'[^'\\]*')\s*\])|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")


class Gives(StrEnum):
    """What an expression must give."""

    BOOLEAN = "true or false"
    MOMENT = "a timestamp"
    VALUE = "a JSON value"


_FITTING = {Gives.BOOLEAN: ("BOOL", "DYN"), Gives.MOMENT: ("TIMESTAMP", "DYN")}


class WrongExpression(InvalidInput):
    """An expression that cannot be compiled; `hint` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Unevaluable(InvalidInput):
    """An expression that gave nothing usable on these values."""


@dataclass(frozen=True)
class Expression:
    """A compiled expression. `phases`: those whose results it reads; None where that cannot be told from its text."""

    text: str
    gives: Gives
    program: Any
    phases: frozenset[str] | None

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        """What it gives on these values of the variables: JSON, or a `datetime` for a moment. Raises `Unevaluable`."""
        try:
            value = self.program.eval(data=dict(values))
            given = _plain(value, Budget())
        except (RuntimeError, TypeError, ValueError) as error:
            raise Unevaluable(f"The expression {self.text!r} cannot be evaluated: {_said(error)}") from None
        if self.gives is Gives.BOOLEAN and not isinstance(given, bool):
            raise Unevaluable(f"The expression {self.text!r} gave {_shown(given)}, and not true or false.")
        if self.gives is Gives.MOMENT and not isinstance(given, datetime):
            raise Unevaluable(f"The expression {self.text!r} gave {_shown(given)}, and not a timestamp.")
        return given if self.gives is Gives.MOMENT or not isinstance(given, datetime) else given.isoformat()

    @property
    def asks_for_failure(self) -> bool:
        """Whether it may read the last failure."""
        return "failure" in self.text


def compile_expression(text: str, gives: Gives, variables: tuple[str, ...] = VARIABLES) -> Expression:
    """The expression, its types checked; each is compiled once. Raises `WrongExpression`."""
    return _compiled(text, gives, variables)


@lru_cache(maxsize=5_000)
def _compiled(text: str, gives: Gives, variables: tuple[str, ...]) -> Expression:
    _bound(text)
    try:
        program = _environment(variables).compile(text)
    except (RuntimeError, ValueError, TypeError) as error:
        said = _said(error)
        raise WrongExpression(f"is no CEL expression: {said}", _hint(text, said, variables)) from None
    found = program.return_type().name()
    if found.upper() not in _FITTING.get(gives, (found.upper(),)):
        raise WrongExpression(f"gives {found.lower()}, and not {gives}", "compare or convert it")
    return Expression(text, gives, program, _phases(text))


@lru_cache(maxsize=20)
def _environment(variables: tuple[str, ...]) -> Any:
    types = {"attempt": cel.Type.INT, "index": cel.Type.INT}
    return cel.NewEnv(variables={name: types.get(name, cel.Type.DYN) for name in variables})


def _bound(text: str) -> None:
    if len(text) > TEXT_MAX:
        raise WrongExpression(f"has {len(text)} characters, at most {TEXT_MAX} are taken", "compute it in a phase")
    if not text.strip():
        raise WrongExpression("is empty", "give a CEL expression")
    if any((ord(char) < 32 and char not in "\t\n\r") or "\ud800" <= char <= "\udfff" for char in text):
        raise WrongExpression("has characters that no text has", "write it in plain text")
    bare = _TEXTS.sub("''", text)
    if _MACRO.search(bare) and bare.count("+") > JOINS_MAX:
        raise WrongExpression(
            f"has a macro over a list and more than {JOINS_MAX} plus signs", "join less, or compute it in a phase"
        )


def _phases(text: str) -> frozenset[str] | None:
    named = [name for match in _BY_KEY.finditer(text) for name in match.groups() if name is not None]
    # a text may spell "results" too: then all are read, which is more than is needed
    return frozenset(named) if len(named) == len(_RESULTS.findall(text)) else None


def _hint(text: str, said: str, variables: tuple[str, ...]) -> str:
    if re.search(r"\bresults\.[a-z0-9]+-[a-z]", text):
        return 'a name with hyphens is a key: results["technical-review"]'
    if "undeclared reference" in said:
        return f"known here: {', '.join(variables)}, and CEL's functions"
    return 'such as: results.test.failed > 0 && context.kind == "release"'


def _said(error: Exception) -> str:
    """The library's first line, without its codes."""
    first = str(error).partition("\n")[0]
    bare = re.sub(r"^([A-Z_]+: )?(ERROR: )?(<input>:-?\d+:-?\d+: )?", "", first)
    return re.sub(r" \[[A-Z_]+\]$", "", bare)


class Budget:
    """How many values may still come out."""

    def __init__(self) -> None:
        self._left = NODES_MAX

    def take(self, count: int = 1) -> None:
        """Raise `ValueError` when there are too many."""
        self._left -= count
        if self._left < 0:
            raise ValueError(f"it gives more than {NODES_MAX} values")


def _plain(value: Any, budget: Budget) -> Any:
    """The value as JSON, or a `datetime`. Converted level by level: one that repeats a large part stays cheap."""
    budget.take()
    kind = value.type().name().upper() if isinstance(value, cel.Value) else ""
    if kind == "ERROR":
        raise ValueError(_said(ValueError(str(value.plain_value()))))
    given = value.value() if isinstance(value, cel.Value) else value
    if isinstance(given, (list, tuple)):
        return [_plain(each, budget) for each in given]
    if isinstance(given, dict):
        return {_key(key): _plain(each, budget) for key, each in given.items()}
    return _scalar(given)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    raise ValueError("it gives an object with a key that is no text")


def _scalar(given: Any) -> Any:
    if isinstance(given, str) and len(given) > TEXT_RESULT_MAX:
        raise ValueError(f"it gives a text of {len(given)} characters, at most {TEXT_RESULT_MAX} are taken")
    if isinstance(given, timedelta):
        return given.total_seconds()
    if given is None or isinstance(given, (bool, int, float, str, datetime)):
        return given
    raise ValueError("it gives what JSON does not have")


def _shown(given: Any) -> str:
    return repr(given)[:100]
