"""Agents: register, update, set status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import (
    AGENT_MACHINE,
    CAPABILITIES_MAX,
    CONCURRENCY,
    CONCURRENCY_MAX,
    ONLINE,
    AgentRole,
    AgentStatus,
    check_agent_id,
    check_settable,
    is_agent_id,
)
from app.domain.batches import BatchMode, check_batch
from app.domain.errors import Forbidden, InvalidInput, NotFound, StaleVersion
from app.domain.json_schemas import CONFIGURATION, check_json
from app.domain.principals import Principal, Role
from app.domain.rules import NAME_MAX, bounded_list, clean_text, required_text
from app.domain.tasks import REASON_MAX
from app.security.policy import Permission, authorise
from app.services.batches import Outcome, item_itself, judge_items
from app.services.tasks import release_tasks_of
from app.services.workload import follow_load
from db.queries.agents import find_agent, touch_report
from db.queries.changes import amend, create, read, transition
from db.queries.entities import AGENT
from db.queries.many import lock_all, transition_all
from db.queries.tasks import held_by


@dataclass(frozen=True)
class RegisterAgent:
    """An agent's process says that it is there, who it is, and what it can do."""

    agent_id: str
    agent_role: AgentRole
    agent_name: str | None = None
    capabilities: Sequence[str] = ()
    concurrency: int = 1
    extension_config: Mapping[str, Any] = field(default_factory=dict)
    keep_task_ids: Sequence[UUID] = ()


async def register_agent(session: AsyncConnection, principal: Principal, command: RegisterAgent) -> Row[Any]:
    """Create the agent, or begin a new session of a known one, which gives back what its earlier process held.

    Of that it keeps the tasks that the new process says it goes on with; ids of tasks that it does not hold are of no
    effect, since the hub may have taken them away in the meantime.

    Raises `InvalidInput`, and `Forbidden` when an agent would give itself another role, or that of the PM.
    """
    values = _checked(command)
    known = await find_agent(session, command.agent_id)
    _require_own_role(principal, command.agent_role, known)
    if known is None:
        row = await create(
            session,
            AGENT,
            values | {"agent_id": command.agent_id, "status": AgentStatus.IDLE.value},
            "registered",
            principal.name,
        )
        await touch_report(session, command.agent_id)
        return row
    given_back = ([command.agent_id], principal.name, "the agent registered anew", command.keep_task_ids)
    await release_tasks_of(session, *given_back)
    row = await amend(session, AGENT, command.agent_id, "registered", principal.name, values=values)
    # and what was being claimed for the earlier process while we began
    await release_tasks_of(session, *given_back)
    await touch_report(session, command.agent_id)
    if AgentStatus(row.status) in ONLINE:
        await follow_load(session, command.agent_id, principal.name)
        return await read(session, AGENT, command.agent_id)
    return await transition(session, AGENT, command.agent_id, AgentStatus.IDLE, "status_changed", principal.name)


def _require_own_role(principal: Principal, role: AgentRole, known: Row[Any] | None) -> None:
    """Roles decide who is asked for decisions and reviews, so a token of role agent cannot choose them freely."""
    if principal.role is not Role.AGENT:
        return
    if role is AgentRole.PM:
        raise Forbidden("Only a token of role PM makes an agent a PM. Nothing was changed.", "input.agentRole")
    if known is not None and known.agent_role != role.value:
        raise Forbidden(
            f"{known.agent_id} is known as {known.agent_role.upper()}; only a token of role PM or ADMIN changes "
            "that. Nothing was changed.",
            "input.agentRole",
        )


def _checked(command: RegisterAgent) -> dict[str, Any]:
    check_agent_id(command.agent_id)
    bounded_list("keepTaskIds", command.keep_task_ids, CONCURRENCY_MAX)
    return _values(
        command.agent_name or command.agent_id,
        command.agent_role,
        command.capabilities,
        command.concurrency,
        command.extension_config,
    )


def _values(
    name: str | None,
    role: AgentRole | None,
    capabilities: Sequence[str] | None,
    concurrency: int | None,
    extension_config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The columns that are given. Raises `InvalidInput`."""
    values: dict[str, Any] = {}
    if name is not None:
        values["agent_name"] = required_text("agentName", name, NAME_MAX)
    if role is not None:
        values["agent_role"] = role.value
    if capabilities is not None:
        bounded_list("capabilities", capabilities, CAPABILITIES_MAX)
        values["capabilities"] = sorted({required_text("capabilities", word, 100) for word in capabilities})
    if concurrency is not None:
        CONCURRENCY.check("concurrency", concurrency)
        values["concurrency"] = concurrency
    if extension_config is not None:
        values["extension_config"] = check_json("extensionConfig", dict(extension_config), CONFIGURATION)
    return values


@dataclass(frozen=True)
class UpdateAgent:
    """What is to be changed of an agent; None stays as it is."""

    agent_id: str
    expected_version: int
    agent_name: str | None = None
    agent_role: AgentRole | None = None
    capabilities: Sequence[str] | None = None
    concurrency: int | None = None
    extension_config: Mapping[str, Any] | None = None


async def update_agent(session: AsyncConnection, principal: Principal, command: UpdateAgent) -> Row[Any]:
    """Change the agent; its status follows when its concurrency changes.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, and `Forbidden` when an agent would change its own role.
    """
    check_agent_id(command.agent_id)
    values = _values(
        command.agent_name, command.agent_role, command.capabilities, command.concurrency, command.extension_config
    )
    if not values:
        raise InvalidInput("There is nothing to change: give at least one attribute. Nothing was written.", "input")
    if command.agent_role is not None:
        _require_own_role(principal, command.agent_role, await read(session, AGENT, command.agent_id, lock=True))
    changed = await amend(
        session,
        AGENT,
        command.agent_id,
        "updated",
        principal.name,
        expected_version=command.expected_version,
        values=values,
        detail={"changed": sorted(values)},
    )
    if command.concurrency is None:
        return changed
    await follow_load(session, command.agent_id, principal.name)
    return await read(session, AGENT, command.agent_id)


@dataclass(frozen=True)
class SetAgentStatus:
    """A status that an agent or an operator reports; active and busy follow from tasks and cannot be set."""

    agent_id: str
    status: AgentStatus
    expected_version: int | None = None
    reason: str = ""


async def set_agent_status(session: AsyncConnection, principal: Principal, command: SetAgentStatus) -> Row[Any]:
    """Move to idle, error or offline; what an agent held is given back.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    check_agent_id(command.agent_id)
    reason = clean_text("reason", command.reason, REASON_MAX)
    check_settable(command.status)
    agent = _known(await _lock(session, [command.agent_id]), command.agent_id)
    if command.expected_version not in (None, agent.version):
        raise StaleVersion(AGENT.kind, agent.agent_id, command.expected_version, agent.version)
    _require_movable(agent, command.status)
    (row,) = await _move(session, principal, [agent], command.status, reason)
    return row


@dataclass(frozen=True)
class SetAgentStatuses:
    """One status for 1 to 200 agents."""

    agent_ids: Sequence[str]
    status: AgentStatus
    reason: str = ""
    mode: BatchMode = BatchMode.ALL_OR_NOTHING


async def set_agent_statuses(
    session: AsyncConnection, principal: Principal, command: SetAgentStatuses
) -> list[Outcome]:
    """Move each agent as `set_agent_status` does; what became of each, in the order given.

    Raises `InvalidInput` for what they have in common, and in mode ALL_OR_NOTHING the first refusal of an agent.
    """
    ids = command.agent_ids
    check_batch("agentIds", ids)
    reason = clean_text("reason", command.reason, REASON_MAX)
    check_settable(command.status)
    agents = await _lock(session, [agent_id for agent_id in ids if is_agent_id(agent_id)])

    def judge(index: int) -> Row[Any]:
        check_agent_id(ids[index])
        authorise(principal, Permission.ACT_AS_AGENT, agent_id=ids[index])
        if ids[index] in ids[:index]:
            raise InvalidInput(f"{ids[index]} is named twice. Nothing was written.")
        agent = _known(agents, ids[index])
        _require_movable(agent, command.status)
        return agent

    judged = judge_items(command.mode, range(len(ids)), judge, item_itself("agentIds"))
    rows = await _move(session, principal, list(judged.accepted.values()), command.status, reason)
    moved = {row.agent_id: row for row in rows}
    return judged.outcomes({index: moved[agent.agent_id] for index, agent in judged.accepted.items()})


async def _lock(session: AsyncConnection, agent_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """The agents by id, locked after the tasks that they hold."""
    await held_by(session, agent_ids)
    return await lock_all(session, AGENT, agent_ids)


def _known(agents: Mapping[str, Row[Any]], agent_id: str) -> Row[Any]:
    if agent_id not in agents:
        raise NotFound(AGENT.kind, agent_id, "input.agentId")
    return agents[agent_id]


def _require_movable(agent: Row[Any], status: AgentStatus) -> None:
    """IDLE is how an agent comes back from error or offline; an online one's status follows from its tasks."""
    current = AgentStatus(agent.status)
    AGENT_MACHINE.require(current, status)
    if status is AgentStatus.IDLE and current in ONLINE:
        raise InvalidInput(
            f"{agent.agent_id} is {current.upper()}, which follows from its tasks; IDLE can be set only from ERROR or "
            "OFFLINE. Nothing was changed.",
            "input.status",
        )


async def _move(
    session: AsyncConnection, principal: Principal, agents: Sequence[Row[Any]], status: AgentStatus, reason: str
) -> Sequence[Row[Any]]:
    """Give back what the agents hold, those tasks included that were being claimed when they were locked, and move."""
    if not agents:
        return ()
    ids = [agent.agent_id for agent in agents]
    await release_tasks_of(session, ids, principal.name, reason or f"the agent is {status.value}")
    details = {agent_id: {"reason": reason} for agent_id in ids}
    return await transition_all(session, AGENT, agents, status, "status_changed", principal.name, details=details)
