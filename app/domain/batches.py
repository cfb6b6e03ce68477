"""Batches: several commands in one request, and items that wait for other items of the same batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from app.domain.errors import HubError, InvalidInput
from app.domain.rules import NAME_MAX, bounded_list, required_text

BATCH_MAX = 200
"""Items of one batch."""


class BatchMode(StrEnum):
    """What becomes of a batch of which some items are refused."""

    ALL_OR_NOTHING = "all_or_nothing"
    EACH = "each"


@dataclass(frozen=True)
class Linked:
    """An item by which others of its batch may name it, and those that it waits for."""

    key: str | None = None
    depends_on_keys: Sequence[str] = ()


@dataclass(frozen=True)
class Arrangement:
    """The items of a batch in an order in which each comes after those that it waits for.

    `needs` are the indexes of the items that an item waits for; `faults` is why an item cannot be carried out.
    """

    order: Sequence[int]
    needs: Mapping[int, Sequence[int]]
    faults: Mapping[int, HubError]


def check_batch(field: str, items: Sequence[object]) -> None:
    """Raise `InvalidInput` unless there are 1 to 200 items."""
    if not items:
        raise InvalidInput(f"{field} must hold at least one item. Nothing was written.", f"input.{field}")
    bounded_list(field, items, BATCH_MAX)


def arrange(items: Sequence[Linked]) -> Arrangement:
    """Put the items in order. Keys that are used twice, unknown keys and cycles are faults of the items concerned."""
    indexes: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        if item.key is not None:
            indexes.setdefault(item.key, []).append(index)
    needs = {
        index: sorted({place for key in item.depends_on_keys for place in indexes.get(key, ())})
        for index, item in enumerate(items)
    }
    faults: dict[int, HubError] = {}
    for index, item in enumerate(items):
        try:
            _check_keys(index, item, indexes)
        except InvalidInput as fault:
            faults[index] = fault
    order = _in_order(items, needs, faults)
    return Arrangement(order, needs, faults)


def _check_keys(index: int, item: Linked, indexes: Mapping[str, Sequence[int]]) -> None:
    if item.key is not None:
        required_text("key", item.key, NAME_MAX)
        others = [str(place) for place in indexes[item.key] if place != index]
        if others:
            raise InvalidInput(
                f"The key {item.key!r} also names item {', '.join(others)} of the batch; keys are unique in it. "
                "Nothing was written.",
                "input.key",
            )
    bounded_list("dependsOnKeys", item.depends_on_keys, BATCH_MAX)
    unknown = sorted({key for key in item.depends_on_keys if key not in indexes})
    if unknown:
        raise InvalidInput(
            f"No item of the batch has the key {', '.join(map(repr, unknown))[:NAME_MAX]}. Nothing was written.",
            "input.dependsOnKeys",
        )


def _in_order(
    items: Sequence[Linked], needs: Mapping[int, Sequence[int]], faults: dict[int, HubError]
) -> Sequence[int]:
    """The order of the items that are in no cycle, then those that are, each with its fault."""
    left = {index: [need for need in found if need != index] for index, found in needs.items()}
    for index in (index for index, found in needs.items() if index in found):
        faults.setdefault(index, _in_a_cycle([items[index].key, items[index].key]))
    while True:
        try:
            return tuple(TopologicalSorter(left).static_order())
        except CycleError as error:
            circle: Sequence[int] = error.args[1]
            keys = [items[index].key for index in reversed(circle)]
            for index in circle:
                faults.setdefault(index, _in_a_cycle(keys))
                left[index] = [need for need in left[index] if need not in circle]


def _in_a_cycle(keys: Sequence[str | None]) -> InvalidInput:
    return InvalidInput(
        f"These items wait for each other: {' → '.join(map(str, keys))}. Nothing was written.", "input.dependsOnKeys"
    )
