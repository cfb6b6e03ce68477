"""Who acts: the holder of a token, with a role and perhaps one agent that it speaks for."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a token may do. Every role reads; sealed fields only pm and admin."""

    VIEWER = "viewer"
    AGENT = "agent"
    REVIEWER = "reviewer"
    PM = "pm"
    ADMIN = "admin"


@dataclass(frozen=True)
class Principal:
    """The acting party. `name` is recorded as the actor of every event."""

    name: str
    role: Role
    agent_id: str | None = None
    token_id: str | None = None


SYSTEM = Principal(name="hub", role=Role.ADMIN)
"""The hub itself: the engine and upkeep act under this name."""
