"""Templates: what is accepted, and that every fault is told with its path and what to do."""

from typing import Any

import pytest

from app.domain.errors import InvalidInput
from app.domain.flow_phases import BranchPhase
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
        (
            template(DECIDE, steps=1),
            "steps: unknown key (known here: name, description, input_schema, concurrency, phases, output, "
            "output_schema)",
        ),
        (
            template(DECIDE, name="My Flow"),
            "name: String should match pattern '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' (lower-case words joined by hyphens, "
            "such as technical-review)",
        ),
        (
            template({**DECIDE, "kind": None}),
            "kind is one of decision, task, parallel, gate, function, branch, loop, wait, workflow",
        ),
        (template({"name": "x"}), "phases.0: Unable to extract tag using discriminator 'kind' (give kind: decision, "
                                  "task, parallel, gate, function, branch, loop, wait or workflow)"),
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
         "phases.1.checks.0: has no threshold (give at_most, at_least, both, or criteria)"),
        (template(AUDITS, {**GATE, "checks": [{"name": "n", "measure": "audits.lint.x", "at_most": 1, "at_least": 2}]}),
         "phases.1.checks.0: can never pass (at_least must not be above at_most)"),
        (template(AUDITS, {**GATE, "checks": [{"name": "n", "measure": "audits", "at_most": float("nan")}]}),
         "phases.1.checks.0.at_most: Input should be a finite number"),
        (template({**AUDITS, "tasks": [LINT, {**LINT, "name": "more", "depends_on": ["lnt"]}]}),
         "phases.0.tasks.1.depends_on.0: 'lnt' is no task (tasks of this phase: lint, more)"),
        (template({**AUDITS, "tasks": [LINT, {**LINT, "name": "a", "depends_on": ["b"]},
                                       {**LINT, "name": "b", "depends_on": ["lint", "a"]}]}),
         "phases.0.tasks.1.depends_on: the task 'a' waits for itself, or for tasks that wait for each other (break the "
         "circle)"),
        (template({"name": "one", "kind": "task", "task": {"name": "a", "title": "A", "depends_on": ["a"]}}),
         "phases.0.task.depends_on: there is no other task in this phase (tasks of one phase wait for each other in a "
         "phase of kind parallel)"),
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


def flow(*phases: Any, **changed: Any) -> Any:
    return template(DECIDE, *phases, WORK, {**GATE, "name": "last"}, **changed)


BRANCH = {"name": "way", "kind": "branch", "cases": [{"when": "true", "next": "last"}]}
LOOP = {"name": "again", "kind": "loop", "back_to": "decide", "while": "true", "max_rounds": 3}
HOLD = {"name": "hold", "kind": "wait", "signal": "go"}
SUB = {"name": "sub", "kind": "workflow", "workflow": "other"}


def test_phases_that_steer_are_read_and_written_back_the_same() -> None:
    parsed = parse_template(
        flow(
            {**BRANCH, "otherwise": "work", "retry": {"max_attempts": 2}, "on_failure": "last", "next": "end"},
            LOOP,
            {**HOLD, "schema": {"type": "object"}, "timeout_seconds": 5, "on_timeout": "end"},
            {**SUB, "foreach": "context.parts", "input_from": {"part": "item"}, "join": {"quorum": 2}},
            output={"it": "results.work"},
        ),
        "plain",
    )
    written = parsed.model_dump(mode="json", by_alias=True)
    assert written["phases"][2]["while"] == "true"
    assert written["phases"][3]["schema"] == {"type": "object"}
    assert parse_template(written, "plain") == parsed
    assert (parsed.signals, parsed.may_fail_on) == ({"go": {"type": "object"}}, True)
    assert isinstance(parsed.phases[1], BranchPhase)
    retry = parsed.phases[1].retry
    assert retry is not None
    assert [retry.pause(failures) for failures in (1, 2, 3, 20)] == [1, 2, 4, 3_600]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (flow({**BRANCH, "cases": [{"when": "results.absent.x", "next": "last"}]}),
         "phases.1.cases.0.when: 'absent' is no earlier phase (earlier phases: decide)"),
        (flow({**BRANCH, "cases": [{"when": "results.work", "next": "last"}]}),
         "phases.1.cases.0.when: 'work' is no earlier phase (earlier phases: decide)"),
        (flow({**BRANCH, "cases": [{"when": "1", "next": "last"}]}),
         "phases.1.cases.0.when: gives int, and not true or false (compare or convert it)"),
        (flow({**BRANCH, "otherwise": "decide"}),
         "phases.1.otherwise: 'decide' is no later phase (only a loop and a gate's on_revision go back)"),
        (flow({**BRANCH, "on_failure": "nowhere"}),
         "phases.1.on_failure: there is no phase 'nowhere' (it may lead to: work, last, end)"),
        (flow({**BRANCH, "next": "way"}),
         "phases.1.next: 'way' is no later phase (only a loop and a gate's on_revision go back)"),
        (flow({**BRANCH, "cases": []}), "phases.1.cases: Tuple should have at least 1 item after validation, not 0"),
        (flow({**BRANCH, "name": "end"}), "phases.1.name: no phase is named end (give it another name)"),
        (flow({**LOOP, "back_to": "last"}), "phases.1.back_to: 'last' is no earlier phase (earlier phases: decide)"),
        (flow({**LOOP, "until": "true"}), "phases.1: has both or neither of while and until (give one of them)"),
        (flow({**LOOP, "max_rounds": 1_001}), "phases.1.max_rounds: Input should be less than or equal to 1000"),
        (flow({**HOLD, "seconds": 3}),
         "phases.1: waits for nothing, or for several things (give one of seconds, until and signal)"),
        (flow({**HOLD, "on_timeout": "end"}), "phases.1.on_timeout: has no time-out (give timeout_seconds too)"),
        (flow({**HOLD, "schema": {"type": "strin"}}),
         "phases.1.schema: is no JSON Schema: type: \"strin\" is not valid under any of the schemas listed in the "
         "'anyOf' keyword (see json-schema.org; patterns have no look-around and no back-references)"),
        (flow(HOLD, {**HOLD, "name": "more", "schema": {}}),
         "phases.2.schema: the signal 'go' has two schemas (give each wait for it the same schema)"),
        (flow({**SUB, "join": "any"}), "phases.1.join: has join but no foreach (there is one workflow to wait for)"),
        (flow({**AUDITS, "join": {"quorum": 2}}),
         "phases.1.join.quorum: asks for more than there are (it has 1 tasks)"),
        (flow({**AUDITS, "join": "most"}), "phases.1.join: is no way to join (all, any or {quorum: N})"),
        (flow({**SUB, "retry": {"max_attempts": 1}}),
         "phases.1.retry.max_attempts: Input should be greater than or equal to 2"),
        (flow(output={"a": "results.nothing"}), "output.a: 'nothing' is no earlier phase (earlier phases: decide, "
                                                "work, last)"),
        (flow(input_schema={"$ref": "https://example.com/schema.json"}),
         "input_schema: is no JSON Schema: Resource 'https://example.com/schema.json' is not present in a registry"),
    ],
)  # fmt: skip
def test_faults_of_phases_that_steer(data: object, message: str) -> None:
    told = refusal(data)
    assert told == message or told.startswith(message + " ")
