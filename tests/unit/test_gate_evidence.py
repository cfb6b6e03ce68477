"""Hashes of what is under review."""

import hashlib

import pytest

from app.domain.errors import EvidenceChanged, InvalidInput
from app.domain.gate_evidence import (
    ITEMS_MAX,
    EvidenceKind,
    canonical_json,
    changed_items,
    gather,
    item,
    items_of_result,
    require_same,
    sha256_of,
)


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert canonical_json({"b": [1, 1.5, None], "a": {"ü": "\n", "Z": True}}) == (
        '{"a":{"Z":true,"ü":"\\n"},"b":[1,1.5,null]}'.encode()
    )
    assert sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})
    assert sha256_of({"a": 1}) != sha256_of({"a": "1"})
    assert sha256_of("") == hashlib.sha256(b'""').hexdigest()


def test_the_order_in_which_items_are_found_says_nothing() -> None:
    items = [item(EvidenceKind.RESULT, "build", name, {"n": name}) for name in "cab"]
    assert gather(items) == gather(items[::-1])
    assert gather(items).sha256 != gather(items[:2]).sha256


def test_of_too_many_items_the_rest_is_one() -> None:
    items = [item(EvidenceKind.RESULT, "build", f"{number:05}", number) for number in range(ITEMS_MAX + 5)]
    gathered = gather(items)
    assert len(gathered.items) == ITEMS_MAX
    assert (gathered.items[-1]["kind"], gathered.items[-1]["name"]) == ("rest", "6 more")
    assert gathered.sha256 != gather(items[:-1]).sha256


@pytest.mark.parametrize(
    "result",
    [None, 7, "text", [], {"artifacts": 7}, {"artifacts": [{}, None, {"path": ""}]}, {"git_tree": "main"}],
)
def test_odd_results_are_one_item(result: object) -> None:
    (only,) = items_of_result("build", "api", result)
    assert (only["kind"], only["sha256"]) == ("result", sha256_of(result))


def test_what_changed_is_told_in_words() -> None:
    before = [item(EvidenceKind.RESULT, "build", name, 1) for name in ("a", "b")]
    now = [item(EvidenceKind.RESULT, "build", "a", 2), item(EvidenceKind.CHECK, None, "size", 3)]
    assert changed_items(before, now, added=True) == [
        "result 'build: a' changed",
        "result 'build: b' is gone",
        "check 'size' was added",
    ]
    assert changed_items(before, [*before, *now[1:]], added=False) == []


def test_a_hash_that_is_not_that_of_today_is_refused() -> None:
    evidence = gather([item(EvidenceKind.RESULT, "build", "a", 1)])
    require_same(None, evidence)
    require_same(f" {evidence.sha256.upper()}\n", evidence)
    with pytest.raises(EvidenceChanged) as caught:
        require_same("0" * 64, evidence)
    assert caught.value.current == evidence.sha256
    for wrong in ("", "0" * 63, "g" * 64, "\ud800"):
        with pytest.raises(InvalidInput):
            require_same(wrong, evidence)
