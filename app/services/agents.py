"""Agents: register, set status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AGENT_MACHINE, CONCURRENCY, ONLINE, AgentRole, AgentStatus, check_agent_id
from app.domain.errors import Forbidden, InvalidInput
from app.domain.principals import Principal, Role
from app.domain.rules import NAME_MAX, bounded_json, bounded_list, clean_text, required_text
from app.services.tasks import release_tasks_of
from app.services.workload import follow_load
from db.queries.agents import find_agent, touch_report
from db.queries.changes import amend, create, read, transition
from db.queries.entities import AGENT

SETTABLE = (AgentStatus.IDLE, AgentStatus.ERROR, AgentStatus.OFFLINE)


@dataclass(frozen=True)
class RegisterAgent:
    """An agent's process says that it is there, who it is, and what it can do."""

    agent_id: str
    agent_role: AgentRole
    agent_name: str | None = None
    capabilities: Sequence[str] = ()
    concurrency: int = 1
    extension_config: Mapping[str, Any] = field(default_factory=dict)


async def register_agent(session: AsyncConnection, principal: Principal, command: RegisterAgent) -> Row[Any]:
    """Create the agent, or begin a new session of a known one, which gives back what its earlier process held.

    Raises `InvalidInput`, and `Forbidden` when an agent would give itself another role, or that of the PM.
    """
    values = _checked(command)
    known = await find_agent(session, command.agent_id)
    _require_own_role(principal, command, known)
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
    await release_tasks_of(session, command.agent_id, principal.name, "the agent registered anew")
    row = await amend(session, AGENT, command.agent_id, "registered", principal.name, values=values)
    # and what was being claimed for the earlier process while we began
    await release_tasks_of(session, command.agent_id, principal.name, "the agent registered anew")
    await touch_report(session, command.agent_id)
    if AgentStatus(row.status) in ONLINE:
        await follow_load(session, command.agent_id, principal.name)
        return await read(session, AGENT, command.agent_id)
    return await transition(session, AGENT, command.agent_id, AgentStatus.IDLE, "status_changed", principal.name)


def _require_own_role(principal: Principal, command: RegisterAgent, known: Row[Any] | None) -> None:
    """Roles decide who is asked for decisions and reviews, so a token of role agent cannot choose them freely."""
    if principal.role is not Role.AGENT:
        return
    if command.agent_role is AgentRole.PM:
        raise Forbidden("A PM registers with a token of role PM. Nothing was changed.", "input.agentRole")
    if known is not None and known.agent_role != command.agent_role.value:
        raise Forbidden(
            f"{command.agent_id} is known as {known.agent_role.upper()}; only a token of role PM or ADMIN changes "
            "that. Nothing was changed.",
            "input.agentRole",
        )


def _checked(command: RegisterAgent) -> dict[str, Any]:
    check_agent_id(command.agent_id)
    CONCURRENCY.check("concurrency", command.concurrency)
    bounded_list("capabilities", command.capabilities, 100)
    return {
        "agent_name": required_text("agentName", command.agent_name or command.agent_id, NAME_MAX),
        "agent_role": command.agent_role.value,
        "capabilities": sorted({required_text("capabilities", name, 100) for name in command.capabilities}),
        "concurrency": command.concurrency,
        "extension_config": bounded_json("extensionConfig", dict(command.extension_config)),
    }


@dataclass(frozen=True)
class SetAgentStatus:
    """A status that an agent or an operator reports; active and busy follow from tasks and cannot be set."""

    agent_id: str
    status: AgentStatus
    expected_version: int | None = None
    reason: str = ""


async def set_agent_status(session: AsyncConnection, principal: Principal, command: SetAgentStatus) -> Row[Any]:
    """Move to idle, error or offline; what an agent held is given back when it goes offline or into error.

    Raises `InvalidInput`, `NotFound`, `StaleVersion`, `IllegalTransition`.
    """
    check_agent_id(command.agent_id)
    reason = clean_text("reason", command.reason, 2_000)
    if command.status not in SETTABLE:
        raise InvalidInput(
            f"The status {command.status.upper()} follows from the agent's tasks and cannot be set.", "input.status"
        )
    if command.status is AgentStatus.IDLE:
        await _require_absent(session, command.agent_id)
    why = reason or f"the agent is {command.status.value}"
    await release_tasks_of(session, command.agent_id, principal.name, why)
    changed = await transition(
        session,
        AGENT,
        command.agent_id,
        command.status,
        "status_changed",
        principal.name,
        expected_version=command.expected_version,
        detail={"reason": reason},
    )
    # a claim that was on its way when we began is visible only now that the agent's row is ours
    await release_tasks_of(session, command.agent_id, principal.name, why)
    return changed


async def _require_absent(session: AsyncConnection, agent_id: str) -> None:
    """IDLE is how an agent comes back from error or offline; an online one's status follows from its tasks."""
    agent = await read(session, AGENT, agent_id, lock=True)
    AGENT_MACHINE.require(AgentStatus(agent.status), AgentStatus.IDLE)
    if AgentStatus(agent.status) in ONLINE:
        raise InvalidInput(
            f"{agent_id} is {agent.status.upper()}, which follows from its tasks; IDLE can be set only from ERROR or "
            "OFFLINE. Nothing was changed.",
            "input.status",
        )
