"""Valid calls, one for each mutation: the state that they need, and what is known of their refusals."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import ErrorCode
from app.domain.principals import Role
from tests.api.wrong.world import World

Input = Mapping[str, Any]

EVERYBODY_WHO_ACTS = frozenset({Role.AGENT, Role.PM, Role.ADMIN})
REVIEWERS = EVERYBODY_WHO_ACTS | {Role.REVIEWER}
PMS = frozenset({Role.PM, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})


@dataclass(frozen=True)
class Special:
    """A call that is wrong in a way of its own: these fields in place of the valid ones."""

    label: str
    changes: Input
    codes: Sequence[ErrorCode]
    at: str | None = None
    """The path that `field` must have, without `input.`; None where no single argument is at fault."""


@dataclass(frozen=True)
class Call:
    """A valid input, as full as it can be, and calls that are wrong because of the state that was made for it."""

    input: Input
    special: Sequence[Special] = ()
    agent_id: str | None = None
    """The agent that the call is about; a token of role AGENT that makes it is that agent's."""


@dataclass(frozen=True)
class Case:
    """How to make a valid call of a mutation."""

    mutation: str
    roles: frozenset[Role]
    prepare: Callable[[World], Awaitable[Call]]
    other_agent: ErrorCode | None
    """What the token of another agent gets; None where agents may not, or where it is all the same which one it is."""
    again: ErrorCode | None
    """What the call gets when it comes again without a key; None when it may be repeated, which `repeatable` says."""
    repeatable: str
    writes: bool = True
    """Whether the call changes anything."""


Prepare = Callable[[World], Awaitable[Call]]
CASES: dict[str, Case] = {}


def case(
    mutation: str,
    roles: frozenset[Role],
    *,
    other_agent: ErrorCode | None = None,
    again: ErrorCode | None = None,
    repeatable: str = "",
    writes: bool = True,
) -> Callable[[Prepare], Prepare]:
    """Register how a valid call of the mutation is made."""
    if (again is None) != bool(repeatable):
        raise AssertionError(f"{mutation}: say either how a repetition is refused or why it is not")

    def register(prepare: Prepare) -> Prepare:
        CASES[mutation] = Case(mutation, roles, prepare, other_agent, again, repeatable, writes)
        return prepare

    return register
