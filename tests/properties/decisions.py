"""The commands of decisions: what they are given, and what must become of them, of requests and of gates."""

from app.domain.errors import ErrorCode
from app.domain.principals import Principal
from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import TaskKind
from tests.properties.commands import Command, Dice, Fields
from tests.properties.model import ADMINISTERING, LEADING, Agent, Decision, Execution, Faults, Gate, State, Task
from tests.properties.tasks import answer, check_answer

EVIDENCE = {"intervalStart": "2026-01-01T00:00:00Z", "intervalEnd": "2026-01-02T00:00:00Z", "snapshot": {"count": 1}}


def _record(state: State, dice: Dice) -> Fields:
    given: Fields = {
        "decisionType": dice.one_of(("TASK_ASSIGNMENT", "RESOURCE_ALLOCATION", "ESCALATION")),
        "contextData": {"request": "login"},
        "reasoningProcess": dice.maybe(" ", "a login page was asked for", 16),
        "outcome": dice.maybe("", "build a login page", 16),
        "confidenceScore": dice.maybe(0, 8, 16),
    }
    if state.all(Execution) and dice.once_in(2):
        given["executionId"] = dice.id_of(state, Execution)
    if state.all(Agent) and dice.once_in(4):
        given["evidence"] = [EVIDENCE | {"agentId": dice.id_of(state, Agent)}]
    if state.all(Execution) and dice.once_in(3):
        given["qualityGates"] = [_gate(state, dice) for _ in range(1 + dice.below(2))]
    if state.all(Task) and dice.once_in(3):
        task_id, version = dice.thing(state, Task)
        given |= {"taskId": task_id, "expectedVersion": version}
    return given


def _gate(state: State, dice: Dice) -> Fields:
    return {
        "workflowExecutionId": dice.id_of(state, Execution),
        "gateName": dice.one_of(("Review", "Security")),
        "gateType": "TECHNICAL_REVIEW",
        "reviewers": dice.one_of(([], ["rita", f"{state.name}-a"])),
    }


def _recorded(state: State, actor: Principal, given: Fields) -> None:
    """The decision and its gates, then the request that it answers."""
    gates = given.get("qualityGates", [])
    faults = _check_record(state, given)
    ids = [given.get("executionId"), *(item["agentId"] for item in given.get("evidence", ()))]
    ids += [gate["workflowExecutionId"] for gate in gates]
    faults.when(any(i is not None and i not in state.keys_of for i in ids), ErrorCode.NOT_FOUND)
    for gate in gates:
        if gate["workflowExecutionId"] in state.keys_of:
            execution = state.find(Execution, gate["workflowExecutionId"])
            faults.when(execution.has_ended, ErrorCode.BLOCKED)
    if "taskId" in given:
        answering = check_answer(state, actor, given["taskId"], given["expectedVersion"], TaskKind.DECISION)
        # a request about a gate asks for a verdict
        about_gate = state.find(Task, given["taskId"]).gate is not None
        answering.when(about_gate, ErrorCode.INVALID_INPUT)
        faults.codes |= answering.codes
    faults.settle()
    state.add(Decision, "recorded")
    for gate in gates:
        add_gate(state, gate["workflowExecutionId"], gate["gateName"], gate["reviewers"])
    if "taskId" in given:
        answer(state, given["taskId"])


def _check_record(state: State, given: Fields) -> Faults:
    faults = Faults()
    texts = given["reasoningProcess"].strip() and given["outcome"].strip()
    faults.when(not texts or not 1 <= given["confidenceScore"] <= 10, ErrorCode.INVALID_INPUT)
    if "taskId" in given:
        faults.find(state, Task, given["taskId"])
    return faults


def add_gate(state: State, execution_id: str, name: str, reviewers: list[str], *, human: bool = False) -> Gate:
    """A gate, whose review begins at once when there is anybody to review it."""
    gate = state.add(Gate, "created", execution=state.keys_of[execution_id], name=name, human=human)
    if reviewers:
        gate.asked = frozenset(reviewers)
        state.move(gate, ApprovalStatus.IN_REVIEW, "opened")
    return gate


def _of_decision(state: State, dice: Dice) -> Fields:
    decision_id, version = dice.thing(state, Decision)
    return {"decisionId": decision_id, "expectedVersion": version}


def _annotate(state: State, dice: Dice) -> Fields:
    return {**_of_decision(state, dice), "learningNotes": dice.one_of(("ask for the budget first", ""))}


def _annotated(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    decision = faults.find(state, Decision, given["decisionId"])
    faults.check(decision, given["expectedVersion"])
    faults.settle()
    state.amend(decision, "annotated")


def _erase(state: State, dice: Dice) -> Fields:
    return {**_of_decision(state, dice), "reason": dice.maybe(" ", "asked for by the customer", 16)}


def _erased(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(not given["reason"].strip(), ErrorCode.INVALID_INPUT)
    decision = faults.find(state, Decision, given["decisionId"])
    faults.check(decision, given["expectedVersion"])
    faults.when(decision.erased and not faults.codes, ErrorCode.ILLEGAL_TRANSITION)
    faults.settle()
    decision.erased = True
    state.amend(decision, "erased")


ENTITY = "decision { decisionId }"
RECORD = Command("decisionRecord", LEADING, _record, _recorded, ENTITY)
ANNOTATE = Command("decisionAnnotate", LEADING, _annotate, _annotated, ENTITY)
ERASE = Command("decisionErase", ADMINISTERING, _erase, _erased, ENTITY)

DECISIONS = (RECORD, ANNOTATE, ERASE)
