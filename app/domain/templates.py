"""Workflow templates: the phases of a workflow, in order, as data.

A template is YAML or JSON of this shape; `parse_template` tells every fault with its path. The engine compiles it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from app.domain.agents import AgentRole
from app.domain.concurrency import ConcurrencyPolicy
from app.domain.decisions import DecisionType
from app.domain.errors import InvalidInput
from app.domain.expressions import Expression, Gives, compile_expression
from app.domain.flow_phases import BranchPhase, LoopPhase, WaitPhase, WorkflowPhase
from app.domain.gate_conditions import phases_read
from app.domain.gate_phase import GatePhase
from app.domain.template_parts import END, Capability, Join, JsonSchema, Name, Part, Phase, Value, Where, fault, needed

FUNCTION_PATTERN = r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$"
TASKS_MAX = 200
PHASES_MAX = 200
FAULTS_SHOWN = 20

InputPath = Annotated[str, Field(pattern=r"^[^.\x00]+(\.[^.\x00]+)*$", max_length=300)]
OutputName = Annotated[str, Field(min_length=1, max_length=100)]


class TaskSpec(Part):
    """One piece of work: who can do it, how hard it is, and what it is given.

    `uses` names earlier phases whose results are put into the task's input. After `max_failures` failures the phase
    fails; a task that an agent released does not count. `depends_on` names tasks of the same phase that come first,
    `priority` 1 is offered before 9, `timeout_seconds` bounds one attempt.
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
    priority: int = Field(default=5, ge=1, le=9)
    timeout_seconds: int | None = Field(default=None, ge=1, le=604_800)
    depends_on: tuple[Name, ...] = Field(default=(), max_length=TASKS_MAX)


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

    @model_validator(mode="after")
    def _alone(self) -> "TaskPhase":
        if self.task.depends_on:
            hint = "tasks of one phase wait for each other in a phase of kind parallel"
            raise fault("alone", "there is no other task in this phase", hint, ("task", "depends_on"))
        return self


class ParallelPhase(Phase):
    """Many tasks at once: a fixed list, or the list that an earlier phase's result holds (`tasks_from`).

    `join` says how many must be completed, all, any (one) or a quorum; the rest is cancelled then.
    A result that is used by `tasks_from` is a JSON list of tasks, or `{"tasks": […]}`, each with at least `name` and
    `title`. `role` is for the tasks that name none; `uses` holds for all of them.
    """

    kind: Literal["parallel"]
    tasks: tuple[TaskSpec, ...] = Field(default=(), max_length=TASKS_MAX)
    tasks_from: Name | None = None
    role: AgentRole | None = None
    uses: tuple[Name, ...] = ()
    join: Join = "all"

    @model_validator(mode="after")
    def _one_source(self) -> "ParallelPhase":
        if bool(self.tasks) == (self.tasks_from is not None):
            raise fault("one_source", "has both or neither of tasks and tasks_from", "give one of them")
        _require_unique_names(self.tasks, ("tasks",))
        if self.tasks and needed(self.join, len(self.tasks)) > len(self.tasks):
            raise fault("join", "asks for more than there are", f"it has {len(self.tasks)} tasks", ("join", "quorum"))
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


AnyPhase = Annotated[
    DecisionPhase
    | TaskPhase
    | ParallelPhase
    | GatePhase
    | FunctionPhase
    | BranchPhase
    | LoopPhase
    | WaitPhase
    | WorkflowPhase,
    Field(discriminator="kind"),
]
KINDS = ("decision", "task", "parallel", "gate", "function", "branch", "loop", "wait", "workflow")


class Concurrency(Part):
    """What becomes of a start while `max` executions of the workflow are under way: it is allowed, rejected, queued, or
    replaces the oldest. With `key`, a dotted path into the input, only those with the same value there count.
    """

    policy: ConcurrencyPolicy
    key: InputPath | None = None
    max: int = Field(default=1, ge=1, le=1_000)


class WorkflowTemplate(Part):
    """A workflow: its phases in the order in which they run, unless one of them leads elsewhere; how many run at once.

    What it is started with fits `input_schema`. `output` names values that are computed at the end, which fit
    `output_schema`.
    """

    name: Name
    description: str = Field(min_length=1, max_length=5_000)
    input_schema: JsonSchema | None = None
    concurrency: Concurrency | None = None
    phases: tuple[AnyPhase, ...] = Field(min_length=1, max_length=PHASES_MAX)
    output: dict[OutputName, Value] = Field(default_factory=dict, max_length=100)
    output_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _references_point_back(self) -> "WorkflowTemplate":
        seen: dict[str, AnyPhase] = {}
        for index, phase in enumerate(self.phases):
            for where, measure in _references(phase):
                _require_earlier(measure, seen, ("phases", index, *where))
            _require_known_results(phase.expressions(), seen, ("phases", index))
            if phase.name in seen:
                hint = "every phase has its own name"
                raise fault("twice", f"two phases are named {phase.name!r}", hint, ("phases", index, "name"))
            seen[phase.name] = phase
        _require_known_results([(("output", name), value) for name, value in self.values().items()], seen, ())
        return self

    @model_validator(mode="after")
    def _jumps_lead_forward(self) -> "WorkflowTemplate":
        names = [phase.name for phase in self.phases]
        for index, phase in enumerate(self.phases):
            if phase.name == END:
                raise fault("reserved", "no phase is named end", "give it another name", ("phases", index, "name"))
            for where, name in phase.jumps():
                _require_later(name, names, index, ("phases", index, *where))
        return self

    @model_validator(mode="after")
    def _one_schema_a_signal(self) -> "WorkflowTemplate":
        schemas: dict[str, Any] = {}
        for index, phase in enumerate(self.phases):
            if not isinstance(phase, WaitPhase) or phase.signal is None:
                continue
            if schemas.setdefault(phase.signal, phase.payload_schema) != phase.payload_schema:
                hint = "give each wait for it the same schema"
                what = f"the signal {phase.signal!r} has two schemas"
                raise fault("schema", what, hint, ("phases", index, "schema"))
        return self

    def values(self) -> dict[str, Expression]:
        """The expressions of the output."""
        return {name: compile_expression(text, Gives.VALUE) for name, text in self.output.items()}

    @property
    def signals(self) -> dict[str, Any]:
        """The signals that it waits for, with their schemas or None."""
        return {
            phase.signal: phase.payload_schema
            for phase in self.phases
            if isinstance(phase, WaitPhase) and phase.signal is not None
        }

    @property
    def may_fail_on(self) -> bool:
        """Whether a pass may fail and the execution goes on."""
        return any(phase.retry is not None or phase.on_failure is not None for phase in self.phases)

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
    line: int | None = None

    def __str__(self) -> str:
        place = ".".join(map(str, self.path)) or ("the top" if self.line is None else "")
        where = ", ".join(part for part in ("" if self.line is None else f"line {self.line}", place) if part)
        joint = ": " if place else ", "
        return f"{where}{joint}{self.message}" + (f" ({self.hint})" if self.hint else "")


def parse_template(data: object, source: str) -> WorkflowTemplate:
    """The template that `data` describes; `InvalidInput` lists every fault with its path in `source`."""
    found = read_template(data)
    if isinstance(found, WorkflowTemplate):
        return found
    raise refusal(f"{source} is not a workflow template", found)


def read_template(data: object) -> WorkflowTemplate | list[Fault]:
    """The template that `data` describes, or all that is wrong with it."""
    try:
        return WorkflowTemplate.model_validate(data)
    except ValidationError as error:
        return _faults(error)


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
        raise refusal(f"{source} is no list of tasks", _faults(error)) from None
    except PydanticCustomError as error:
        raise InvalidInput(f"{source} is no list of tasks: {_told((), error.context or {})}") from None
    return tasks


_TASKS = TypeAdapter(Annotated[tuple[TaskSpec, ...], Field(max_length=TASKS_MAX)])


def _faults(error: ValidationError) -> list[Fault]:
    details = error.errors()
    # a list whose every item is at fault is also called too short, which helps nobody
    inner = {detail["loc"][:length] for detail in details for length in range(1, len(detail["loc"]))}
    return [_to_fault(detail) for detail in details if detail["type"] != "too_short" or detail["loc"] not in inner]


def refusal(intro: str, faults: Sequence[Fault]) -> InvalidInput:
    """The error that tells these faults, the first of them."""
    told = "; ".join(map(str, faults[:FAULTS_SHOWN]))
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return InvalidInput(f"{intro}: {told}{more}", "input.spec")


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
    "union_tag_invalid": f"kind is one of {', '.join(KINDS)}",
    "union_tag_not_found": f"give kind: {', '.join(KINDS[:-1])} or {KINDS[-1]}",
    "model_type": "give keys and values",
}


def _without_kind(loc: Where) -> Where:
    """Pydantic names the kind of a phase after its index; the author of a template does not."""
    return loc[:2] + loc[3:] if loc[:1] == ("phases",) and len(loc) > 2 else loc


def _require_unique_names(tasks: Sequence[TaskSpec], path: Where = ()) -> None:
    names = [task.name for task in tasks]
    for index, name in enumerate(names):
        if name in names[:index]:
            hint = "names are unique within a phase"
            raise fault("twice", f"two tasks are named {name!r}", hint, (*path, index, "name"))
    for index, task in enumerate(tasks):
        for place, other in enumerate(task.depends_on):
            if other not in names:
                hint = f"tasks of this phase: {', '.join(names)}"
                raise fault("unknown", f"{other!r} is no task", hint, (*path, index, "depends_on", place))
    placed = {task.name for task in in_order(tasks)}
    for index, task in enumerate(tasks):
        if task.name not in placed:
            message = f"the task {task.name!r} waits for itself, or for tasks that wait for each other"
            raise fault("circle", message, "break the circle", (*path, index, "depends_on"))


def in_order(tasks: Sequence[TaskSpec]) -> list[TaskSpec]:
    """The tasks, each after those that it depends on; without those of a circle, and those behind one."""
    placed: dict[str, TaskSpec] = {}
    while ready := [t for t in tasks if t.name not in placed and placed.keys() >= set(t.depends_on)]:
        placed |= {task.name: task for task in ready}
    return list(placed.values())


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
            found += [
                (("checks", index, "measure"), check.measure)
                for index, check in enumerate(phase.checks)
                if check.measure is not None and check.command is None
            ]
            found += _read_by_conditions(phase)
            found += [(("on_revision",), phase.on_revision)] if phase.on_revision else []
        case LoopPhase():
            found.append((("back_to",), phase.back_to))
        case _:
            pass
    return found


def _read_by_conditions(phase: GatePhase) -> list[tuple[Where, str]]:
    """The phases whose results the conditions of a gate name."""
    texts: list[tuple[Where, str | None]] = [(("criteria", index), text) for index, text in enumerate(phase.criteria)]
    for index, check in enumerate(phase.checks):
        texts += [(("checks", index, "when"), check.when), (("checks", index, "criteria"), check.criteria)]
    return [(where, name) for where, text in texts if text is not None for name in phases_read(text)]


def _require_earlier(measure: str, seen: Mapping[str, AnyPhase], path: Where) -> None:
    name, _, rest = measure.partition(".")
    if name not in seen:
        hint = f"earlier phases: {', '.join(seen)}" if seen else "it is the first phase"
        raise fault("reference", f"{name!r} is no earlier phase", hint, path)
    phase = seen[name]
    if rest and isinstance(phase, ParallelPhase) and phase.tasks:
        tasks = [task.name for task in phase.tasks]
        if rest.split(".")[0] not in tasks:
            hint = f"its tasks: {', '.join(tasks)}"
            raise fault("reference", f"the phase {name!r} has no task {rest.split('.')[0]!r}", hint, path)


def _require_later(name: str, names: Sequence[str], index: int, path: Where) -> None:
    if name == END or name in names[index + 1 :]:
        return
    if name in names:
        hint = "only a loop and a gate's on_revision go back"
        raise fault("forward", f"{name!r} is no later phase", hint, path)
    later = ", ".join([*names[index + 1 :], END])
    raise fault("reference", f"there is no phase {name!r}", f"it may lead to: {later}", path)


def _require_known_results(
    expressions: Sequence[tuple[Where, Expression]], seen: Mapping[str, AnyPhase], path: Where
) -> None:
    for where, expression in expressions:
        for name in sorted(expression.phases or ()):
            _require_earlier(name, seen, (*path, *where))
