"""Random templates, and what is answered to everything that they ask: drawn from a seed, whatever happens meanwhile.

Every answer is drawn from the seed and from what it answers to, never from the order in which it is given. So the way
that an execution takes is settled beforehand (tests/engine/chaos/oracle.py follows it), and faults may not change it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.quality_gates import ApprovalStatus, ReviewVerdict
from app.domain.templates import WorkflowTemplate, parse_template

ROLES = ("architect", "developer", "qa", "analyst")
CAPABILITIES = ("lint", "types")
"""What every simulated agent can do."""
PHASES_MAX = 7
MAX_FAILURES = 3
"""Of decisions and reviews; tasks of work have their own."""
SETTLED = 3
"""The attempt or revision from which every verdict is an approval, so that every execution ends."""

VERDICTS = (ApprovalStatus.APPROVED, ApprovalStatus.REQUIRES_REVISION, ApprovalStatus.REJECTED)
ADVICE = (ReviewVerdict.APPROVE, ReviewVerdict.REQUEST_REVISION, ReviewVerdict.REJECT)


@dataclass(frozen=True)
class Plan:
    """One execution: its template and all that is answered in it. `retries`: how often it is retried when it failed."""

    seed: str
    template: WorkflowTemplate
    retries: int

    def failures(self, phase: str, attempt: int, task: str, max_failures: int) -> int:
        """How often the task fails before it succeeds; `max_failures` when it never does."""
        chance = self._chance("failures", phase, attempt, task)
        if attempt < SETTLED and chance.random() < 0.02:
            return max_failures
        return min(chance.choices((0, 1, 2), (85, 12, 3))[0], max_failures - 1)

    def review_failures(self, phase: str, attempt: int, task: str) -> int:
        """The same of a review, which always succeeds in the end: people need not wait for the last one."""
        return self._chance("failures", phase, attempt, task).choices((0, 1, 2), (90, 8, 2))[0]

    def result(self, phase: str, attempt: int, task: str) -> dict[str, Any]:
        """The result of a task of work: figures, and where a later phase takes its tasks from it, a list of them."""
        chance = self._chance("result", phase, attempt, task)
        result: dict[str, Any] = {"score": chance.randint(0, 10)}
        if any(getattr(later, "tasks_from", None) == phase for later in self.template.phases):
            listed = [_work(f"item-{number}", chance) for number in range(1, chance.randint(2, 4))]
            result["tasks"] = [] if attempt < SETTLED and chance.random() < 0.05 else listed
        return result

    def verdict(self, phase: str, attempt: int, revision: int) -> ApprovalStatus:
        """The verdict on this revision of the gate that this attempt made."""
        if attempt >= SETTLED or revision >= SETTLED:
            return ApprovalStatus.APPROVED
        return self._chance("verdict", phase, attempt, revision).choices(VERDICTS, (70, 22, 8))[0]

    def advice(self, phase: str, attempt: int, task: str) -> ReviewVerdict:
        """What a reviewer says, which binds nobody."""
        return self._chance("advice", phase, attempt, task).choices(ADVICE, (6, 3, 1))[0]

    def _chance(self, *key: object) -> random.Random:
        return random.Random("/".join(map(str, (self.seed, *key))))  # noqa: S311


def draw_plan(seed: str, name: str) -> Plan:
    """The plan of this seed; its template has the name."""
    chance = random.Random(seed)  # noqa: S311
    phases: list[dict[str, Any]] = []
    for number in range(1, chance.randint(1, PHASES_MAX) + 1):
        kind = chance.choice(KINDS)
        if kind != "loop" or phases:
            phases.append({"name": f"{kind}-{number}", "kind": kind, **DRAW[kind](chance, phases)})
    _lead_on(chance, phases)
    # a loop that came first was left out
    phases = phases or [{"name": "wait-1", "kind": "wait", "seconds": 0.1}]
    data = {"name": name, "description": f"Drawn from the seed {seed}.", "phases": phases}
    return Plan(seed, parse_template(data, name), chance.choice((0, 1, 1, 2)))


def _lead_on(chance: random.Random, phases: list[dict[str, Any]]) -> None:
    """Let branches lead to later phases or the end, in some of their passes; never all the way at once."""
    later = ["end"]
    for phase in reversed(phases):
        if phase["kind"] == "branch":
            when = f"attempt % {chance.choice((2, 3))} == {chance.choice((0, 1))}"
            phase["cases"] = [{"when": when, "next": chance.choice(later)}]
        later.append(phase["name"])


def _draw_branch(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {}


def _draw_loop(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Its passes are counted over the whole execution, so it goes back once or twice at most."""
    rounds = chance.randint(1, 3)
    return {"back_to": chance.choice(earlier)["name"], "until": f"attempt >= {rounds}", "max_rounds": rounds}


def _draw_wait(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"seconds": chance.choice((0.05, 0.2, 0.5))}


def _maybe_retried(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.6:
        return {}
    return {"retry": {"max_attempts": chance.randint(2, 3), "backoff_seconds": chance.choice((0, 0.1))}}


def _draw_task(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"task": {**_work("work", chance), "uses": _some(chance, earlier)}, **_maybe_retried(chance)}


def _draw_parallel(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"uses": _some(chance, earlier), "role": chance.choice((None, *ROLES))}
    spec |= _maybe_retried(chance)
    sources = [phase["name"] for phase in earlier if phase["kind"] == "task"]
    if sources and chance.random() < 0.4:
        return {**spec, "tasks_from": chance.choice(sources)}
    return {**spec, "tasks": [_work(f"part-{number}", chance) for number in range(1, chance.randint(2, 5))]}


def _draw_decision(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"question": "Which way?", "uses": _some(chance, earlier)}


def _draw_gate(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "gate_type": chance.choice(("technical_review", "security_check", "final_approval")),
        "title": "A gate",
        "reviewers": chance.sample(ROLES, chance.choice((0, 0, 1, 2))),
        "verdict_by": chance.choice(("pm", "pm", "human")),
        "uses": _some(chance, earlier),
        "max_revisions": chance.randint(0, 2),
        "checks": [
            {"name": phase["name"], "measure": f"{phase['name']}.score", "at_least": 5}
            for phase in earlier
            if phase["kind"] == "task" and chance.random() < 0.5
        ],
    }
    if earlier and chance.random() < 0.7:
        spec["on_revision"] = chance.choice(earlier)["name"]
    return spec


DRAW = {
    "task": _draw_task,
    "parallel": _draw_parallel,
    "decision": _draw_decision,
    "gate": _draw_gate,
    "branch": _draw_branch,
    "loop": _draw_loop,
    "wait": _draw_wait,
}
KINDS = ("task", "task", "parallel", "parallel", "decision", "gate", "gate", "branch", "loop", "wait")


def _work(name: str, chance: random.Random) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Do {name}",
        "role": chance.choice((None, *ROLES)),
        "capabilities": chance.sample(CAPABILITIES, chance.choice((0, 0, 1))),
        "max_failures": chance.randint(1, 4),
    }


def _some(chance: random.Random, earlier: Sequence[dict[str, Any]]) -> list[str]:
    return [phase["name"] for phase in earlier if chance.random() < 0.4]
