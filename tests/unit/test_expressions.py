"""Expressions of templates: what they see and give, that faults are told, and that none costs too much."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.expressions import (
    ITEM_VARIABLES,
    NODES_MAX,
    Gives,
    Unevaluable,
    WrongExpression,
    compile_expression,
)

VALUES: dict[str, Any] = {
    "context": {
        "size": 3,
        "words": ["a", "b"],
        "many": list(range(500)),
        "at": "2026-01-01T00:00:00Z",
        "text": "x" * 99,
    },
    "results": {"unit-test": {"failed": 0}, "plan": None},
    "attempt": 2,
    "failure": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("context.size + 1", 4),
        ('results["unit-test"].failed == 0 && attempt == 2', True),
        ("failure == null", True),
        ("has(results.hold) ? 1 : 2", 2),
        ('context.words.map(w, w + "!")', ["a!", "b!"]),
        ("{'n': [1.5, null, true]}", {"n": [1.5, None, True]}),
        ("timestamp(context.at) + duration('90s')", "2026-01-01T00:01:30+00:00"),
        ("duration('90s')", 90.0),
        ("size(context.many)", 500),
    ],
)
def test_what_an_expression_gives(text: str, value: Any) -> None:
    assert compile_expression(text, Gives.VALUE).evaluate(VALUES) == value


def test_a_moment_is_a_time() -> None:
    moment = compile_expression("timestamp(context.at)", Gives.MOMENT)
    assert moment.evaluate(VALUES) == datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(Unevaluable, match="and not a timestamp"):
        compile_expression("context.at", Gives.MOMENT).evaluate(VALUES)


@pytest.mark.parametrize(
    ("text", "phases"),
    [
        ("results.plan.size > 1 && results['unit-test'].failed == 0", {"plan", "unit-test"}),
        ("context.size > 1", set()),
        ("results.all(name, name != 'plan')", None),
        ("results[context.words[0]] == 1", None),
        ("'results' == context.text && results.plan == 1", None),
    ],
)
def test_which_results_an_expression_reads(text: str, phases: set[str] | None) -> None:
    assert compile_expression(text, Gives.BOOLEAN).phases == phases


@pytest.mark.parametrize(
    ("text", "gives", "said", "hint"),
    [
        ("1 +", Gives.VALUE, "is no CEL expression: Syntax error: mismatched input '<EOF>'", "such as: "),
        (" ", Gives.VALUE, "is empty", "give a CEL expression"),
        ("1 + 1", Gives.BOOLEAN, "gives int, and not true or false", "compare or convert it"),
        ("context.x > 1", Gives.MOMENT, "gives bool, and not a timestamp", "compare or convert it"),
        ("size > 1", Gives.BOOLEAN, "is no CEL expression: undeclared reference to 'size'", "known here: context, "),
        ("item == 1", Gives.BOOLEAN, "is no CEL expression: undeclared reference to 'item'", "known here: context, "),
        ("results.unit-test == 1", Gives.BOOLEAN, "is no CEL expression: undeclared", "a name with hyphens is a key: "),
        ("true && 1", Gives.BOOLEAN, "is no CEL expression: found no matching overload for '_&&_'", "such as: "),
        ("1 == 1 " + "|| true " * 300, Gives.BOOLEAN, "has 2407 characters, at most 2000", "compute it in a phase"),
        ("(" * 99 + "1" + ")" * 99, Gives.VALUE, "is no CEL expression: ", "such as: "),
        ("a\x00b", Gives.VALUE, "has characters that no text has", "write it in plain text"),
    ],
)
def test_what_cannot_be_compiled_is_told_with_a_hint(text: str, gives: Gives, said: str, hint: str) -> None:
    with pytest.raises(WrongExpression) as wrong:
        compile_expression(text, gives)
    assert wrong.value.message.startswith(said)
    assert wrong.value.hint.startswith(hint)


def test_items_are_seen_where_there_are_some() -> None:
    each = compile_expression("item.name + string(index)", Gives.VALUE, ITEM_VARIABLES)
    assert each.evaluate({**VALUES, "item": {"name": "n"}, "index": 3}) == "n3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / (context.size - 3)", "divide by zero"),
        ("results.absent.x", 'Key not found in map : "absent"'),
        ("9223372036854775807 + context.size", "integer overflow"),
        ("{context.size: 1}", "it gives an object with a key that is no text"),
        ("b'x'", "it gives what JSON does not have"),
        ("context.many.map(a, context.many.map(b, b))", "Iteration budget exceeded"),
        ("context.many.map(a, context.many)", f"it gives more than {NODES_MAX} values"),
        ("context.many.map(a, context.many.exists(b, b < 0)) == []", "Iteration budget exceeded"),
    ],
)
def test_what_cannot_be_evaluated_says_why(text: str, said: str) -> None:
    with pytest.raises(Unevaluable) as wrong:
        compile_expression(text, Gives.VALUE).evaluate(VALUES)
    assert wrong.value.message == f"The expression {text!r} cannot be evaluated: {said}"


def test_lists_cannot_be_doubled_without_end() -> None:
    grown = "context.many"
    for number in range(7):
        grown = f"[{grown}].map(x{number}, x{number} + x{number})[0]"
    with pytest.raises(WrongExpression, match="has a macro over a list and more than 6 plus signs"):
        compile_expression(f"size({grown})", Gives.VALUE)
    # texts in it are no plus signs
    assert compile_expression("context.words.map(w, '+++++++' + w)", Gives.VALUE).evaluate(VALUES) == [
        "+++++++a",
        "+++++++b",
    ]


def test_a_regular_expression_takes_no_time_that_grows_with_its_tricks() -> None:
    hostile = {**VALUES, "context": {"text": "a" * 50_000}}
    assert compile_expression('context.text.matches("(a*)*b")', Gives.BOOLEAN).evaluate(hostile) is False
