"""Agents: roles, online status, naming convention, and how status follows the tasks at hand."""

import re
from datetime import timedelta
from enum import StrEnum

from app.domain.errors import InvalidInput
from app.domain.machines import Machine
from app.domain.rules import Range

AGENT_ID_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$"
AGENT_ID_MAX = 100
CONCURRENCY = Range(1, 64)

STALE_AFTER = timedelta(seconds=30)
OFFLINE_AFTER = timedelta(seconds=90)


class AgentRole(StrEnum):
    """An agent's specialisation."""

    PM = "pm"
    ARCHITECT = "architect"
    DEVELOPER = "developer"
    QA = "qa"
    UX = "ux"
    ANALYST = "analyst"
    COORDINATOR = "coordinator"
    SPECIALIST = "specialist"


class AgentStatus(StrEnum):
    """An agent's operational status."""

    ACTIVE = "active"
    BUSY = "busy"
    IDLE = "idle"
    ERROR = "error"
    OFFLINE = "offline"


ONLINE = (AgentStatus.IDLE, AgentStatus.ACTIVE, AgentStatus.BUSY)

AGENT_MACHINE = Machine(
    "agent",
    AgentStatus.OFFLINE,
    {
        AgentStatus.OFFLINE: (AgentStatus.IDLE,),
        AgentStatus.IDLE: (AgentStatus.ACTIVE, AgentStatus.BUSY, AgentStatus.ERROR, AgentStatus.OFFLINE),
        AgentStatus.ACTIVE: (AgentStatus.IDLE, AgentStatus.BUSY, AgentStatus.ERROR, AgentStatus.OFFLINE),
        AgentStatus.BUSY: (AgentStatus.ACTIVE, AgentStatus.IDLE, AgentStatus.ERROR, AgentStatus.OFFLINE),
        AgentStatus.ERROR: (AgentStatus.IDLE, AgentStatus.OFFLINE),
    },
)


def check_agent_id(value: str, field: str = "agentId") -> str:
    """The id itself; `InvalidInput` unless it is lower-case words joined by hyphens, e.g. `john-pm`."""
    if len(value) > AGENT_ID_MAX or not re.fullmatch(AGENT_ID_PATTERN, value):
        raise InvalidInput(
            f"{field} must be lower-case words joined by hyphens, such as john-pm, at most {AGENT_ID_MAX} characters; "
            f"it is {value[:80]!r}. Nothing was written.",
            f"input.{field}",
        )
    return value


def status_by_load(open_tasks: int, concurrency: int) -> AgentStatus:
    """The online status that follows from the tasks at hand: idle with none, active below the limit, busy at it."""
    if open_tasks == 0:
        return AgentStatus.IDLE
    return AgentStatus.BUSY if open_tasks >= concurrency else AgentStatus.ACTIVE
