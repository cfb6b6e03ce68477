"""Answers to queries, kept for as long as nothing that they read has moved.

The same request by somebody of the same rights gets the bytes that were made before. An answer holds while no
aggregate that its statement read has moved (`app.live.freshness`), and for `HOLDS` seconds at most: some columns change
without an event, such as when an agent was last heard of, and so do values that depend on the time. Answers with sealed
fields are never kept.
"""

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from app.domain.events import Aggregate
from app.domain.principals import Principal
from app.live.freshness import Freshness, Moves
from graphql_schema.planner.plan import Plan
from graphql_schema.planner.planner import rights_of

HOLDS = 2.0
"""Seconds; with the tail's own bound (`app.live.freshness.UNSEEN_MAX`) nothing that is shown is older than three."""
REQUEST_MAX = 16_384
"""Bytes of a request that is kept together with its answer."""
SHARE_MAX = 16
"""An answer takes at most this part of the memory: a sixteenth."""
OVERHEAD = 400
"""Bytes that an entry takes beside request and answer."""


@dataclass(frozen=True)
class Asked:
    """A request, when it came, and what had moved by then."""

    body: bytes
    media_type: str
    principal: Principal
    moves: Moves
    at: float

    @property
    def shared_key(self) -> Hashable:
        """Equal for viewers of equal rights."""
        return self.body, self.media_type, rights_of(self.principal)

    @property
    def own_key(self) -> Hashable:
        """Equal for the same viewer only."""
        return self.body, self.media_type, self.principal


@dataclass(frozen=True)
class _Kept:
    answer: bytes
    reads: frozenset[Aggregate]
    moves: Moves
    at: float
    size: int


class ReadCache:
    """The answers that were asked for lately, within so many bytes of memory."""

    def __init__(self, freshness: Freshness, most_bytes: int) -> None:
        self._freshness = freshness
        self._most = most_bytes
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def ask(self, body: bytes, media_type: str, principal: Principal) -> Asked | None:
        """Note a request before it is answered; None where nobody can say what has moved, so nothing is kept."""
        moves = self._freshness.moves()
        if moves is None or len(body) > REQUEST_MAX:
            return None
        return Asked(body, media_type, principal, moves, time.monotonic())

    def find(self, asked: Asked) -> bytes | None:
        """The answer that was made before, if it still holds."""
        for key in (asked.shared_key, asked.own_key):
            kept = self._kept.get(key)
            if kept is None:
                continue
            if asked.at - kept.at < HOLDS and Freshness.of(kept.reads, asked.moves) == kept.moves:
                self._kept.move_to_end(key)
                self.hits += 1
                return kept.answer
            self._drop(key)
        self.misses += 1
        return None

    def keep(self, asked: Asked, plan: Plan, answer: bytes) -> None:
        """Keep an answer that was made of a plan after the request was noted."""
        size = len(asked.body) + len(answer) + OVERHEAD
        if plan.fills or size > self._most // SHARE_MAX:
            return
        key = asked.own_key if plan.is_personal else asked.shared_key
        self._drop(key)
        self._kept[key] = _Kept(answer, plan.reads, Freshness.of(plan.reads, asked.moves), asked.at, size)
        self.bytes += size
        while self.bytes > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept.size
