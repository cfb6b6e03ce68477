"""The state machines that hypothesis drives: commands one after the other, each in its manner, or several at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any, ClassVar

from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.properties.beginnings import Beginning
from tests.properties.bursts import explain
from tests.properties.checks import Rows, check_all, check_log, check_model, read_rows, rows_differ
from tests.properties.commands import Attempt, Command, choose, predict, propose
from tests.properties.hub import Answer, Event, actors_of
from tests.properties.judging import differs, foretold_differs
from tests.properties.stage import Stage

NUMBERS = 6
KEYS = 4
"""Idempotency keys that a sequence uses."""
EXAMPLES = 100
"""`max_examples` of the profile `ci`; one with more runs as many times more sequences."""
OPENING = 1
"""The step with which each sequence opens."""
RACERS = 5
"""Commands that are sent at once, at most."""

FOCUS = 3
"""Numbers of a throw that decide about which things a command is."""
Throw = tuple[int, ...]
THROWS = st.tuples(*[st.integers(0, 255)] * NUMBERS)


class Manner(StrEnum):
    """How a command is sent."""

    PLAINLY = "plainly"
    REHEARSED = "as a dry run, then in earnest"
    WITH_A_KEY = "with an idempotency key"
    AGAIN = "as an earlier one with a key was, or nearly so"


MANNERS = [Manner.PLAINLY] * 5 + [Manner.REHEARSED] * 2 + [Manner.WITH_A_KEY] * 2 + [Manner.AGAIN]


class Play(RuleBasedStateMachine):
    """One sequence of commands: whatever comes of each must be what the model expects, and all of it in the end."""

    stage: ClassVar[Stage]
    commands: ClassVar[Sequence[Command]]

    def __init__(self) -> None:
        super().__init__()
        self.keyed: list[Attempt] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        self.story: list[str] = []
        self.has_failed = False
        self._mix = b""

    def open(self, beginning: Beginning) -> None:
        """What is there before the first step."""
        opening = self.stage.opening(beginning)
        self.state, self.events = opening.state, opening.events
        self._before = len(self.state.things), len(self.events)
        self.actors = actors_of(self.state.name)

    def play(self, commands: Sequence[Command], manner: Manner, throw: Throw) -> None:
        """A step: the first of the commands that leads on, or now and then just the first."""
        with self._told():
            attempt = choose(self.state, self.actors, commands, throw)
            command = attempt.command
            if command.is_plain or not command.is_mutation:
                manner = Manner.PLAINLY
            if manner is Manner.REHEARSED:
                self.stage.run(self._rehearse(attempt))
            elif manner is Manner.PLAINLY:
                self.stage.run(self._send(attempt))
            else:
                self.stage.run(self._send(self._with_key(attempt, manner, throw)))

    def shaken(self, throw: Throw) -> Throw:
        """The numbers of this throw, mixed with all throws before.

        Five in six sequences of hypothesis are copies of another in which a few numbers were replaced; this makes
        them others from there on.
        """
        self._mix = blake2b(bytes(throw), key=self._mix, digest_size=NUMBERS).digest()
        return tuple(self._mix)

    def teardown(self) -> None:
        """The end of the sequence: the rows, the log, and what must hold of both."""
        if self.has_failed:
            return
        with self._told():
            check_log(self.events, self.state)
            fault = rows_differ(self.state, self.stage.run(self._rows()))
            assert fault is None, fault
            check_model(self.state)
        self.stage.sequences += 1
        entities, events = self._before
        self.stage.entities += len(self.state.things) - entities
        self.stage.events += len(self.events) - events

    async def _send(self, attempt: Attempt, rehearsed: Answer | None = None) -> None:
        expected = predict(self.state, attempt)
        answer = await self.stage.hub.send(attempt)
        events = await self.stage.hub.news()
        self._tell(attempt, answer, events)
        before = self.state.copy()
        fault = differs(expected, attempt, answer, events)
        assert fault is None, fault
        if rehearsed is not None:
            fault = foretold_differs(before, rehearsed, answer, events)
            assert fault is None, fault
        self.events += events
        if expected.succeeds and not attempt.dry:
            self.state = expected.after
            self._remember(attempt, answer)

    async def _rows(self) -> Rows:
        """The rows of all that any event was about."""
        ids = {event.entity_id for event in self.events}
        return await read_rows(self.stage.hub.database, self.state.name, ids)

    async def _rehearse(self, attempt: Attempt) -> None:
        """A dry run, and with nothing between what it foretells. What it wrote would be found with the events then."""
        dry = attempt.rehearsed()
        answer = await self.stage.hub.send(dry)
        self._tell(dry, answer, ())
        fault = differs(predict(self.state, dry), dry, answer, ())
        assert fault is None, fault
        await self._send(attempt, answer)

    def _with_key(self, attempt: Attempt, manner: Manner, throw: Throw) -> Attempt:
        """With a key, or as one with a key was sent before: the same, dry, with another body, by somebody else."""
        if manner is Manner.WITH_A_KEY or not self.keyed:
            keyed = _keyed(attempt, f"{self.state.name}-{throw[1] % KEYS}")
            self.keyed.append(keyed)
            return keyed
        earlier = self.keyed[throw[2] % len(self.keyed)]
        return [
            earlier,
            earlier,
            earlier.rehearsed(),
            replace(earlier, actor=attempt.actor),
            _keyed(replace(attempt, actor=earlier.actor), earlier.given["idempotencyKey"]),
        ][throw[3] % 5]

    def _remember(self, attempt: Attempt, answer: Answer) -> None:
        """What was answered first is answered again."""
        if attempt.key is not None:
            first = self.answers.setdefault(attempt.key, answer)
            assert (answer.entity, answer.results) == (first.entity, first.results), "another answer to the same key"

    def _tell(self, attempt: Attempt, answer: Answer, events: Sequence[Event]) -> None:
        said = answer.refusals or answer.results or "done"
        self.story.append(f"{attempt}\n    → {said}, {len(events)} events")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """An error within comes with the story of the sequence."""
        self.has_failed = True
        try:
            yield
        except Exception as error:
            error.add_note("\n".join([f"The sequence {self.state.name}:", *self.story]))
            raise
        self.has_failed = False


class Race(Play):
    """A sequence in which several commands are sent at once."""

    def race(self, racers: Sequence[tuple[Command, Throw]]) -> None:
        """A step: all of them at once; then some order of them must explain what came of it."""
        with self._told():
            self.stage.run(self._race(self._line_up(racers)))

    def _line_up(self, racers: Sequence[tuple[Command, Throw]]) -> list[Attempt]:
        """What is sent at once: some as dry runs, some with keys that others have too, some twice."""
        attempts: list[Attempt] = []
        for command, throw in racers:
            attempt = propose(self.state, self.actors, command, throw)
            how = 0 if command.is_plain or not command.is_mutation else throw[-1] % 8
            if how == 5:
                attempt = attempt.rehearsed()
            elif how == 6:
                attempt = _keyed(attempt, f"{self.state.name}-{throw[-2] % KEYS}")
                attempts.append(attempt)
            attempts.append(attempt)
        return attempts

    async def _race(self, attempts: Sequence[Attempt]) -> None:
        answers = await self.stage.hub.send_all(attempts)
        events = await self.stage.hub.news()
        self.story.append("at once:")
        for attempt, answer in zip(attempts, answers, strict=True):
            self._tell(attempt, answer, ())
        self.events += events
        sent = list(zip(attempts, answers, strict=True))
        orders = list(explain(self.state, sent, events))
        assert orders, "no order of the commands explains these events:\n" + "\n".join(map(str, events))
        rows = await self._rows()
        agreeing = [after for after in orders if rows_differ(after, rows) is None]
        assert agreeing, f"the commands' order leads to other rows: {rows_differ(orders[0], rows)}"
        self.state = agreeing[0]
        for attempt, answer in sent:
            if not answer.refusals and not attempt.dry:
                self._remember(attempt, answer)


def _keyed(attempt: Attempt, key: str) -> Attempt:
    return replace(attempt, given=attempt.given | {"idempotencyKey": key})


def a_machine(name: str, commands: Sequence[Command], *beginnings: Beginning) -> type[Play]:
    """A machine that sends these commands, one after the other; one that is named twice is twice as likely."""

    def step(self: Play, first: int, manner: Manner, throw: Throw) -> None:
        numbers = self.shaken(throw)
        others = sorted(range(len(commands)), key=lambda place: (place * 7919 + numbers[0] * 104_729) % 65_537)
        self.play([commands[first], *(commands[other] for other in others)], manner, numbers)

    drawn = rule(first=_place_in(commands), manner=st.sampled_from(MANNERS), throw=THROWS)
    return type(name, (Play,), {"commands": commands, "opening": _opening(beginnings), "step": drawn(step)})


def a_race(name: str, commands: Sequence[Command], *beginnings: Beginning) -> type[Race]:
    """A machine that sends some of these commands at once, again and again; every other time at the same things."""
    racers = st.lists(st.tuples(_place_in(commands), THROWS), min_size=2, max_size=RACERS)

    def at_once(self: Race, racers: Sequence[tuple[int, Throw]], focused: bool) -> None:
        shaken = [self.shaken(throw) for _, throw in racers]
        throws = [(*shaken[0][:FOCUS], *throw[FOCUS:]) if focused else throw for throw in shaken]
        self.race([(commands[which], throw) for (which, _), throw in zip(racers, throws, strict=True)])

    drawn = rule(racers=racers, focused=st.booleans())
    return type(name, (Race,), {"commands": commands, "opening": _opening(beginnings), "at_once": drawn(at_once)})


def _place_in(options: Sequence[Any]) -> st.SearchStrategy[int]:
    return st.integers(0, len(options) - 1)


def _opening(beginnings: Sequence[Beginning]) -> Any:
    def opening(self: Play, which: int) -> None:
        self.open(beginnings[which])

    return initialize(which=_place_in(beginnings))(opening)


@dataclass(frozen=True)
class Plan:
    """How much a machine is driven: by so many tests, each of so many sequences of so many steps."""

    machine: type[Play]
    tests: int
    sequences: int
    steps: int

    @property
    def parts(self) -> range:
        """The tests' numbers."""
        return range(self.tests)


def drive(stage: Stage, plan: Plan, part: int) -> None:
    """Run one test's sequences; the part is the seed, unless the profile leaves that to chance.

    Fails when one sequence fails, when fewer were run to their end, when some of the commands were never carried out,
    and when the database is not as the sequences left it.
    """
    profile = settings()
    wanted = plan.sequences * profile.max_examples // EXAMPLES
    staged = type(plan.machine.__name__, (plan.machine,), {"stage": stage})
    if profile.derandomize:
        staged = seed(part)(staged)
    run_state_machine_as_test(staged, settings=settings(max_examples=wanted, stateful_step_count=plan.steps + OPENING))
    assert stage.sequences >= wanted
    sent = {command.mutation for command in plan.machine.commands}
    never = sorted(sent - stage.hub.carried_out)
    # what comes of a race is chance's, also where the commands are the same
    tolerated = len(sent) // 3
    assert len(never) <= tolerated, f"{never} were never carried out, so nothing was learnt of them"
    stage.run(check_all(stage.hub.database, stage.entities, stage.events))
