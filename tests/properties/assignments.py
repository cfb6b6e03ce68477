"""The commands of model assignments: what they are given, and what must become of them and of their fallbacks."""

from app.domain.errors import ErrorCode
from app.domain.model_assignments import AssignmentStatus
from app.domain.principals import Principal
from tests.properties.commands import Command, Dice, Fields
from tests.properties.model import ACTING, Agent, Assignment, Decision, Faults, State, Task, is_foreign

FALLBACK = {"providerName": "ZAI_GLM", "modelName": "glm-4.5", "estimatedCost": "0.01"}


def _record(state: State, dice: Dice) -> Fields:
    given: Fields = {
        "agentId": dice.id_of(state, Agent),
        "taskId": dice.id_of(state, Task),
        "providerName": "ANTHROPIC_CLAUDE",
        "modelName": dice.maybe(" ", "claude-sonnet-4", 16),
        "assignmentReason": "COMPLEXITY_HIGH",
        "estimatedCost": dice.maybe("-0.01", "0.25", 16),
        "assignmentStatus": dice.one_of(("ACTIVE", "PENDING", "COMPLETED")),
        "fallbacks": [FALLBACK] * dice.below(3),
    }
    if state.all(Decision) and dice.once_in(3):
        given["decisionId"] = dice.id_of(state, Decision)
    return given


def _recorded(state: State, actor: Principal, given: Fields) -> None:
    faults = Faults()
    status = AssignmentStatus[given["assignmentStatus"]]
    wrong = status is AssignmentStatus.COMPLETED or not given["modelName"].strip() or given["estimatedCost"][0] == "-"
    faults.when(wrong, ErrorCode.INVALID_INPUT)
    faults.when("decisionId" in given and given["decisionId"] not in state.keys_of, ErrorCode.NOT_FOUND)
    agent = faults.find(state, Agent, given["agentId"])
    task = faults.find(state, Task, given["taskId"])
    faults.when(is_foreign(actor, task.holder), ErrorCode.CLAIM_LOST)
    free = task.holder is None and status is AssignmentStatus.PENDING
    faults.when(task.holder != agent.key and not free, ErrorCode.CLAIM_LOST)
    faults.settle()
    _add(state, agent.key, task.key, len(given["fallbacks"]), active=status is AssignmentStatus.ACTIVE)


def _add(
    state: State, agent: str, task: str, chain: int, *, active: bool, fallback_of: str | None = None
) -> Assignment:
    made = state.add(Assignment, "recorded", agent=agent, task=task, chain=chain, fallback_of=fallback_of)
    if active:
        state.move(made, AssignmentStatus.ACTIVE, "activated")
    return made


def _of_assignment(state: State, dice: Dice) -> Fields:
    assignment_id, version = dice.thing(state, Assignment)
    return {"assignmentId": assignment_id, "expectedVersion": version}


def _used(state: State, dice: Dice) -> Fields:
    return {**_of_assignment(state, dice), "actualCost": dice.maybe("-1", "0.3", 16), "tokensUsed": 4200}


def _with_reason(state: State, dice: Dice) -> Fields:
    return {**_used(state, dice), "reason": dice.maybe(" ", "it refuses to answer", 16)}


def _of_own(state: State, actor: Principal, given: Fields, target: AssignmentStatus) -> Assignment:
    """The assignment, unless it is another agent's, has changed, or cannot get there."""
    faults = Faults()
    wrong = not given.get("reason", "x").strip() or given.get("actualCost", "0")[0] == "-"
    faults.when(wrong, ErrorCode.INVALID_INPUT)
    found = faults.find(state, Assignment, given["assignmentId"])
    faults.when(is_foreign(actor, found.agent), ErrorCode.CLAIM_LOST)
    faults.check(found, given["expectedVersion"], target)
    if target is AssignmentStatus.ACTIVE:
        # it begins when its agent holds the task
        faults.when(state.get(Task, found.task).holder != found.agent, ErrorCode.CLAIM_LOST)
    faults.settle()
    return found


def _activated(state: State, actor: Principal, given: Fields) -> None:
    state.move(_of_own(state, actor, given, AssignmentStatus.ACTIVE), AssignmentStatus.ACTIVE, "activated")


def _completed(state: State, actor: Principal, given: Fields) -> None:
    state.move(_of_own(state, actor, given, AssignmentStatus.COMPLETED), AssignmentStatus.COMPLETED, "completed")


def _failed(state: State, actor: Principal, given: Fields) -> None:
    """The next model of the chain stands in for it, at once."""
    failed = _of_own(state, actor, given, AssignmentStatus.FAILED)
    state.move(failed, AssignmentStatus.FAILED, "failed")
    if failed.chain:
        _add(state, failed.agent, failed.task, failed.chain - 1, active=True, fallback_of=failed.key)


def _cancelled(state: State, actor: Principal, given: Fields) -> None:
    state.move(_of_own(state, actor, given, AssignmentStatus.CANCELLED), AssignmentStatus.CANCELLED, "cancelled")


ENTITY = "modelAssignment { assignmentId }"
RECORD = Command("modelAssignmentRecord", ACTING, _record, _recorded, ENTITY, "agentId")
ACTIVATE = Command("modelAssignmentActivate", ACTING, _of_assignment, _activated, ENTITY)
COMPLETE = Command("modelAssignmentComplete", ACTING, _used, _completed, ENTITY)
FAIL = Command("modelAssignmentFail", ACTING, _with_reason, _failed, ENTITY)
CANCEL = Command("modelAssignmentCancel", ACTING, _of_assignment, _cancelled, ENTITY)

ASSIGNMENTS = (RECORD, ACTIVATE, COMPLETE, FAIL, CANCEL)
