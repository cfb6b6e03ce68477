"""Batches: each item is judged by itself, then all that are accepted are written by a few statements.

Not a savepoint and a service call for each: two hundred of them held a transaction open for a second, and with it the
tail of the event log for everybody.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Row

from app.domain.batches import BatchMode
from app.domain.errors import HubError

Value = TypeVar("Value")
Locate = Callable[[int, str | None], str]
"""Where in the input an error lies: from the item's index, and the path that a command of its own would have named."""


@dataclass(frozen=True)
class Outcome:
    """What became of one item: its entity's row, or why it was refused."""

    index: int
    row: Row[Any] | None = None
    error: HubError | None = None


@dataclass(frozen=True)
class Judged(Generic[Value]):
    """What is to be written, by the index of its item, and the items that were refused."""

    accepted: Mapping[int, Value]
    refused: Sequence[Outcome]

    def outcomes(self, rows: Mapping[int, Row[Any]]) -> list[Outcome]:
        """What became of each item, by index, when these are the rows that were written."""
        return sorted((*self.refused, *(Outcome(index, row) for index, row in rows.items())), key=_index)


def judge_items(mode: BatchMode, order: Iterable[int], judge: Callable[[int], Value], locate: Locate) -> Judged[Value]:
    """Judge the items in this order; `judge` returns what is to be written for one, or raises why it is refused.

    In mode ALL_OR_NOTHING raises the first refusal, so that nothing is written.
    """
    accepted: dict[int, Value] = {}
    refused: list[Outcome] = []
    for index in order:
        try:
            accepted[index] = judge(index)
        except HubError as error:
            error.field = locate(index, error.field)
            if mode is BatchMode.ALL_OR_NOTHING:
                raise
            refused.append(Outcome(index, error=error))
    return Judged(accepted, refused)


def field_of_item(items: str) -> Locate:
    """For items that are objects: `input.title` of item 3 lies at `input.<items>.3.title`."""

    def locate(index: int, field: str | None) -> str:
        path = (field or "").removeprefix("input").removeprefix(".")
        return ".".join(filter(None, ("input", items, str(index), path)))

    return locate


def item_itself(items: str) -> Locate:
    """For items that are ids: whatever is wrong with item 3 lies at `input.<items>.3`."""
    return lambda index, _: f"input.{items}.{index}"


def _index(outcome: Outcome) -> int:
    return outcome.index
