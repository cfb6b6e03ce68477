"""Commands: how they come about by chance, and what the model expects of them.

A `Command` is one mutation: who may send it, how its input is made up from what there is, and its rule, which does to
the model what the mutation is to do to the hub. To drive another mutation is to write another `Command`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import ErrorCode
from app.domain.ids import new_id
from app.domain.principals import SYSTEM, Principal, Role
from tests.properties.model import Agent, Change, Refused, State, Thing, refuse

Fields = dict[str, Any]
Codes = Mapping[ErrorCode, int | None]
Option = TypeVar("Option")

TURNS = 4
"""How many ways of sending a command are looked at for one that will be carried out."""
MORE_TURNS = 16
"""As many for the command that is to be sent."""


class Dice:
    """Chance, as numbers that hypothesis chose; the same throw seen from another side is another turn.

    Whatever is asked of it, it never asks hypothesis for more: so the numbers that a sequence draws do not depend on
    what the hub answered, not even where commands race.
    """

    def __init__(self, throw: Sequence[int], turn: int = 0) -> None:
        self._throw = throw
        self._turn = turn
        self._rolled = 0

    def below(self, sides: int) -> int:
        """A number from 0 to below `sides`; 0 is the simplest."""
        place, self._rolled = self._rolled, self._rolled + 1
        number = self._throw[place % len(self._throw)]
        again = place // len(self._throw) + self._turn
        return (number + again * (7919 * (place + 1) + number)) % sides

    def one_of(self, options: Sequence[Option]) -> Option:
        """One of the options, which are put in order of simplicity."""
        return options[self.below(len(options))]

    def once_in(self, times: int) -> bool:
        """True once in so many times."""
        return self.below(times) == times - 1

    def thing(self, state: State, kind: type[Thing]) -> tuple[str, int]:
        """The id and version of a thing that there is; seldom of one that there is not, or a version that is not."""
        there = state.all(kind)
        if not there or self.once_in(24):
            return str(new_id()) if kind is not Agent else f"{state.name}-nobody", 1
        thing = self.one_of(there)
        assert thing.id is not None
        return thing.id, thing.version + (self.one_of((-1, 1, -2)) if self.once_in(8) else 0)

    def id_of(self, state: State, kind: type[Thing]) -> str:
        """The id of a thing."""
        return self.thing(state, kind)[0]

    def maybe(self, option: Option, otherwise: Option, times: int = 10) -> Option:
        """Once in so many times the one that is usually wrong."""
        return option if self.once_in(times) else otherwise


@dataclass(frozen=True)
class Item:
    """What becomes of an item of a batch: the key of its thing, or the codes of which one refuses it."""

    key: str | None = None
    refusals: Codes = field(default_factory=dict)


def settled(items: Sequence[Item], mode: str) -> Sequence[Item]:
    """The items of a batch. Raises `Refused` in mode ALL_OR_NOTHING if any was refused.

    The hub tells the first of the refusals, and which comes first is its own affair.
    """
    refusals = {code: None for item in items for code in item.refusals}
    if refusals and mode == "ALL_OR_NOTHING":
        raise Refused(refusals)
    return items


Build = Callable[[State, Dice], Fields]
Rule = Callable[[State, Principal, Fields], Sequence[Item] | None]
"""Does to the state what the command does; what becomes of each item of a batch. Raises `Refused`."""
Direct = Callable[[AsyncConnection, Fields], Any]


@dataclass(frozen=True, repr=False)
class Command:
    """One mutation. `acts_for` is the field with the agent that the actor must be allowed to act for.

    `entity` is the payload's field that a repetition must answer with again, of a batch that of each of its results;
    a batch may make its changes in any order. With `direct` it is no mutation: it is
    what the engine does to the rows in one transaction, under its own name.
    """

    mutation: str
    roles: frozenset[Role]
    build: Build
    rule: Rule
    entity: str = ""
    acts_for: str | None = None
    is_plain: bool = False
    is_batch: bool = False
    direct: Direct | None = None

    def __repr__(self) -> str:
        return self.mutation

    @property
    def is_mutation(self) -> bool:
        return self.direct is None


@dataclass(frozen=True)
class Attempt:
    """Somebody sends a command."""

    command: Command
    actor: Principal
    given: Fields
    dry: bool = False

    @property
    def key(self) -> tuple[str, str] | None:
        """Whose idempotency key it carries, if any."""
        key = self.given.get("idempotencyKey")
        return None if key is None else (self.actor.token_id or self.actor.name, key)

    @property
    def request(self) -> Any:
        """What makes two requests the same."""
        return self.command.mutation, self.given

    def rehearsed(self) -> "Attempt":
        """The same as a dry run."""
        return replace(self, dry=True)

    def __str__(self) -> str:
        who = f"{self.actor.name} ({self.actor.role.value})"
        return f"{who}: {'dry run of ' * self.dry}{self.command.mutation} {self.given}"


@dataclass(frozen=True)
class Expected:
    """What must become of an attempt: the events, or the codes of which one refuses it.

    `after` is the state then; for a dry run, the one that would be.
    """

    after: State
    changes: Sequence[Change] = ()
    refusals: Codes = field(default_factory=dict)
    items: Sequence[Item] | None = None
    repeats: bool = False
    """It was carried out before, with the same key."""

    @property
    def succeeds(self) -> bool:
        return not self.refusals


def predict(state: State, attempt: Attempt) -> Expected:
    """What the model expects; the given state stays as it is."""
    try:
        _authorise(attempt)
        earlier = state.used.get(attempt.key) if attempt.key is not None else None
        if earlier is not None:
            if earlier != attempt.request:
                raise refuse(ErrorCode.IDEMPOTENCY_KEY_REUSED)
            return Expected(state, repeats=True)
        after = state.copy()
        items = attempt.command.rule(after, attempt.actor, attempt.given)
    except Refused as refused:
        return Expected(state, refusals=refused.codes)
    if not attempt.dry:
        _use_key(after, attempt)
    return Expected(after, after.changes, items=items)


def with_key_used(state: State, attempt: Attempt) -> State:
    """The state after a request that was carried out and changed nothing but that its key is taken."""
    after = state.copy()
    _use_key(after, attempt)
    return after


def choose(state: State, actors: Sequence[Principal], commands: Sequence[Command], throw: Sequence[int]) -> Attempt:
    """An attempt at the first of the commands, if it leads on; else at one that does, rather with what is there
    already than by making more. Once in four at the first, as it comes.
    """
    if throw[-1] % 4 == 3:
        return _attempt(state, actors, commands[0], Dice(throw))
    making: Attempt | None = None
    for place, command in enumerate(commands):
        attempt = propose(state, actors, command, throw, TURNS if place else MORE_TURNS)
        changes = predict(state, attempt).changes
        if changes and (command is commands[0] or any(change.key in state.things for change in changes)):
            return attempt
        making = making or (attempt if changes else None)
    return making or _attempt(state, actors, commands[0], Dice(throw))


def propose(
    state: State, actors: Sequence[Principal], command: Command, throw: Sequence[int], turns: int = MORE_TURNS
) -> Attempt:
    """An attempt at the command: one that will be carried out, if chance finds any."""
    attempts = (_attempt(state, actors, command, Dice(throw, turn)) for turn in range(turns))
    carried_out = (attempt for attempt in attempts if predict(state, attempt).succeeds)
    return next(carried_out, None) or _attempt(state, actors, command, Dice(throw))


def _attempt(state: State, actors: Sequence[Principal], command: Command, dice: Dice) -> Attempt:
    given = command.build(state, dice)
    if not command.is_mutation:
        return Attempt(command, SYSTEM, given)
    able = [actor for actor in actors if actor.role in command.roles]
    return Attempt(command, dice.maybe(dice.one_of(actors), dice.one_of(able), 12), given)


def _use_key(state: State, attempt: Attempt) -> None:
    if attempt.key is not None:
        state.used[attempt.key] = attempt.request


def _authorise(attempt: Attempt) -> None:
    command, actor = attempt.command, attempt.actor
    if actor.role not in command.roles:
        raise refuse(ErrorCode.FORBIDDEN)
    if command.acts_for is not None and actor.agent_id not in (None, attempt.given[command.acts_for]):
        raise refuse(ErrorCode.FORBIDDEN)
