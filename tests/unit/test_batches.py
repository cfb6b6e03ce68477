"""Items of a batch that wait for each other: put in order, and what cannot be ordered is told item by item."""

from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.batches import BATCH_MAX, Linked, arrange, check_batch
from app.domain.errors import InvalidInput


def faults(*items: Linked) -> dict[int, str | None]:
    return {index: fault.field for index, fault in arrange(items).faults.items()}


def test_each_item_comes_after_those_that_it_waits_for() -> None:
    arrangement = arrange([Linked("c", ["a", "b"]), Linked("b", ["a"]), Linked("a"), Linked()])
    assert arrangement.faults == {}
    assert {index: list(needs) for index, needs in arrangement.needs.items()} == {0: [1, 2], 1: [2], 2: [], 3: []}
    place = {index: position for position, index in enumerate(arrangement.order)}
    assert place[2] < place[1] < place[0]
    assert sorted(arrangement.order) == [0, 1, 2, 3]


def test_an_item_named_twice_is_waited_for_once() -> None:
    assert arrange([Linked("a"), Linked(None, ["a", "a"])]).needs[1] == [0]


def test_unknown_and_unusable_keys() -> None:
    assert faults(Linked("a", ["b"]), Linked("", []), Linked("k" * 201)) == {
        0: "input.dependsOnKeys",
        1: "input.key",
        2: "input.key",
    }
    assert faults(Linked("a", ["a"] * (BATCH_MAX + 1))) == {0: "input.dependsOnKeys"}


def test_all_items_of_one_key_are_at_fault() -> None:
    arrangement = arrange([Linked("a"), Linked("b"), Linked("a"), Linked("c", ["a"])])
    assert set(arrangement.faults) == {0, 2}
    assert "names item 2" in arrangement.faults[0].message
    assert "names item 0" in arrangement.faults[2].message


def test_the_items_of_a_circle_are_at_fault_and_those_behind_it_are_not() -> None:
    arrangement = arrange([Linked("a", ["b"]), Linked("b", ["c"]), Linked("c", ["a"]), Linked("d", ["a"]), Linked("e")])
    assert set(arrangement.faults) == {0, 1, 2}
    assert all(fault.field == "input.dependsOnKeys" for fault in arrangement.faults.values())
    ways = ("a → b → c → a", "b → c → a → b", "c → a → b → c")
    assert any(way in arrangement.faults[0].message for way in ways)
    assert sorted(arrangement.order) == [0, 1, 2, 3, 4]


def test_an_item_that_waits_for_itself() -> None:
    assert faults(Linked("a", ["a"]), Linked("b")) == {0: "input.dependsOnKeys"}


keys = st.sampled_from("abcde")


@given(st.lists(st.builds(Linked, st.none() | keys, st.lists(keys, max_size=3)), max_size=8))
def test_whatever_is_given_all_items_are_ordered_and_what_is_not_at_fault_can_be_made(items: list[Linked]) -> None:
    arrangement = arrange(items)
    assert sorted(arrangement.order) == list(range(len(items)))
    made: set[int] = set()
    for index in arrangement.order:
        if index not in arrangement.faults and all(need in made for need in arrangement.needs[index]):
            made.add(index)
    good = [index for index in range(len(items)) if index not in arrangement.faults]
    # of the items without fault only those are not made that wait, perhaps through others, for one with a fault
    blocked = set(arrangement.faults)
    for index in TopologicalSorter(
        {index: [n for n in arrangement.needs[index] if n in good] for index in good}
    ).static_order():
        if blocked.intersection(arrangement.needs[index]):
            blocked.add(index)
    assert made == set(range(len(items))) - blocked


@pytest.mark.parametrize("number", [0, BATCH_MAX + 1])
def test_batches_of_no_size_that_is_taken(number: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_batch("tasks", [None] * number)
    assert caught.value.field == "input.tasks"
    check_batch("tasks", [None] * BATCH_MAX)
