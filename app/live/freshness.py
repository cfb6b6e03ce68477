"""What has moved: by which whoever keeps an answer knows whether it still holds.

What is committed in this process counts at once, so that nobody is shown less than what it wrote here itself; what
others commit counts when the tail has read it. While the tail cannot say that it has read all, nothing holds.
"""

from functools import lru_cache

from app.domain.events import Aggregate
from app.live.records import EventRecord
from app.live.tail import EventTail
from db.session import Database

UNSEEN_MAX = 1.0
"""Seconds since the tail read the log to its end, beyond which it does not vouch for anything."""

Moves = tuple[int, ...]
"""How often each aggregate has moved."""

_INDEX = {aggregate.value: at for at, aggregate in enumerate(Aggregate)}


@lru_cache(maxsize=256)
def _places(aggregates: frozenset[Aggregate]) -> tuple[int, ...]:
    return tuple(_INDEX[aggregate] for aggregate in sorted(aggregates))


class Freshness:
    """Counts the moves of each aggregate."""

    def __init__(self, database: Database, tail: EventTail) -> None:
        self._tail = tail
        self._moves = [0] * len(_INDEX)
        database.after_commit(self._committed)
        tail.watch(self._told, lost=self._lost)

    def moves(self) -> Moves | None:
        """How often each aggregate has moved until now; None while nobody can say."""
        return tuple(self._moves) if self._tail.unseen_seconds < UNSEEN_MAX else None

    @staticmethod
    def of(aggregates: frozenset[Aggregate], moves: Moves) -> Moves:
        """The counts of some aggregates only."""
        return tuple([moves[at] for at in _places(aggregates)])

    def _committed(self, changes: frozenset[Aggregate] | None) -> None:
        for at in range(len(self._moves)) if changes is None else [_INDEX[each] for each in changes]:
            self._moves[at] += 1

    def _lost(self) -> None:
        """The log was lost: what was seen before may be undone by a crash, or be of a database that was replaced."""
        self._committed(None)

    def _told(self, event: EventRecord) -> None:
        at = _INDEX.get(event.aggregate)
        if at is not None:
            self._moves[at] += 1
