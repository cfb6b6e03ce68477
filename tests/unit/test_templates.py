"""Templates: what is accepted, and that every fault is told with its path and what to do."""

from typing import Any

import pytest

from app.domain.errors import InvalidInput
from app.domain.templates import ParallelPhase, WorkflowTemplate, parse_tasks, parse_template

DECIDE = {"name": "decide", "kind": "decision", "question": "Shall we?"}
WORK = {"name": "work", "kind": "task", "task": {"name": "work", "title": "Work", "uses": ["decide"]}}
LINT = {"name": "lint", "title": "Lint"}
AUDITS = {"name": "audits", "kind": "parallel", "tasks": [LINT]}
GATE = {"name": "gate", "kind": "gate", "gate_type": "final_approval", "title": "The gate"}


def template(*phases: Any, **changed: Any) -> dict[str, Any]:
    return {"name": "plain", "description": "For a test.", "phases": list(phases), **changed}


def refusal(data: object) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_template(data, "plain")
    assert refused.value.field == "input.spec"
    assert refused.value.message.startswith("plain is not a workflow template: ")
    return refused.value.message.removeprefix("plain is not a workflow template: ")


def test_a_template_with_all_kinds_of_phases_is_read_with_its_defaults() -> None:
    check = {"name": "findings", "measure": "audits.lint.findings", "at_most": 3}
    parsed = parse_template(
        template(DECIDE, WORK, AUDITS, {**GATE, "checks": [check], "on_revision": "audits"}), "plain"
    )
    assert isinstance(parsed, WorkflowTemplate)
    assert [phase.name for phase in parsed.phases] == ["decide", "work", "audits", "gate"]
    audits = parsed.phase("audits")
    assert isinstance(audits, ParallelPhase)
    assert (audits.tasks[0].complexity, audits.tasks[0].max_failures, audits.tasks[0].role) == (5, 3, None)
    with pytest.raises(KeyError):
        parsed.phase("absent")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "the top: Input should be a valid dictionary or instance of WorkflowTemplate (give keys and values)"),
        ({}, "name: Field required (add it); description: Field required (add it); phases: Field required (add it)"),
        (template(), "phases: Tuple should have at least 1 item after validation, not 0"),
        (template(DECIDE, steps=1), "steps: unknown key (known here: name, description, concurrency, phases)"),
        (
            template(DECIDE, name="My Flow"),
            "name: String should match pattern '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' (lower-case words joined by hyphens, "
            "such as technical-review)",
        ),
        (template({**DECIDE, "kind": None}), "kind is one of decision, task, parallel, gate, function"),
        (template({"name": "x"}), "phases.0: Unable to extract tag using discriminator 'kind' (give kind: decision, "
                                  "task, parallel, gate or function)"),
        (template({**DECIDE, "qestion": "x"}), "phases.0.qestion: unknown key (did you mean question?)"),
        (template(DECIDE, {**WORK, "task": {"name": "a", "title": "A", "rol": "qa"}}),
         "phases.1.task.rol: unknown key (did you mean role?)"),
        (template(DECIDE, DECIDE), "phases.1.name: two phases are named 'decide' (every phase has its own name)"),
        (template(WORK), "phases.0.task.uses.0: 'decide' is no earlier phase (it is the first phase)"),
        (template(DECIDE, {**GATE, "on_revision": "later"}),
         "phases.1.on_revision: 'later' is no earlier phase (earlier phases: decide)"),
        (template(DECIDE, {**AUDITS, "tasks": [LINT, LINT]}),
         "phases.1.tasks.1.name: two tasks are named 'lint' (names are unique within a phase)"),
        (template(DECIDE, {**AUDITS, "tasks_from": "decide"}),
         "phases.1: has both or neither of tasks and tasks_from (give one of them)"),
        (template({"name": "a", "kind": "parallel"}),
         "phases.0: has both or neither of tasks and tasks_from (give one of them)"),
        (template(AUDITS, {**GATE, "checks": [{"name": "n", "measure": "audits.lnt.findings", "at_most": 1}]}),
         "phases.1.checks.0.measure: the phase 'audits' has no task 'lnt' (its tasks: lint)"),
        (template(AUDITS, {**GATE, "checks": [{"name": "n", "measure": "audits.lint.findings"}]}),
         "phases.1.checks.0: has no threshold (give at_most, at_least or both)"),
        (template(AUDITS, {**GATE, "checks": [{"name": "n", "measure": "audits.lint.x", "at_most": 1, "at_least": 2}]}),
         "phases.1.checks.0: can never pass (at_least must not be above at_most)"),
        (template(AUDITS, {**GATE, "checks": [{"name": "n", "measure": "audits", "at_most": float("nan")}]}),
         "phases.1.checks.0.at_most: Input should be a finite number"),
        (template({**GATE, "reviewers": ["qa", "qa"]}),
         "phases.0.reviewers: a role is named twice (one review is asked of each role)"),
    ],
)  # fmt: skip
def test_faults(data: object, message: str) -> None:
    told = refusal(data)
    assert told == message or told.endswith(f"({message})")


def test_all_faults_are_told_at_once_up_to_twenty() -> None:
    told = refusal(template({**DECIDE, "question": ""}, {**GATE, "gate_type": "x", "title": ""}))
    assert [fault.split(":")[0] for fault in told.split("; ")] == [
        "phases.0.question",
        "phases.1.gate_type",
        "phases.1.title",
    ]
    many = refusal(template(*[{"name": f"p{number}", "kind": "decision"} for number in range(25)]))
    assert many.endswith("phases.19.question: Field required (add it); and 5 more")


def test_a_result_may_list_tasks_plainly_or_under_a_key() -> None:
    listed = [{"name": "api", "title": "The API", "complexity": 7}]
    assert parse_tasks(listed, "It") == parse_tasks({"tasks": listed, "why": "because"}, "It")
    assert parse_tasks(listed, "It")[0].complexity == 7


@pytest.mark.parametrize("result", [None, {}, [], "text", {"tasks": {}}, {"tasks": []}, 7])
def test_a_result_without_a_list_is_refused(result: object) -> None:
    with pytest.raises(
        InvalidInput, match=r'^It is no list of tasks: it must be a JSON list, or \{"tasks": \[…\]\}, of'
    ):
        parse_tasks(result, "It")


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([{"name": "api"}], "0.title: Field required (add it)"),
        (["api"], "0: Input should be a valid dictionary or instance of TaskSpec (give keys and values)"),
        ([{"name": "a", "title": "A"}] * 2, "1.name: two tasks are named 'a' (names are unique within a phase)"),
        ([{"name": "a", "title": "A", "complexity": 11}], "0.complexity: Input should be less than or equal to 10"),
    ],
)  # fmt: skip
def test_a_list_of_unusable_tasks_is_refused_with_the_place(listed: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_tasks(listed, "It")
    assert refused.value.message == f"It is no list of tasks: {message}"


def test_too_many_tasks_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 200 items"):
        parse_tasks([{"name": f"t{number}", "title": "T"} for number in range(201)], "It")
