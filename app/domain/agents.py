"""Agents: roles, online status, naming convention, and how status follows the tasks at hand."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

import orjson

from app.domain.errors import InvalidInput
from app.domain.json_schemas import FIGURES, check_json
from app.domain.machines import Machine
from app.domain.rules import Range

AGENT_ID_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$"
AGENT_ID_MAX = 100
CONCURRENCY_MAX = 64
CONCURRENCY = Range(1, CONCURRENCY_MAX)
CAPABILITIES_MAX = 100
MESSAGE_MAX = 10_000
"""Characters of a message."""
MESSAGE_SENT = "message_sent"
"""The type of the event of a message."""
STATE_EVENTS = frozenset({"registered", "updated", "status_changed", "reported"})
"""The types of the events of an agent's state."""

STALE_AFTER = timedelta(seconds=30)
OFFLINE_AFTER = timedelta(seconds=90)

FIGURE_BYTES = 4_096
"""Bytes of one figure of a report as JSON: with at most 200 of them a section, what is kept of an agent is bounded."""
OBSERVED_WITHIN = timedelta(days=1)
"""How old an observation may be: older ones say nothing of how an agent is, and tell of a clock that is wrong."""


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

SETTABLE = (AgentStatus.IDLE, AgentStatus.ERROR, AgentStatus.OFFLINE)
"""The statuses that an agent or an operator reports; the others follow from tasks."""

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


def is_agent_id(value: str) -> bool:
    """Whether the text follows the naming convention."""
    return len(value) <= AGENT_ID_MAX and re.fullmatch(AGENT_ID_PATTERN, value) is not None


def check_agent_id(value: str, field: str = "agentId") -> str:
    """The id itself; `InvalidInput` unless it is lower-case words joined by hyphens, e.g. `john-pm`."""
    if not is_agent_id(value):
        raise InvalidInput(
            f"{field} must be lower-case words joined by hyphens, such as john-pm, at most {AGENT_ID_MAX} characters; "
            f"it is {value[:80]!r}. Nothing was written.",
            f"input.{field}",
        )
    return value


def check_settable(status: AgentStatus) -> None:
    """Raise `InvalidInput` for a status that follows from the agent's tasks."""
    if status not in SETTABLE:
        raise InvalidInput(
            f"The status {status.upper()} follows from the agent's tasks and cannot be set. Nothing was written.",
            "input.status",
        )


def check_figures(field: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a report; `InvalidInput` for too many, too large ones, or what is no figure."""
    checked: dict[str, Any] = check_json(field, dict(figures), FIGURES)
    for name, figure in checked.items():
        if isinstance(figure, (dict, list, str)) and len(orjson.dumps(figure)) > FIGURE_BYTES:
            raise InvalidInput(
                f"{field}.{name} has more than {FIGURE_BYTES} bytes as JSON; report a summary. Nothing was written.",
                f"input.{field}",
            )
    return checked


def status_by_load(open_tasks: int, concurrency: int) -> AgentStatus:
    """The online status that follows from the tasks at hand: idle with none, active below the limit, busy at it."""
    if open_tasks == 0:
        return AgentStatus.IDLE
    return AgentStatus.BUSY if open_tasks >= concurrency else AgentStatus.ACTIVE
