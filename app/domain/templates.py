"""Workflow templates: the phases of a workflow, in order, as data.

A template is YAML or JSON of this shape; `parse_template` tells every fault with its path. The engine compiles it.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from app.domain.agents import AgentRole
from app.domain.concurrency import ConcurrencyPolicy
from app.domain.decisions import DecisionType
from app.domain.errors import InvalidInput
from app.domain.quality_gates import GateType

NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
FUNCTION_PATTERN = r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$"
TASKS_MAX = 200
PHASES_MAX = 200
FAULTS_SHOWN = 20

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=60)]
Capability = Annotated[str, Field(min_length=1, max_length=100)]
InputPath = Annotated[str, Field(pattern=r"^[^.\x00]+(\.[^.\x00]+)*$", max_length=300)]
Threshold = Annotated[float, Field(allow_inf_nan=False)]
Where = tuple[str | int, ...]
"""Where a fault is: keys and indexes from the top, such as ("phases", 2, "task", "title")."""


class Part(BaseModel):
    """The base of every part of a template: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, Mapping) else ():
            if key not in cls.model_fields:
                raise _fault("unknown_key", "unknown key", _hint_for(str(key), cls.model_fields), (str(key),))
        return data


class TaskSpec(Part):
    """One piece of work: who can do it, how hard it is, and what it is given.

    `uses` names earlier phases whose results are put into the task's input. After `max_failures` failures the phase
    fails; a task that an agent released does not count.
    """

    name: Name
    title: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=20_000)
    role: AgentRole | None = None
    capabilities: tuple[Capability, ...] = Field(default=(), max_length=50)
    complexity: int = Field(default=5, ge=1, le=10)
    input: dict[str, Any] = Field(default_factory=dict)
    uses: tuple[Name, ...] = ()
    max_failures: int = Field(default=3, ge=1, le=10)


class Phase(Part):
    """What every phase has: a name, unique in its template and stable between versions."""

    name: Name


class DecisionPhase(Phase):
    """The PM is asked a question; its answer is recorded as a decision that owns the tasks which follow."""

    kind: Literal["decision"]
    question: str = Field(min_length=1, max_length=20_000)
    decision_type: DecisionType = DecisionType.TASK_ASSIGNMENT
    uses: tuple[Name, ...] = ()


class TaskPhase(Phase):
    """One task, done by one agent."""

    kind: Literal["task"]
    task: TaskSpec


class ParallelPhase(Phase):
    """Many tasks at once, all joined: a fixed list, or the list that an earlier phase's result holds (`tasks_from`).

    A result that is used by `tasks_from` is a JSON list of tasks, or `{"tasks": […]}`, each with at least `name` and
    `title`. `role` is for the tasks that name none; `uses` holds for all of them.
    """

    kind: Literal["parallel"]
    tasks: tuple[TaskSpec, ...] = Field(default=(), max_length=TASKS_MAX)
    tasks_from: Name | None = None
    role: AgentRole | None = None
    uses: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> "ParallelPhase":
        if bool(self.tasks) == (self.tasks_from is not None):
            raise _fault("one_source", "has both or neither of tasks and tasks_from", "give one of them")
        _require_unique_names(self.tasks, ("tasks",))
        return self


class FunctionPhase(Phase):
    """Work that a worker of the hub does itself: a Python function by entry point, `function` is its name.

    It is given `input`, the execution's context and the results of the phases in `uses`; its result is a small JSON
    value, which is kept in the step. After `timeout_seconds` the phase has failed.
    """

    kind: Literal["function"]
    function: str = Field(pattern=FUNCTION_PATTERN, max_length=100)
    input: dict[str, Any] = Field(default_factory=dict)
    uses: tuple[Name, ...] = ()
    timeout_seconds: float = Field(default=300, gt=0, le=86_400)


class Check(Part):
    """An automated check: the number at the dotted path `measure` in the phases' results, against its thresholds."""

    name: str = Field(min_length=1, max_length=200)
    measure: str = Field(min_length=1, max_length=300)
    at_most: Threshold | None = None
    at_least: Threshold | None = None

    @model_validator(mode="after")
    def _some_threshold(self) -> "Check":
        if self.at_most is None and self.at_least is None:
            raise _fault("threshold", "has no threshold", "give at_most, at_least or both")
        if self.at_most is not None and self.at_least is not None and self.at_most < self.at_least:
            raise _fault("threshold", "can never pass", "at_least must not be above at_most")
        return self


class GatePhase(Phase):
    """Work is held until the verdict.

    `reviewers` are asked first, each by a review task. `verdict_by: pm` asks the PM agent; `human` waits for a person.
    A verdict of "requires revision" goes back to the phase `on_revision`, at most `max_revisions` times.
    """

    kind: Literal["gate"]
    gate_type: GateType
    title: str = Field(min_length=1, max_length=200)
    checks: tuple[Check, ...] = Field(default=(), max_length=100)
    reviewers: tuple[AgentRole, ...] = Field(default=(), max_length=len(AgentRole))
    verdict_by: Literal["pm", "human"] = "pm"
    uses: tuple[Name, ...] = ()
    on_revision: Name | None = None
    max_revisions: int = Field(default=3, ge=0, le=20)

    @model_validator(mode="after")
    def _distinct_reviewers(self) -> "GatePhase":
        if len(set(self.reviewers)) < len(self.reviewers):
            raise _fault("reviewers", "a role is named twice", "one review is asked of each role", ("reviewers",))
        return self


AnyPhase = Annotated[DecisionPhase | TaskPhase | ParallelPhase | GatePhase | FunctionPhase, Field(discriminator="kind")]


class Concurrency(Part):
    """What becomes of a start while `max` executions of the workflow are under way: it is allowed, rejected, queued, or
    replaces the oldest. With `key`, a dotted path into the input, only those with the same value there count.
    """

    policy: ConcurrencyPolicy
    key: InputPath | None = None
    max: int = Field(default=1, ge=1, le=1_000)


class WorkflowTemplate(Part):
    """A workflow: its phases in the order in which they run, and how many of it run at once."""

    name: Name
    description: str = Field(min_length=1, max_length=5_000)
    concurrency: Concurrency | None = None
    phases: tuple[AnyPhase, ...] = Field(min_length=1, max_length=PHASES_MAX)

    @model_validator(mode="after")
    def _references_point_back(self) -> "WorkflowTemplate":
        seen: dict[str, AnyPhase] = {}
        for index, phase in enumerate(self.phases):
            for where, measure in _references(phase):
                _require_earlier(measure, seen, ("phases", index, *where))
            if phase.name in seen:
                hint = "every phase has its own name"
                raise _fault("twice", f"two phases are named {phase.name!r}", hint, ("phases", index, "name"))
            seen[phase.name] = phase
        return self

    def phase(self, name: str) -> AnyPhase:
        """The phase of this name; `KeyError` when there is none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a template: where, what, and what to do about it."""

    path: Where
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = ".".join(map(str, self.path)) or "the top"
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def parse_template(data: object, source: str, line_of: Callable[[Where], int | None] | None = None) -> WorkflowTemplate:
    """The template that `data` describes; `InvalidInput` lists every fault with its path in `source`.

    With `line_of`, which knows the line of a path in the source's text, each fault tells its line too.
    """
    try:
        return WorkflowTemplate.model_validate(data)
    except ValidationError as error:
        raise _refusal(f"{source} is not a workflow template", error, line_of) from None


def parse_tasks(data: object, source: str) -> tuple[TaskSpec, ...]:
    """The tasks that a phase's result lists, as `[…]` or `{"tasks": […]}`; `InvalidInput` lists every fault."""
    listed = data.get("tasks") if isinstance(data, Mapping) else data
    if not isinstance(listed, list) or not listed:
        raise InvalidInput(
            f'{source} is no list of tasks: it must be a JSON list, or {{"tasks": […]}}, of at least one task with a '
            "name and a title."
        )
    try:
        tasks = _TASKS.validate_python(listed)
        _require_unique_names(tasks)
    except ValidationError as error:
        raise _refusal(f"{source} is no list of tasks", error, None) from None
    except PydanticCustomError as error:
        raise InvalidInput(f"{source} is no list of tasks: {_told((), error.context or {})}") from None
    return tasks


_TASKS = TypeAdapter(Annotated[tuple[TaskSpec, ...], Field(max_length=TASKS_MAX)])


def _refusal(intro: str, error: ValidationError, line_of: Callable[[Where], int | None] | None) -> InvalidInput:
    details = error.errors()
    # a list whose every item is at fault is also called too short, which helps nobody
    inner = {detail["loc"][:-1] for detail in details} | {
        detail["loc"][:1] for detail in details if len(detail["loc"]) > 1
    }
    faults = [_to_fault(detail) for detail in details if detail["type"] != "too_short" or detail["loc"] not in inner]
    told = []
    for fault in faults[:FAULTS_SHOWN]:
        line = line_of(fault.path) if line_of is not None else None
        told.append(f"line {line}, {fault}" if line is not None else str(fault))
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return InvalidInput(f"{intro}: {'; '.join(told)}{more}", "input.spec")


def _to_fault(detail: ErrorDetails) -> Fault:
    path = _without_kind(detail["loc"])
    context = detail.get("ctx", {})
    if "hint" in context:
        return _told(path, context)
    return Fault(path, detail["msg"], HINTS.get(detail["type"], ""))


def _told(path: Where, context: Mapping[str, Any]) -> Fault:
    """What `_fault` put into an error."""
    return Fault(path + tuple(context["path"]), context["what"], context["hint"])


HINTS = {
    "missing": "add it",
    "string_pattern_mismatch": "lower-case words joined by hyphens, such as technical-review",
    "union_tag_invalid": "kind is one of decision, task, parallel, gate, function",
    "union_tag_not_found": "give kind: decision, task, parallel, gate or function",
    "model_type": "give keys and values",
}


def _without_kind(loc: Where) -> Where:
    """Pydantic names the kind of a phase after its index; the author of a template does not."""
    return loc[:2] + loc[3:] if loc[:1] == ("phases",) and len(loc) > 2 else loc


def _fault(code: str, what: str, hint: str, path: Where = ()) -> PydanticCustomError:
    """A fault in the form in which pydantic collects it."""
    return PydanticCustomError(code, "{what} ({hint})", {"what": what, "hint": hint, "path": path})


def _hint_for(key: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _require_unique_names(tasks: Sequence[TaskSpec], path: Where = ()) -> None:
    names = [task.name for task in tasks]
    for index, name in enumerate(names):
        if name in names[:index]:
            hint = "names are unique within a phase"
            raise _fault("twice", f"two tasks are named {name!r}", hint, (*path, index, "name"))


def _references(phase: AnyPhase) -> list[tuple[Where, str]]:
    """Where the phase refers to earlier ones, and to what: a phase's name, or the path of a measure."""
    found: list[tuple[Where, str]] = [(("uses", index), name) for index, name in enumerate(getattr(phase, "uses", ()))]
    match phase:
        case TaskPhase():
            found += [(("task", "uses", index), name) for index, name in enumerate(phase.task.uses)]
        case ParallelPhase():
            for index, task in enumerate(phase.tasks):
                found += [(("tasks", index, "uses", number), name) for number, name in enumerate(task.uses)]
            found += [(("tasks_from",), phase.tasks_from)] if phase.tasks_from else []
        case GatePhase():
            found += [(("checks", index, "measure"), check.measure) for index, check in enumerate(phase.checks)]
            found += [(("on_revision",), phase.on_revision)] if phase.on_revision else []
        case DecisionPhase() | FunctionPhase():
            pass
    return found


def _require_earlier(measure: str, seen: Mapping[str, AnyPhase], path: Where) -> None:
    name, _, rest = measure.partition(".")
    if name not in seen:
        hint = f"earlier phases: {', '.join(seen)}" if seen else "it is the first phase"
        raise _fault("reference", f"{name!r} is no earlier phase", hint, path)
    phase = seen[name]
    if rest and isinstance(phase, ParallelPhase) and phase.tasks:
        tasks = [task.name for task in phase.tasks]
        if rest.split(".")[0] not in tasks:
            hint = f"its tasks: {', '.join(tasks)}"
            raise _fault("reference", f"the phase {name!r} has no task {rest.split('.')[0]!r}", hint, path)
