"""Who may do what: one table of permissions by role, asked before every read of sealed data and every write."""

from enum import StrEnum

from app.domain.errors import Forbidden
from app.domain.principals import Principal, Role


class Permission(StrEnum):
    """A thing that a role may be allowed to do."""

    READ = "read"
    READ_SEALED = "read sealed fields"
    ACT_AS_AGENT = "act as an agent"
    CREATE_TASK = "create tasks"
    RUN_WORKFLOW = "start and cancel workflows"
    REGISTER_TEMPLATE = "register and validate workflow templates"
    RECORD_DECISION = "record decisions"
    REVIEW_GATE = "review quality gates"
    DECIDE_GATE = "give verdicts on quality gates"
    RECORD_METRICS = "record metrics"
    MANAGE_TOKENS = "manage tokens"
    ERASE_SEALED = "erase what is sealed of a decision"


_AGENT = {Permission.READ, Permission.ACT_AS_AGENT, Permission.RECORD_METRICS, Permission.REVIEW_GATE}
_PM = _AGENT | {
    Permission.READ_SEALED,
    Permission.CREATE_TASK,
    Permission.RUN_WORKFLOW,
    Permission.REGISTER_TEMPLATE,
    Permission.RECORD_DECISION,
    Permission.DECIDE_GATE,
}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.AGENT: frozenset(_AGENT),
    Role.REVIEWER: frozenset({Permission.READ, Permission.REVIEW_GATE}),
    Role.PM: frozenset(_PM),
    Role.ADMIN: frozenset(Permission),
}


def may(principal: Principal, permission: Permission) -> bool:
    """Whether the principal's role has the permission."""
    return permission in PERMISSIONS[principal.role]


def authorise(principal: Principal, permission: Permission, *, agent_id: str | None = None) -> None:
    """Raise `Forbidden` unless the role has the permission and the token may act for `agent_id`.

    A token that names an agent acts for that agent only; a pm or admin token that names none acts for any.
    """
    if not may(principal, permission):
        raise Forbidden(
            f"A token of role {principal.role.upper()} may not {permission.value}. Nothing was changed; "
            "ask an administrator for a token that may."
        )
    if agent_id is not None and principal.agent_id not in (None, agent_id):
        raise Forbidden(
            f"This token acts for the agent {principal.agent_id} only, not for {agent_id}. Nothing was changed."
        )
