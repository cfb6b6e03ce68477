"""The commands of tasks: what they are given, and what must become of the task and of the agent that has it."""

from collections.abc import Mapping, Sequence

from app.domain.agents import AgentRole
from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.principals import Principal
from app.domain.tasks import TaskKind, TaskStatus
from tests.properties.commands import Command, Dice, Fields, Item, settled
from tests.properties.model import (
    ACTING,
    LEADING,
    ONLINE,
    Agent,
    Decision,
    Execution,
    Faults,
    Refused,
    State,
    Task,
    is_foreign,
)

MOST_FAILURES = 3


def _create(state: State, dice: Dice) -> Fields:
    return {**_described(state, dice), **_parents(state, dice)}


def _described(state: State, dice: Dice) -> Fields:
    return {
        "title": dice.maybe(" ", "Build it", 16),
        "complexity": dice.maybe(11, 5, 16),
        "priority": dice.one_of((5, 5, 1, 9, dice.maybe(10, 4, 4))),
        "requiredRole": dice.one_of((None, None, "DEVELOPER", "QA")),
        "requiredCapabilities": [state.name, *dice.one_of(((), (), ("python",)))],
        "dependsOn": [dice.id_of(state, Task)] if dice.once_in(4) else [],
    }


def _parents(state: State, dice: Dice) -> Fields:
    given: Fields = {}
    if state.all(Execution) and dice.once_in(2):
        given["executionId"] = dice.id_of(state, Execution)
    if state.all(Decision) and dice.once_in(3):
        given["decisionId"] = dice.id_of(state, Decision)
    return given


def _created(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    _check_parents(faults, state, given)
    _check_described(faults, state, given)
    faults.settle()
    _add(state, given, given, ())


def _check_described(faults: Faults, state: State, given: Fields) -> None:
    wrong = not given["title"].strip() or not 1 <= given["complexity"] <= 10 or given["priority"] > 9
    faults.when(wrong, ErrorCode.INVALID_INPUT)
    faults.when(any(needed not in state.keys_of for needed in given["dependsOn"]), ErrorCode.NOT_FOUND)


def _check_parents(faults: Faults, state: State, given: Fields) -> None:
    for name in ("executionId", "decisionId"):
        faults.when(name in given and given[name] not in state.keys_of, ErrorCode.NOT_FOUND)
    if given.get("executionId") in state.keys_of:
        faults.when(state.find(Execution, given["executionId"]).has_ended, ErrorCode.BLOCKED)


def _add(state: State, given: Fields, parents: Fields, needs: Sequence[str]) -> Task:
    return state.add(
        Task,
        "created",
        execution=state.keys_of.get(parents.get("executionId", "")),
        needs=(*(state.keys_of[needed] for needed in given["dependsOn"]), *needs),
        role=AgentRole[given["requiredRole"]] if given["requiredRole"] else None,
        capabilities=frozenset(given["requiredCapabilities"]),
        priority=given["priority"],
    )


def _create_many(state: State, dice: Dice) -> Fields:
    """Up to three tasks, of which later ones may wait for earlier ones; now and then one that cannot be."""
    items = [_described(state, dice) | {"key": f"k{number}"} for number in range(1 + dice.below(3))]
    for number, item in enumerate(items):
        if dice.once_in(2):
            item["dependsOnKeys"] = [dice.maybe("k9", f"k{dice.below(number + 1)}", 8)]
            if item["dependsOnKeys"] == [item["key"]] and not dice.once_in(8):
                del item["dependsOnKeys"]
    return {"tasks": items, "mode": dice.one_of(("ALL_OR_NOTHING", "EACH")), **_parents(state, dice)}


def _many_created(state: State, _actor: Principal, given: Fields) -> Sequence[Item]:
    """Those that others wait for come before them."""
    items = given["tasks"]
    faults = Faults()
    _check_parents(faults, state, given)
    faults.settle()
    made: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: _depth(item, items)):
        try:
            made[item["key"]] = Item(_add_item(state, given, item, made).key)
        except Refused as refused:
            made[item["key"]] = Item(refusals=refused.codes)
    return settled([made[item["key"]] for item in items], given["mode"])


def _depth(item: Fields, items: Sequence[Fields]) -> int:
    """After how many others an item comes; keys point back, or to the item itself."""
    wanted = item.get("dependsOnKeys", [])
    return max((1 + _depth(i, items) for i in items if i["key"] in wanted and i is not item), default=0)


def _add_item(state: State, given: Fields, item: Fields, made: Mapping[str, Item]) -> Task:
    faults = Faults()
    _check_described(faults, state, item)
    wanted = item.get("dependsOnKeys", [])
    faults.when(any(key == item["key"] or key not in made for key in wanted), ErrorCode.INVALID_INPUT)
    needs = [made[key].key for key in wanted if key in made]
    faults.when(None in needs, ErrorCode.BLOCKED)
    faults.settle()
    return _add(state, item, given, [key for key in needs if key is not None])


def _claim(state: State, dice: Dice) -> Fields:
    given = {"agentId": dice.id_of(state, Agent)}
    if dice.once_in(4):
        return given
    task_id, version = dice.thing(state, Task)
    return {**given, "taskId": task_id} | ({"expectedVersion": version} if dice.once_in(2) else {})


def _claimed(state: State, _actor: Principal, given: Fields) -> None:
    agent = state.find(Agent, given["agentId"])
    task = _fitting(state, agent) if given.get("taskId") is None else _named(state, agent, given)
    if task is None:
        return
    faults = Faults()
    _check_free(faults, state, agent)
    faults.settle()
    state.move(task, TaskStatus.ASSIGNED, "claimed")
    task.holder = agent.key
    state.follow_load(agent)


def _fitting(state: State, agent: Agent) -> Task | None:
    """Of those that the agent could take the most urgent, the oldest of these."""
    pending = [t for t in state.all(Task) if t.status is TaskStatus.PENDING and not t.escalated]
    return min((t for t in pending if _fits(t, agent) and _is_ready(state, t)), key=lambda t: t.priority, default=None)


def _named(state: State, agent: Agent, given: Fields) -> Task:
    task = state.find(Task, given["taskId"])
    faults = Faults()
    faults.check(task, given.get("expectedVersion"), None if task.is_held else TaskStatus.ASSIGNED)
    faults.when(task.is_held, ErrorCode.CLAIM_LOST)
    faults.when(task.escalated or not (_fits(task, agent) and _is_ready(state, task)), ErrorCode.BLOCKED)
    _check_free(faults, state, agent)
    faults.settle()
    return task


def _check_free(faults: Faults, state: State, agent: Agent) -> None:
    faults.when(agent.status not in ONLINE, ErrorCode.AGENT_UNAVAILABLE)
    faults.when(len(state.held_by(agent)) >= agent.concurrency, ErrorCode.AGENT_AT_CAPACITY)


def _fits(task: Task, agent: Agent) -> bool:
    return task.role in (None, agent.role) and task.capabilities <= agent.capabilities


def _is_ready(state: State, task: Task) -> bool:
    return all(state.things[key].status is TaskStatus.COMPLETED for key in task.needs)


def _of_task(state: State, dice: Dice) -> Fields:
    task_id, version = dice.thing(state, Task)
    return {"taskId": task_id, "expectedVersion": version}


def check_answer(state: State, actor: Principal, task_id: str, version: int | None, kind: TaskKind) -> Faults:
    """What stands against answering this request, which then is RUNNING and in the actor's hands."""
    faults = Faults()
    task = faults.find(state, Task, task_id)
    faults.when(is_foreign(actor, task.holder), ErrorCode.CLAIM_LOST)
    faults.when(task.kind is not kind, ErrorCode.INVALID_INPUT)
    faults.check(task, version, TaskStatus.COMPLETED)
    return faults


def answer(state: State, task_id: str) -> None:
    """The task is completed, its agent is free for another."""
    task = state.find(Task, task_id)
    state.move(task, TaskStatus.COMPLETED, "completed")
    state.let_go(task)


def _started(state: State, actor: Principal, given: Fields) -> None:
    task = _of_own(state, actor, given, TaskStatus.RUNNING)
    state.move(task, TaskStatus.RUNNING, "started")


def _of_own(state: State, actor: Principal, given: Fields, target: TaskStatus) -> Task:
    """The task, unless it is another's, has changed, or cannot get there. A reason that is given says something."""
    faults = Faults()
    faults.when(given.get("reason") == "", ErrorCode.INVALID_INPUT)
    task = faults.find(state, Task, given["taskId"])
    faults.when(is_foreign(actor, task.holder), ErrorCode.CLAIM_LOST)
    # what nobody holds cannot be given back
    is_given_back = target is TaskStatus.PENDING
    faults.when(is_given_back and not task.is_held, ErrorCode.CLAIM_LOST)
    faults.check(task, given["expectedVersion"], None if is_given_back else target)
    faults.settle()
    return task


def _report(state: State, dice: Dice) -> Fields:
    return {"taskId": dice.id_of(state, Task), "message": "half", "percent": dice.maybe(101.0, 50.0)}


def _reported(state: State, actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(given["percent"] > 100, ErrorCode.INVALID_INPUT)
    task = faults.find(state, Task, given["taskId"])
    faults.when(is_foreign(actor, task.holder) or not task.is_held, ErrorCode.CLAIM_LOST)
    faults.settle()
    state.tell(Aggregate.TASK, task.key, "progressed")


def _complete(state: State, dice: Dice) -> Fields:
    return {**_of_task(state, dice), "result": dice.one_of(({"page": "login.html"}, [1, 2.5, None], "three"))}


def _completed(state: State, actor: Principal, given: Fields) -> None:
    check_answer(state, actor, given["taskId"], given["expectedVersion"], TaskKind.WORK).settle()
    answer(state, given["taskId"])


def _fail(state: State, dice: Dice) -> Fields:
    return {**_of_task(state, dice), "reason": dice.maybe("", "it does not build", 16)}


def _failed(state: State, actor: Principal, given: Fields) -> None:
    task = _of_own(state, actor, given, TaskStatus.FAILED)
    state.move(task, TaskStatus.FAILED, "failed")
    task.failures += 1
    if task.failures >= MOST_FAILURES:
        task.escalated = True
        state.tell(Aggregate.TASK, task.key, "escalated")
        state.cancel_waiting(task)
    state.let_go(task)


def _released(state: State, actor: Principal, given: Fields) -> None:
    task = _of_own(state, actor, given, TaskStatus.PENDING)
    holder = state.get(Agent, task.holder or "")
    state.give_back(task)
    state.follow_load(holder)


def _retried(state: State, _actor: Principal, given: Fields) -> None:
    task = state.find(Task, given["taskId"])
    faults = Faults()
    # what came back too often is free already, and offered again
    is_offered_again = task.escalated and task.status is TaskStatus.PENDING
    faults.check(task, given["expectedVersion"], None if is_offered_again else TaskStatus.PENDING)
    # what an agent has at hand is given back, not retried
    faults.when(task.is_held, ErrorCode.BLOCKED)
    faults.when(task.execution is not None and state.get(Execution, task.execution).has_ended, ErrorCode.BLOCKED)
    faults.settle()
    if is_offered_again:
        state.amend(task, "retried")
    else:
        state.move(task, TaskStatus.PENDING, "retried")
    task.escalated, task.releases, task.holder = False, 0, None


def _cancel(state: State, dice: Dice) -> Fields:
    return {**_of_task(state, dice), "reason": dice.maybe(" ", "nobody needs it", 16)}


def _cancelled(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(not given["reason"].strip(), ErrorCode.INVALID_INPUT)
    task = faults.find(state, Task, given["taskId"])
    faults.check(task, given["expectedVersion"], TaskStatus.CANCELLED)
    faults.settle()
    state.move(task, TaskStatus.CANCELLED, "cancelled")
    task.escalated = False
    state.cancel_waiting(task)
    state.let_go(task)


ENTITY = "task { taskId }"
CREATE = Command("taskCreate", LEADING, _create, _created, ENTITY)
CREATE_MANY = Command("tasksCreate", LEADING, _create_many, _many_created, ENTITY, is_batch=True)
CLAIM = Command("taskClaim", ACTING, _claim, _claimed, ENTITY, "agentId")
START = Command("taskStart", ACTING, _of_task, _started, ENTITY)
REPORT_PROGRESS = Command("taskReportProgress", ACTING, _report, _reported, ENTITY)
COMPLETE = Command("taskComplete", ACTING, _complete, _completed, ENTITY)
FAIL = Command("taskFail", ACTING, _fail, _failed, ENTITY)
RELEASE = Command("taskRelease", ACTING, _of_task, _released, ENTITY)
RETRY = Command("taskRetry", LEADING, _of_task, _retried, ENTITY)
CANCEL = Command("taskCancel", LEADING, _cancel, _cancelled, ENTITY)

TASKS = (CREATE, CREATE_MANY, CLAIM, START, REPORT_PROGRESS, COMPLETE, FAIL, RELEASE, RETRY, CANCEL)
