"""The hub as the data model has it, in memory: what exists, who may do what, and what a change of one thing entails.

It knows the state machines of app/domain and nothing else of the hub: what a command does to it is written down anew,
beside each command. Rules read the state and change it; `Refused` leaves it to whoever calls to forget the half-done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from app.domain.agents import AGENT_MACHINE, AgentRole, AgentStatus
from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.machines import Machine
from app.domain.model_assignments import ASSIGNMENT_MACHINE, AssignmentStatus
from app.domain.principals import Principal, Role
from app.domain.quality_gates import GATE_MACHINE, ApprovalStatus
from app.domain.schedules import SCHEDULE_MACHINE
from app.domain.tasks import TASK_MACHINE, TaskKind, TaskStatus
from app.domain.workflows import EXECUTION_MACHINE, ExecutionStatus, StepStatus

MOST_RELEASES = 10
HELD = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)
ONLINE = (AgentStatus.IDLE, AgentStatus.ACTIVE, AgentStatus.BUSY)
ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
FINAL_TASKS = (TaskStatus.COMPLETED, TaskStatus.CANCELLED)
FINAL_GATES = (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED)


@dataclass
class Thing:
    """An entity. Its key is the model's name for it; its id is the hub's, None until the hub has told it.

    Things refer to each other by keys. What they hold is replaced and never changed in place, so that a shallow copy
    of a thing is a copy.
    """

    aggregate: ClassVar[Aggregate]
    machine: ClassVar[Machine[Any] | None] = None

    key: str
    id: str | None = None
    status: Any = None
    version: int = 1

    def copy(self) -> Self:
        """Another thing with the same facts; eight times as fast as `copy.copy`."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def __post_init__(self) -> None:
        if self.machine is not None and self.status is None:
            self.status = self.machine.initial


@dataclass
class Agent(Thing):
    aggregate = Aggregate.AGENT
    machine = AGENT_MACHINE

    role: AgentRole = AgentRole.DEVELOPER
    concurrency: int = 1
    capabilities: frozenset[str] = frozenset()
    most: int = 1
    """The highest concurrency that it ever had."""


@dataclass
class Task(Thing):
    aggregate = Aggregate.TASK
    machine = TASK_MACHINE

    kind: TaskKind = TaskKind.WORK
    execution: str | None = None
    gate: str | None = None
    phase: str | None = None
    needs: tuple[str, ...] = ()
    role: AgentRole | None = None
    capabilities: frozenset[str] = frozenset()
    priority: int = 5
    failures: int = 0
    releases: int = 0
    escalated: bool = False
    """It failed or came back too often, and waits for a person."""
    holder: str | None = None
    """The agent that has it at hand, or had when it ended."""

    @property
    def is_held(self) -> bool:
        return self.status in HELD


@dataclass
class Execution(Thing):
    aggregate = Aggregate.WORKFLOW
    machine = EXECUTION_MACHINE

    steps: tuple[StepStatus, ...] = ()

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass
class Schedule(Thing):
    aggregate = Aggregate.SCHEDULE
    machine = SCHEDULE_MACHINE


@dataclass
class Decision(Thing):
    aggregate = Aggregate.DECISION

    erased: bool = False


@dataclass
class Gate(Thing):
    aggregate = Aggregate.QUALITY_GATE
    machine = GATE_MACHINE

    execution: str = ""
    name: str = "Review"
    human: bool = False
    revision: int = 0
    asked: frozenset[str] = frozenset()
    """Who was asked to review the present revision."""
    reviewed: frozenset[str] = frozenset()
    """Who has reviewed the present revision, asked or not."""
    checks: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """The thresholds of its checks: at most, at least."""
    escalated: bool = False
    waived: bool = False
    closed: bool = False
    """Its execution has ended before its verdict."""
    verdict: str | None = None
    """The decision behind the last verdict."""


@dataclass
class Assignment(Thing):
    aggregate = Aggregate.MODEL_ASSIGNMENT
    machine = ASSIGNMENT_MACHINE

    agent: str = ""
    task: str = ""
    chain: int = 0
    """How many models are left to be tried after it."""
    fallback_of: str | None = None


Kind = TypeVar("Kind", bound=Thing)


class Change(NamedTuple):
    """An event that is to be written. The key is None for what the model does not keep: metrics, messages to all."""

    aggregate: Aggregate
    key: str | None
    event_type: str
    from_status: str | None
    to_status: str | None
    version: int | None


class Refused(Exception):
    """The codes with which a command may be refused, with the version that STALE_VERSION tells."""

    def __init__(self, codes: Mapping[ErrorCode, int | None]) -> None:
        super().__init__(", ".join(codes))
        self.codes = codes


class Faults:
    """What is wrong with a command. Any of it may be told, but that a thing is stale before that it is illegal."""

    def __init__(self) -> None:
        self.codes: dict[ErrorCode, int | None] = {}

    def when(self, condition: bool, code: ErrorCode) -> None:
        """Note a fault if there is one."""
        if condition:
            self.codes[code] = None

    def find(self, state: "State", kind: "type[Kind]", entity_id: str) -> "Kind":
        """The thing with this id of the hub; without it nothing more can be said of the command. Raises `Refused`."""
        found = state.things.get(state.keys_of.get(entity_id, ""))
        if not isinstance(found, kind):
            self.codes[ErrorCode.NOT_FOUND] = None
            raise Refused(self.codes)
        return found

    def check(self, thing: Thing, expected: int | None, target: StrEnum | None = None) -> None:
        """Somebody else changed the thing first, or the machine has no such way."""
        if expected is not None and expected != thing.version:
            self.codes[ErrorCode.STALE_VERSION] = thing.version
        elif target is not None:
            assert thing.machine is not None
            self.when(target not in thing.machine.allowed_from(thing.status), ErrorCode.ILLEGAL_TRANSITION)

    def settle(self) -> None:
        """Raise `Refused` if anything is wrong."""
        if self.codes:
            raise Refused(self.codes)


def refuse(*codes: ErrorCode) -> Refused:
    """A refusal for one of these reasons."""
    return Refused(dict.fromkeys(codes))


class State:
    """All that one sequence has made, and the changes of the command under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.things: dict[str, Thing] = {}
        self.keys_of: dict[str, str] = {}
        self.used: dict[tuple[str, str], Any] = {}
        """Idempotency keys that were used: holder and key to the request that was carried out."""
        self.changes: list[Change] = []
        self._made = 0

    def copy(self) -> "State":
        """A state that can be changed without changing this one; without the changes of the last command."""
        other = State(self.name)
        other.things = {key: thing.copy() for key, thing in self.things.items()}
        other.keys_of = dict(self.keys_of)
        other.used = dict(self.used)
        other._made = self._made
        return other

    # what there is

    def all(self, kind: type[Kind]) -> list[Kind]:
        """The things of a kind, the oldest first: ids of the hub rise with time."""
        found = [thing for thing in self.things.values() if isinstance(thing, kind)]
        return sorted(found, key=lambda thing: thing.id or "~" + thing.key)

    def find(self, kind: type[Kind], entity_id: str) -> Kind:
        """The thing with this id of the hub. Raises `Refused`."""
        return Faults().find(self, kind, entity_id)

    def get(self, kind: type[Kind], key: str) -> Kind:
        """The thing with this key."""
        found = self.things[key]
        assert isinstance(found, kind)
        return found

    def bind(self, key: str, entity_id: str) -> None:
        """The hub has told the id of a thing."""
        self.things[key].id = entity_id
        self.keys_of[entity_id] = key

    def held_by(self, agent: Agent) -> list[Task]:
        """The tasks that the agent has at hand."""
        return [task for task in self.all(Task) if task.is_held and task.holder == agent.key]

    def open_tasks(self, execution: Execution) -> list[Task]:
        """The tasks of an execution that may still go on."""
        return [t for t in self.all(Task) if t.execution == execution.key and t.status not in FINAL_TASKS]

    # what happens

    def add(self, kind: type[Kind], event_type: str, key: str | None = None, /, **facts: Any) -> Kind:
        """A new thing, with its first event."""
        self._made += 1
        thing = kind(key or f"{kind.__name__.lower()}-{self._made:03}", **facts)
        self.things[thing.key] = thing
        if thing.id is not None:
            self.keys_of[thing.id] = thing.key
        self._note(thing, event_type, None, thing.version)
        return thing

    def move(self, thing: Thing, target: StrEnum, event_type: str) -> None:
        """Another status, a version more, an event. Raises `Refused` when the machine has no such way."""
        faults = Faults()
        faults.check(thing, None, target)
        faults.settle()
        before, thing.status = thing.status, target
        thing.version += 1
        self._note(thing, event_type, before, thing.version)

    def amend(self, thing: Thing, event_type: str) -> None:
        """A version more and an event, in the same status."""
        thing.version += 1
        self._note(thing, event_type, thing.status, thing.version)

    def tell(self, aggregate: Aggregate, key: str | None, event_type: str) -> None:
        """An event of no change of a version."""
        self.changes.append(Change(aggregate, key, event_type, None, None, None))

    def _note(self, thing: Thing, event_type: str, before: StrEnum | None, version: int) -> None:
        self.changes.append(Change(thing.aggregate, thing.key, event_type, before, thing.status, version))

    def follow_load(self, agent: Agent) -> None:
        """An online agent's status follows its tasks: idle with none, active below its concurrency, busy at it."""
        if agent.status not in ONLINE:
            return
        held = len(self.held_by(agent))
        due = AgentStatus.BUSY if held >= agent.concurrency else AgentStatus.ACTIVE if held else AgentStatus.IDLE
        if due is not agent.status:
            self.move(agent, due, "status_changed")

    def let_go(self, task: Task) -> None:
        """A task left its agent's hands."""
        if task.holder is not None:
            self.follow_load(self.get(Agent, task.holder))

    def release_all(self, agent: Agent) -> None:
        """The agent gives everything back; its status is the caller's to set."""
        for task in self.held_by(agent):
            self.give_back(task)

    def give_back(self, task: Task) -> None:
        """A task comes back to the pool; once too often, and it waits for a person."""
        self.move(task, TaskStatus.PENDING, "released")
        self.end_models(task)
        task.holder = None
        task.releases += 1
        if task.releases > MOST_RELEASES:
            task.escalated = True
            self.tell(Aggregate.TASK, task.key, "escalated")

    def cancel_waiting(self, ended: Task) -> None:
        """What waits for a task that will not be completed is cancelled, and what waits for that."""
        doomed = [t for t in self.all(Task) if ended.key in t.needs and t.status is TaskStatus.PENDING]
        for task in doomed:
            self.move(task, TaskStatus.CANCELLED, "cancelled")
        for task in doomed:
            self.cancel_waiting(task)

    def end_models(self, task: Task) -> None:
        """A task went back to the pool: nobody's model works on it any more."""
        for assignment in self.all(Assignment):
            if assignment.task == task.key and assignment.status is AssignmentStatus.ACTIVE:
                self.move(assignment, AssignmentStatus.CANCELLED, "cancelled")

    def undecided(self, execution: Execution) -> list[Gate]:
        """The gates of an execution that have no verdict."""
        return [g for g in self.all(Gate) if g.execution == execution.key and g.status not in FINAL_GATES]

    def close_gates(self, execution: Execution) -> None:
        """Gates of an execution that ends wait for nothing any more."""
        for gate in self.undecided(execution):
            if not gate.closed:
                gate.closed = True
                self.amend(gate, "closed")

    def cancel_open(self, execution: Execution, phase: str | None = None) -> None:
        """The end of an execution, or of a phase of it: nobody works for it any more."""
        if phase is None:
            self.close_gates(execution)
        doomed = [task for task in self.open_tasks(execution) if phase in (None, task.phase)]
        holders = {task.holder for task in doomed if task.is_held and task.holder is not None}
        for task in doomed:
            self.move(task, TaskStatus.CANCELLED, "cancelled")
        for key in sorted(holders):
            self.follow_load(self.get(Agent, key))


def is_foreign(actor: Principal, holder: str | None) -> bool:
    """Whether the actor speaks for another agent than the one that this belongs to."""
    return actor.agent_id is not None and actor.agent_id != holder


EVERYBODY = frozenset(Role)
ACTING = frozenset({Role.AGENT, Role.PM, Role.ADMIN})
REVIEWING = frozenset({Role.AGENT, Role.REVIEWER, Role.PM, Role.ADMIN})
LEADING = frozenset({Role.PM, Role.ADMIN})
ADMINISTERING = frozenset({Role.ADMIN})
