"""The commands of agents: what they are given, and what must become of the agent, its tasks and its status."""

from collections.abc import Sequence
from datetime import UTC, datetime

from app.domain.agents import AgentRole, AgentStatus
from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.principals import Principal, Role
from tests.properties.commands import Command, Dice, Fields, Item, settled
from tests.properties.model import ACTING, ONLINE, Agent, Faults, Refused, State, refuse

ABSENT = (AgentStatus.ERROR, AgentStatus.OFFLINE)
ROLES = (AgentRole.DEVELOPER, AgentRole.QA, AgentRole.PM)
STATUSES = (AgentStatus.IDLE, AgentStatus.ERROR, AgentStatus.OFFLINE, AgentStatus.BUSY)


def capabilities_of(state: State, *more: str) -> list[str]:
    """What an agent of the sequence can do: its tasks need the sequence's name, so that no other claims them."""
    return [state.name, *more]


def _register(state: State, dice: Dice) -> Fields:
    agent_id = dice.one_of([f"{state.name}-{who}" for who in ("a", "b", "pm")])
    known = [agent.role for agent in state.all(Agent) if agent.id == agent_id]
    return {
        "agentId": dice.maybe("Nobody At All", agent_id, 24),
        "agentRole": dice.maybe(dice.one_of(ROLES), (known or ROLES)[0], 4).name,
        "concurrency": dice.one_of((1, 2, 3, 65)),
        "capabilities": capabilities_of(state, *dice.one_of(((), ("python",)))),
    }


def _registered(state: State, actor: Principal, given: Fields) -> None:
    key, role = given["agentId"], AgentRole[given["agentRole"]]
    known = state.things.get(key)
    faults = Faults()
    _check_role(faults, actor, role, known if isinstance(known, Agent) else None)
    faults.when(not 1 <= given["concurrency"] <= 64 or " " in key, ErrorCode.INVALID_INPUT)
    faults.settle()
    if not isinstance(known, Agent):
        agent = state.add(Agent, "registered", key, id=key, status=AgentStatus.IDLE)
        _describe(agent, given)
        return
    state.release_all(known)
    _describe(known, given)
    state.amend(known, "registered")
    if known.status in ONLINE:
        state.follow_load(known)
    else:
        state.move(known, AgentStatus.IDLE, "status_changed")


def _check_role(faults: Faults, actor: Principal, role: AgentRole, known: Agent | None) -> None:
    """An agent neither makes itself a PM nor changes its role."""
    is_its_own = known is None or known.role is role
    faults.when(actor.role is Role.AGENT and (role is AgentRole.PM or not is_its_own), ErrorCode.FORBIDDEN)


def _describe(agent: Agent, given: Fields) -> None:
    if given.get("agentRole") is not None:
        agent.role = AgentRole[given["agentRole"]]
    if given.get("concurrency") is not None:
        agent.concurrency = given["concurrency"]
        agent.most = max(agent.most, agent.concurrency)
    if given.get("capabilities") is not None:
        agent.capabilities = frozenset(given["capabilities"])


def _update(state: State, dice: Dice) -> Fields:
    agent_id, version = dice.thing(state, Agent)
    what = dice.below(5)
    changes: Fields = {}
    if what in (0, 4):
        changes["concurrency"] = dice.one_of((1, 2, 3, 0))
    if what in (1, 4):
        changes["agentName"] = dice.maybe("  ", "Somebody")
    if what == 2:
        changes["agentRole"] = dice.one_of(ROLES).name
    if what == 3 and not dice.once_in(3):
        changes["capabilities"] = capabilities_of(state, *dice.one_of(((), ("python",))))
    return {"agentId": agent_id, "expectedVersion": version, **changes}


def _updated(state: State, actor: Principal, given: Fields) -> None:
    changes = given.keys() - {"agentId", "expectedVersion", "idempotencyKey"}
    wrong = not changes or not given.get("agentName", "x").strip() or not 1 <= given.get("concurrency", 1) <= 64
    faults = Faults()
    faults.when(wrong, ErrorCode.INVALID_INPUT)
    agent = faults.find(state, Agent, given["agentId"])
    if "agentRole" in given:
        _check_role(faults, actor, AgentRole[given["agentRole"]], agent)
    faults.check(agent, given["expectedVersion"])
    faults.settle()
    _describe(agent, given)
    state.amend(agent, "updated")
    if "concurrency" in given:
        state.follow_load(agent)


def _set_status(state: State, dice: Dice) -> Fields:
    agent_id, version = dice.thing(state, Agent)
    expected = {} if dice.once_in(3) else {"expectedVersion": version}
    return {"agentId": agent_id, "status": dice.one_of(STATUSES).name, "reason": "lunch", **expected}


def _status_set(state: State, _actor: Principal, given: Fields) -> None:
    target = AgentStatus[given["status"]]
    faults = Faults()
    faults.when(target not in STATUSES[:3], ErrorCode.INVALID_INPUT)
    agent = faults.find(state, Agent, given["agentId"])
    faults.check(agent, given.get("expectedVersion"), target)
    # an online agent's status follows from its tasks
    faults.when(target is AgentStatus.IDLE and agent.status in ONLINE, ErrorCode.INVALID_INPUT)
    faults.settle()
    state.release_all(agent)
    state.move(agent, target, "status_changed")


def _set_statuses(state: State, dice: Dice) -> Fields:
    ids = [dice.id_of(state, Agent) for _ in range(1 + dice.below(3))]
    mode = dice.one_of(("ALL_OR_NOTHING", "EACH"))
    return {"agentIds": dice.maybe([], ids, 24), "status": dice.one_of(STATUSES).name, "mode": mode}


def _statuses_set(state: State, actor: Principal, given: Fields) -> Sequence[Item]:
    ids = given["agentIds"]
    if not ids or AgentStatus[given["status"]] not in STATUSES[:3]:
        raise refuse(ErrorCode.INVALID_INPUT)
    results: list[Item] = []
    for index, agent_id in enumerate(ids):
        try:
            _check_item(actor, ids, index)
            _status_set(state, actor, {"agentId": agent_id, "status": given["status"]})
            results.append(Item(agent_id))
        except Refused as refused:
            results.append(Item(refusals=refused.codes))
    return settled(results, given["mode"])


def _check_item(actor: Principal, ids: Sequence[str], index: int) -> None:
    faults = Faults()
    faults.when(actor.agent_id not in (None, ids[index]), ErrorCode.FORBIDDEN)
    faults.when(ids[index] in ids[:index], ErrorCode.INVALID_INPUT)
    faults.settle()


def _send_message(state: State, dice: Dice) -> Fields:
    sender, receiver = dice.id_of(state, Agent), dice.id_of(state, Agent)
    ends = dice.one_of(({"fromAgentId": sender}, {"toAgentId": receiver}, {}, {"fromAgentId": sender} | {
        "toAgentId": receiver}))  # fmt: skip
    return {"body": dice.maybe(" ", "How far are you?"), **ends}


def _message_sent(state: State, actor: Principal, given: Fields) -> None:
    sender = given.get("fromAgentId") or actor.agent_id
    faults = Faults()
    faults.when(actor.agent_id not in (None, sender), ErrorCode.FORBIDDEN)
    faults.when(not given["body"].strip(), ErrorCode.INVALID_INPUT)
    ends = [end for end in (sender, given.get("toAgentId")) if end is not None]
    faults.when(any(end not in state.things for end in ends), ErrorCode.NOT_FOUND)
    faults.settle()
    state.tell(Aggregate.AGENT, ends[0] if ends else None, "message_sent")


def _report(state: State, dice: Dice) -> Fields:
    observed = datetime.now(UTC).isoformat()
    return {
        "agentId": dice.id_of(state, Agent),
        "observedAt": dice.maybe("2020-01-01T00:00:00Z", observed),
        "resourceUtilization": {"cpu_percent": dice.below(100)},
    }


def _reported(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(given["observedAt"].startswith("2020"), ErrorCode.INVALID_INPUT)
    agent = faults.find(state, Agent, given["agentId"])
    faults.settle()
    state.tell(Aggregate.AGENT, agent.key, "reported")


REGISTER = Command("agentRegister", ACTING, _register, _registered, "agent { agentId }", "agentId")
UPDATE = Command("agentUpdate", ACTING, _update, _updated, "agent { agentId }", "agentId")
SET_STATUS = Command("agentSetStatus", ACTING, _set_status, _status_set, "agent { agentId }", "agentId")
SET_STATUSES = Command("agentsSetStatus", ACTING, _set_statuses, _statuses_set, "agent { agentId }", is_batch=True)
SEND_MESSAGE = Command("agentMessageSend", ACTING, _send_message, _message_sent, "message { messageId }")
REPORT = Command("agentReport", ACTING, _report, _reported, acts_for="agentId", is_plain=True)

AGENTS = (REGISTER, UPDATE, SET_STATUS, SET_STATUSES, SEND_MESSAGE, REPORT)
