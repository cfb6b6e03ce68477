"""Checks of templates: numbers, commands, conditions."""

from typing import Any

import pytest

from app.domain.errors import InvalidInput
from app.domain.gate_conditions import unmet, values_of
from app.domain.gate_measuring import commands, fail_command, judge_command, measure_all, phases_measured, replaced
from app.domain.gate_phase import Check, GatePhase
from app.domain.templates import parse_template

RESULTS = {"work": {"files": 3, "name": "x"}, "other": [1, 2]}


def a_phase(**options: Any) -> GatePhase:
    gate = {"name": "gate", "kind": "gate", "gate_type": "technical_review", "title": "The gate"} | options
    work = [{"name": name, "kind": "task", "task": {"name": name, "title": name}} for name in RESULTS]
    template = parse_template({"name": "plain", "description": "For a test.", "phases": [*work, gate]}, "a test")
    phase = template.phase("gate")
    assert isinstance(phase, GatePhase)
    return phase


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({"measure": "work.files", "at_most": 3}, {"measured": 3, "passed": True}),
        ({"measure": "work.files", "at_least": 4}, {"measured": 3, "passed": False}),
        ({"measure": "work.name", "at_least": 0}, {"measured": None, "passed": False}),
        ({"criteria": "results.work.files == 3"}, {"measured": None, "passed": True}),
        ({"measure": "work.files", "criteria": "measured > 2.5"}, {"measured": 3, "passed": True}),
        ({"measure": "work.files", "at_most": 9, "criteria": "measured > 5"}, {"measured": 3, "passed": False}),
        ({"when": "results.work.files > 5", "criteria": "false"}, {"passed": True, "skipped": True}),
        ({"when": "results.work.files > 1", "criteria": "false"}, {"passed": False}),
        ({"command": "pytest", "at_least": 1}, {"measured": None, "passed": False, "command": "pytest"}),
    ],
)
def test_what_a_check_finds(check: dict[str, Any], expected: dict[str, Any]) -> None:
    (found,) = measure_all([Check(name="it", **check)], RESULTS)
    assert {name: found[name] for name in expected} == expected
    assert "error" not in found


@pytest.mark.parametrize("condition", ["results.work.lines > 1", "measured > 1", "results.work.name", "1 / 0 > 1"])
def test_what_cannot_be_evaluated_has_not_passed_and_says_so(condition: str) -> None:
    (found,) = measure_all([Check(name="it", criteria=condition)], RESULTS)
    assert found["passed"] is False
    assert condition in found["error"]


def test_a_check_sees_those_before_it() -> None:
    checks = [
        Check(name="files", measure="work.files", at_most=2),
        Check(name="all", criteria="checks.files.passed || checks['files'].measured == 3"),
    ]
    assert [check["passed"] for check in measure_all(checks, RESULTS)] == [False, True]


@pytest.mark.parametrize(
    ("result", "measured"),
    [(91.5, 91.5), ({"measured": 7}, 7), ({"percent": 7}, None), ("text", None), (True, None), (None, None)],
)
def test_what_a_command_answers(result: Any, measured: float | None) -> None:
    found = judge_command(Check(name="it", command="x", at_least=5), "a task", result, values_of(RESULTS, []))
    assert (found["measured"], found["passed"], found["task_id"]) == (measured, measured is not None, "a task")


def test_commands_that_are_left_out_are_not_run_and_what_was_recorded_stays() -> None:
    phase = a_phase(
        checks=[
            {"name": "one", "command": "x", "at_least": 1},
            {"name": "two", "command": "y", "at_least": 1, "when": "results.other.size() > 5"},
        ]
    )
    kept = measure_all(phase.checks, RESULTS)
    assert list(commands(phase, kept)) == ["one"]
    failed = fail_command(phase.checks[0], "a task", "no shell")
    merged = replaced([*kept, {"name": "by hand", "passed": True}], [failed])
    assert [(check["name"], check.get("error")) for check in merged] == [
        ("one", "no shell"), ("two", None), ("by hand", None),
    ]  # fmt: skip


def test_the_phases_that_are_read() -> None:
    phase = a_phase(
        checks=[
            {"name": "a", "measure": "work.files", "at_most": 1},
            {"name": "b", "command": "x", "measure": "n", "at_most": 1},
        ],
        criteria=["results.other[0] == 1"],
    )
    assert phases_measured(phase) == {"work", "other"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"checks": [{"name": "n", "at_most": 1}]}, "has thresholds and nothing that they are for"),
        ({"checks": [{"name": "n", "measure": "work", "at_most": 1, "role": "qa"}]}, "names who runs a command"),
        ({"checks": [{"name": "n", "criteria": "measured >"}]}, "phases.2.checks.0.criteria: is no CEL expression"),
        ({"criteria": ["true", "results.later == 1"]}, "phases.2.criteria.1: 'later' is no earlier phase"),
        ({"quorum": 2, "reviewers": ["qa"]}, "phases.2.quorum: the quorum can never stand (1 are asked; name more"),
        ({"verdict_by": "quorum"}, "phases.2.quorum: the quorum can never stand"),
        ({"people": ["rita", "rita"]}, "phases.2.people: somebody is named twice"),
    ],
)
def test_gates_that_cannot_work_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        a_phase(**options)
    assert said in caught.value.message


def test_the_way_back_is_the_only_phase_in_use_unless_something_else_is_said() -> None:
    assert a_phase(uses=["work"]).on_revision == "work"
    assert a_phase(uses=["work", "other"]).on_revision is None
    assert a_phase(uses=["work"], on_revision=None).on_revision is None
    assert a_phase(uses=["work"], on_revision="other").on_revision == "other"


def test_criteria_that_do_not_hold_are_told() -> None:
    values = values_of(RESULTS, [{"name": "files", "measured": 3, "passed": True}], 7.5)
    first, second = unmet(["score > 7.0", "checks.files.measured < 3", "results.work.size > 1"], values)
    assert first == "'checks.files.measured < 3'"
    assert second.startswith("'results.work.size > 1' (The expression 'results.work.size > 1' cannot be evaluated: ")
