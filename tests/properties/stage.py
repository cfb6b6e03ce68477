"""Where the sequences of one test take place: a hub on one database, and what each of them begins with."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvloop

from tests.properties.beginnings import Beginning, begin, make_template
from tests.properties.hub import Event, Hub
from tests.properties.model import State

TOGETHER = 20
"""Sequences whose beginnings are made together."""


@dataclass
class Opening:
    """Where a sequence begins: the state, and the events that led to it."""

    state: State
    events: list[Event] = field(default_factory=list)


@dataclass
class Stage:
    """What the sequences of one test share: a database, a loop, and the count of what was made in it."""

    hub: Hub
    run: Callable[[Awaitable[Any]], Any]
    sequences: int = 0
    entities: int = 0
    events: int = 0
    _openings: dict[Beginning, list[Opening]] = field(default_factory=lambda: defaultdict(list))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def opening(self, beginning: Beginning) -> Opening:
        """What no sequence has begun with yet."""
        openings = self._openings[beginning]
        if not openings:
            openings += self.run(self._prepare(beginning))
        return openings.pop()

    async def _prepare(self, beginning: Beginning) -> list[Opening]:
        openings = [Opening(State(f"s{next(self._numbers)}")) for _ in range(TOGETHER)]
        of_entities: dict[str, Opening] = {}
        for opening in openings:
            beginning(opening.state)
            of_entities |= dict.fromkeys(opening.state.keys_of, opening)
        await begin(self.hub.database, [opening.state for opening in openings])
        for event in await self.hub.news():
            of_entities[event.entity_id].events.append(event)
        for opening in openings:
            assert len(opening.events) == len(opening.state.changes)
            self.entities += len(opening.state.things)
            self.events += len(opening.events)
        return openings


@contextmanager
def a_stage(url: str) -> Iterator[Stage]:
    """A hub on this database, and a loop that runs only while it is asked something."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        hub = runner.run(Hub.open(url))
        try:
            runner.run(make_template(hub.database))
            yield Stage(hub, runner.run)  # type: ignore[arg-type]  # only coroutines are given
        finally:
            runner.run(hub.close())
