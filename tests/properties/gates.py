"""The commands of quality gates: what they are given, and what must become of the gate, its requests and decisions."""

from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.principals import Principal
from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import TaskKind
from tests.properties.commands import Command, Dice, Fields, Rule
from tests.properties.decisions import add_gate
from tests.properties.model import (
    FINAL_GATES,
    FINAL_TASKS,
    LEADING,
    REVIEWING,
    Decision,
    Execution,
    Faults,
    Gate,
    State,
    Task,
)
from tests.properties.tasks import answer, check_answer

HUMAN = {"verdict_by": "human"}


def _people(state: State, dice: Dice) -> list[str]:
    return list(dice.one_of(((), ("rita",), (f"{state.name}-reviewer",), (f"{state.name}-a", "rita"))))


def _create(state: State, dice: Dice) -> Fields:
    given: Fields = {
        "workflowExecutionId": dice.id_of(state, Execution),
        "gateName": dice.maybe(" ", dice.one_of(("Review", "Security")), 16),
        "gateType": "SECURITY_CHECK",
        "validationCriteria": dice.one_of((None, HUMAN, {"verdict_by": "nobody"})),
    }
    if state.all(Decision) and dice.once_in(3):
        given["requestedByDecisionId"] = dice.id_of(state, Decision)
    return given


def _created(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    criteria = given["validationCriteria"]
    faults.when(not given["gateName"].strip() or criteria not in (None, HUMAN), ErrorCode.INVALID_INPUT)
    asking = given.get("requestedByDecisionId")
    faults.when(asking is not None and asking not in state.keys_of, ErrorCode.NOT_FOUND)
    execution = faults.find(state, Execution, given["workflowExecutionId"])
    faults.when(execution.has_ended, ErrorCode.BLOCKED)
    faults.settle()
    add_gate(state, given["workflowExecutionId"], given["gateName"], [], human=criteria == HUMAN)


def _of_gate(state: State, dice: Dice) -> Fields:
    gate_id, version = dice.thing(state, Gate)
    return {"gateId": gate_id, "expectedVersion": version}


def _gate(faults: Faults, state: State, given: Fields) -> Gate:
    """The gate; what stands against any change of it is that its execution has ended before it was decided."""
    gate = faults.find(state, Gate, given["gateId"])
    ended = state.get(Execution, gate.execution).has_ended
    faults.when(ended and gate.status not in FINAL_GATES, ErrorCode.BLOCKED)
    return gate


def _check_person(faults: Faults, gate: Gate, actor: Principal) -> None:
    faults.when(gate.human and actor.agent_id is not None, ErrorCode.FORBIDDEN)


def _open(state: State, dice: Dice) -> Fields:
    return {**_of_gate(state, dice), "reviewers": _people(state, dice)}


def _opened(state: State, actor: Principal, given: Fields) -> None:
    faults = Faults()
    gate = _gate(faults, state, given)
    _check_person(faults, gate, actor)
    faults.check(gate, given["expectedVersion"], ApprovalStatus.IN_REVIEW)
    # the hub alone goes back from an approval
    is_stale = ErrorCode.STALE_VERSION in faults.codes
    faults.when(gate.status is ApprovalStatus.APPROVED and not is_stale, ErrorCode.ILLEGAL_TRANSITION)
    faults.settle()
    if gate.status is ApprovalStatus.REQUIRES_REVISION:
        gate.revision += 1
        gate.asked = gate.reviewed = frozenset()
    gate.asked |= set(given["reviewers"])
    state.move(gate, ApprovalStatus.IN_REVIEW, "opened")


def _review(state: State, dice: Dice) -> Fields:
    given: Fields = {
        "gateId": dice.id_of(state, Gate),
        "verdict": dice.one_of(("APPROVE", "REQUEST_REVISION")),
        "score": dice.maybe("10.5", "8", 16),
    }
    return {**given, **_request(state, dice)}


def _request(state: State, dice: Dice) -> Fields:
    """Now and then the request that is answered."""
    if not (state.all(Task) and dice.once_in(2)):
        return {}
    task_id, version = dice.thing(state, Task)
    return {"taskId": task_id, "expectedVersion": version}


def _reviewed(state: State, actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(float(given["score"]) > 10, ErrorCode.INVALID_INPUT)
    gate = _gate(faults, state, given)
    faults.when(gate.status is not ApprovalStatus.IN_REVIEW, ErrorCode.BLOCKED)
    _check_request(faults, state, actor, gate, given, given.get("expectedVersion"), TaskKind.REVIEW)
    faults.settle()
    if "taskId" in given:
        answer(state, given["taskId"])
    gate.reviewed |= {actor.agent_id or actor.name}
    state.tell(Aggregate.QUALITY_GATE, gate.key, "reviewed")


def _check_request(
    faults: Faults, state: State, actor: Principal, gate: Gate, given: Fields, version: int | None, kind: TaskKind
) -> None:
    """What stands against answering the request that is named, if one is."""
    if "taskId" in given:
        task = faults.find(state, Task, given["taskId"])
        faults.when(task.gate != gate.key, ErrorCode.INVALID_INPUT)
        faults.codes |= check_answer(state, actor, given["taskId"], version, kind).codes


def _decide(state: State, dice: Dice) -> Fields:
    given = {
        **_of_gate(state, dice),
        "pmDecision": dice.maybe(" ", "as it should be", 16),
        "confidenceScore": dice.maybe(11, 9, 16),
        "qualityScore": dice.maybe("-1", "8.5", 16),
    }
    request = _request(state, dice)
    return {**given, "taskId": request["taskId"]} if request else given


def _decided(target: ApprovalStatus, event_type: str) -> Rule:
    def rule(state: State, actor: Principal, given: Fields) -> None:
        faults = Faults()
        wrong = given["confidenceScore"] > 10 or float(given["qualityScore"]) < 0 or not given["pmDecision"].strip()
        faults.when(wrong, ErrorCode.INVALID_INPUT)
        gate = _gate(faults, state, given)
        _check_person(faults, gate, actor)
        _check_request(faults, state, actor, gate, given, None, TaskKind.DECISION)
        faults.when(target is ApprovalStatus.APPROVED and bool(_outstanding(state, gate)), ErrorCode.BLOCKED)
        faults.check(gate, given["expectedVersion"], target)
        faults.settle()
        if "taskId" in given:
            answer(state, given["taskId"])
        gate.verdict = state.add(Decision, "recorded").key
        state.move(gate, target, event_type)

    return rule


def _waive(state: State, dice: Dice) -> Fields:
    given: Fields = {**_of_gate(state, dice), "reason": dice.maybe(" ", "the demo is today", 16)}
    return given | ({"evidenceHash": "0" * 64} if dice.once_in(16) else {})


def _waived(state: State, actor: Principal, given: Fields) -> None:
    """Approved, whoever is still to review it."""
    faults = Faults()
    faults.when(not given["reason"].strip(), ErrorCode.INVALID_INPUT)
    gate = _gate(faults, state, given)
    _check_person(faults, gate, actor)
    faults.when("evidenceHash" in given, ErrorCode.EVIDENCE_CHANGED)
    faults.check(gate, given["expectedVersion"], ApprovalStatus.APPROVED)
    faults.settle()
    gate.verdict = state.add(Decision, "recorded").key
    gate.waived = True
    state.move(gate, ApprovalStatus.APPROVED, "waived")


def _outstanding(state: State, gate: Gate) -> list[str]:
    """Who was asked and has not reviewed, and the open review requests."""
    open_requests = [
        task.key
        for task in state.all(Task)
        if task.gate == gate.key and task.kind is TaskKind.REVIEW and task.status not in FINAL_TASKS
    ]
    return [*(gate.asked - gate.reviewed), *open_requests]


def _assign(state: State, dice: Dice) -> Fields:
    return {**_of_gate(state, dice), "reviewers": _people(state, dice)}


def _assigned(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(not given["reviewers"], ErrorCode.INVALID_INPUT)
    gate = _gate(faults, state, given)
    faults.when(gate.status not in (ApprovalStatus.PENDING, ApprovalStatus.IN_REVIEW), ErrorCode.BLOCKED)
    faults.check(gate, given["expectedVersion"])
    faults.settle()
    gate.asked |= set(given["reviewers"])
    state.amend(gate, "review_requested")


def _record_checks(state: State, dice: Dice) -> Fields:
    checks = [_check(dice) for _ in range(1 + dice.below(2))]
    return {**_of_gate(state, dice), "checks": dice.maybe([], checks, 16)}


def _check(dice: Dice) -> Fields:
    limits = dice.one_of(({"atMost": 5.0}, {"atLeast": 1.0}, {}, {"atMost": 1.0, "atLeast": 2.0}))
    return {"name": dice.one_of(("coverage", "latency")), "measured": 3.0, **limits}


def _checks_recorded(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    names = [check["name"] for check in given["checks"]]
    faults.when(not names or len(set(names)) < len(names), ErrorCode.INVALID_INPUT)
    gate = _gate(faults, state, given)
    merged = dict(gate.checks)
    for check in given["checks"]:
        most, least = merged.get(check["name"], (None, None))
        most, least = check.get("atMost", most), check.get("atLeast", least)
        merged[check["name"]] = most, least
        wrong = (most is None and least is None) or (most is not None and least is not None and most < least)
        faults.when(wrong, ErrorCode.INVALID_INPUT)
    _check_undecided(faults, gate)
    faults.check(gate, given["expectedVersion"])
    faults.settle()
    gate.checks = merged
    state.amend(gate, "checks_recorded")


def _check_undecided(faults: Faults, gate: Gate) -> None:
    faults.when(gate.status in FINAL_GATES, ErrorCode.BLOCKED)


def _escalate(state: State, dice: Dice) -> Fields:
    return {**_of_gate(state, dice), "reason": dice.maybe("", "the reviewers disagree", 16)}


def _escalated(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(not given["reason"], ErrorCode.INVALID_INPUT)
    gate = _gate(faults, state, given)
    _check_undecided(faults, gate)
    faults.check(gate, given["expectedVersion"])
    faults.settle()
    gate.escalated = True
    state.amend(gate, "escalated")


def _resolved(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    gate = faults.find(state, Gate, given["gateId"])
    faults.when(not gate.escalated, ErrorCode.BLOCKED)
    faults.check(gate, given["expectedVersion"])
    faults.settle()
    gate.escalated = False
    state.amend(gate, "escalation_resolved")


ENTITY = "qualityGate { gateId }"
CREATE = Command("qualityGateCreate", LEADING, _create, _created, ENTITY)
OPEN = Command("qualityGateOpen", LEADING, _open, _opened, ENTITY)
REVIEW = Command("qualityGateReview", REVIEWING, _review, _reviewed, ENTITY)
APPROVE = Command("qualityGateApprove", LEADING, _decide, _decided(ApprovalStatus.APPROVED, "approved"), ENTITY)
REJECT = Command("qualityGateReject", LEADING, _decide, _decided(ApprovalStatus.REJECTED, "rejected"), ENTITY)
REVISE = Command(
    "qualityGateRequestRevision",
    LEADING,
    _decide,
    _decided(ApprovalStatus.REQUIRES_REVISION, "revision_requested"),
    ENTITY,
)
WAIVE = Command("qualityGateWaive", LEADING, _waive, _waived, ENTITY)
ASSIGN = Command("qualityGateAssignReviewers", LEADING, _assign, _assigned, ENTITY)
RECORD_CHECKS = Command("qualityGateRecordChecks", REVIEWING, _record_checks, _checks_recorded, ENTITY)
ESCALATE = Command("qualityGateEscalate", REVIEWING, _escalate, _escalated, ENTITY)
RESOLVE = Command("qualityGateResolveEscalation", LEADING, _of_gate, _resolved, ENTITY)

GATES = (CREATE, OPEN, REVIEW, APPROVE, REJECT, REVISE, WAIVE, ASSIGN, RECORD_CHECKS, ESCALATE, RESOLVE)
