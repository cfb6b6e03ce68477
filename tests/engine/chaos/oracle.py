"""What must come of a plan: the way through its template, told without engine, database or clock.

It follows docs/adr/0017 and the phases' rules in words of its own, so that a campaign compares two independent answers.
"""

from collections import Counter
from dataclasses import dataclass, field

from app.domain.flow_phases import BranchPhase, LoopPhase, WaitPhase
from app.domain.gate_phase import GatePhase
from app.domain.quality_gates import ApprovalStatus
from app.domain.templates import AnyPhase, DecisionPhase, ParallelPhase, TaskPhase
from tests.engine.chaos.plans import MAX_FAILURES, Plan

Pass = tuple[str, int]
"""A phase and its attempt, from 1."""


@dataclass
class Prediction:
    """What must be found when all is over.

    `path`: phase, attempt and status of each step. `tasks`: how often each task fails, by pass and name; in a pass that
    failed some of them may not have come to their end. `verdicts`: how many were given on the gates of each phase.
    """

    path: list[tuple[str, int, str]] = field(default_factory=list)
    tasks: dict[Pass, dict[str, int]] = field(default_factory=dict)
    verdicts: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    failures: int = 0
    warnings: int = 0
    status: str = ""


@dataclass
class Gate:
    """A gate as its phase finds it again: the attempt that made it."""

    attempt: int
    revision: int = 0
    status: ApprovalStatus = ApprovalStatus.IN_REVIEW


@dataclass(frozen=True)
class Ended:
    """How a pass ended, and where the execution goes on: None at the next phase, or after a failure at the same."""

    well: bool = True
    at: str | None = None


def predict(plan: Plan) -> Prediction:
    """Follow the plan to its end."""
    return _Walk(plan).go()


class _Walk:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._phases = {phase.name: phase for phase in plan.template.phases}
        self._names = list(self._phases)
        self._attempts: Counter[str] = Counter()
        self._completed: dict[str, int] = {}
        self._gates: dict[str, Gate] = {}
        self._told = Prediction()

    def go(self) -> Prediction:
        name, retries, tries = self._names[0], self._plan.retries, 1
        while name:
            ended = self._visit(self._phases[name])
            self._told.path.append((name, self._attempts[name], "completed" if ended.well else "failed"))
            if ended.well:
                self._completed[name], tries = self._attempts[name], 1
                name = ended.at if ended.at is not None else self._after(name)
                continue
            retry = self._phases[name].retry
            if retry is not None and tries < retry.max_attempts:
                self._told.warnings, tries = self._told.warnings + 1, tries + 1
                continue
            tries = 1
            self._told.failures += 1
            if retries == 0:
                self._told.status = "failed"
                return self._told
            retries -= 1
            name = ended.at or name
        self._told.status = "completed"
        return self._told

    def _after(self, name: str) -> str:
        return dict(zip(self._names, [*self._names[1:], ""], strict=True))[name]

    def _visit(self, phase: AnyPhase) -> Ended:
        self._attempts[phase.name] += 1
        match phase:
            case TaskPhase():
                return self._work(phase.name, {phase.task.name: phase.task.max_failures})
            case ParallelPhase():
                return self._parallel(phase)
            case DecisionPhase():
                ended = self._work(phase.name, {phase.name: MAX_FAILURES})
                self._told.decisions += ended.well
                return ended
            case GatePhase():
                return self._gate(phase)
            case BranchPhase():
                return Ended(at=self._branched(phase))
            case LoopPhase():
                enough = int(str(phase.until).rpartition(" ")[2])
                return Ended(at=None if self._attempts[phase.name] >= enough else phase.back_to)
            case WaitPhase():
                return Ended()
            case _:
                raise NotImplementedError(f"no plan has phases of the kind {phase.kind}")

    def _branched(self, phase: BranchPhase) -> str | None:
        """Its one case holds for some of its passes: `attempt % 3 == 1`."""
        case = phase.cases[0]
        _, _, divisor, _, rest = case.when.split()
        if self._attempts[phase.name] % int(divisor) != int(rest):
            return None
        return "" if case.next == "end" else case.next

    def _tasks_of(self, phase: ParallelPhase) -> dict[str, int]:
        if phase.tasks_from is None:
            return {task.name: task.max_failures for task in phase.tasks}
        source = self._phases[phase.tasks_from]
        assert isinstance(source, TaskPhase)
        if source.name not in self._completed:
            # it was passed over
            return {}
        result = self._plan.result(source.name, self._completed[source.name], source.task.name)
        return {task["name"]: task["max_failures"] for task in result["tasks"]}

    def _work(self, phase: str, tasks: dict[str, int]) -> Ended:
        """Tasks that are joined; a list without any fails its phase."""
        known = self._told.tasks.setdefault((phase, self._attempts[phase]), {})
        for name, limit in tasks.items():
            known[name] = self._plan.failures(phase, self._attempts[phase], name, limit)
        return Ended(bool(tasks) and all(known[name] < limit for name, limit in tasks.items()))

    def _parallel(self, phase: ParallelPhase) -> Ended:
        """As `_work`, but a pass that is retried does not ask again for what the failed one had completed.

        Which tasks had come to their end by then nobody knows beforehand; so one that was to succeed then does so now
        too, after as many failures, whether it is taken over or made anew.
        """
        before = self._told.tasks.get((phase.name, self._attempts[phase.name] - 1), {}) if self._repeats(phase) else {}
        tasks = self._tasks_of(phase)
        ended = self._work(phase.name, tasks)
        known = self._told.tasks[phase.name, self._attempts[phase.name]]
        known |= {name: failures for name, failures in before.items() if name in tasks and failures < tasks[name]}
        return Ended(bool(tasks) and all(known[name] < limit for name, limit in tasks.items()), ended.at)

    def _repeats(self, phase: ParallelPhase) -> bool:
        """Whether the pass right before was through this phase, and failed."""
        return self._told.path[-1:] == [(phase.name, self._attempts[phase.name] - 1, "failed")]

    def _gate(self, phase: GatePhase) -> Ended:
        gate = self._reopened(phase.name)
        while True:
            if not self._asked(phase, gate):
                return Ended(well=False)
            gate.status = self._plan.verdict(phase.name, gate.attempt, gate.revision)
            self._told.verdicts[phase.name] += 1
            match gate.status:
                case ApprovalStatus.APPROVED:
                    return Ended()
                case ApprovalStatus.REJECTED:
                    return Ended(well=False, at=phase.on_revision)
            if phase.on_revision is not None:
                return Ended(gate.revision < phase.max_revisions, phase.on_revision)
            # a person reopens it where it stands
            gate.revision, gate.status = gate.revision + 1, ApprovalStatus.IN_REVIEW

    def _reopened(self, phase: str) -> Gate:
        gate = self._gates.get(phase)
        if gate is None or gate.status in (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED):
            gate = self._gates[phase] = Gate(self._attempts[phase])
        elif gate.status is ApprovalStatus.REQUIRES_REVISION:
            gate.revision, gate.status = gate.revision + 1, ApprovalStatus.IN_REVIEW
        return gate

    def _asked(self, phase: GatePhase, gate: Gate) -> bool:
        """The reviews and the request for the verdict; False when nobody could answer that."""
        attempt = self._attempts[phase.name]
        known = self._told.tasks.setdefault((phase.name, attempt), {})
        suffix = f"-{gate.revision + 1}" if gate.revision else ""
        for role in phase.reviewers:
            name = f"review-{role.value}{suffix}"
            known[name] = self._plan.review_failures(phase.name, attempt, name)
        if phase.verdict_by == "human":
            return True
        name = f"verdict{suffix}"
        known[name] = self._plan.failures(phase.name, attempt, name, MAX_FAILURES)
        return known[name] < MAX_FAILURES
