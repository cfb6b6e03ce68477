"""Answers of PostGraphile and of the hub: the same when they tell the same, and only then."""

import copy
from typing import Any

import pytest

from tests.benchmarks.retelling import plain, plain_postgraphile

OURS: dict[str, Any] = {
    "nodes": [{"at": "2026-11-01T12:00:00+00:00", "kind": "FINAL_APPROVAL", "score": "7.5", "is": True, "none": None}],
    "groups": [
        {"key": {"provider": "CLAUDE_CODE", "day": "2026-11-01T00:00:00+00:00"}, "count": 2, "cost": {"sum": "3.9149"}},
        {"key": {"provider": "ZAI_GLM", "day": "2026-11-01T00:00:00+00:00"}, "count": 1, "cost": {"sum": "1"}},
    ],
}
THEIRS: dict[str, Any] = {
    "nodes": [
        {"at": "2026-11-01T13:00:00.000000+01:00", "kind": "final_approval", "score": "7.50", "is": True, "none": None}
    ],
    "groupedAggregates": [
        {"keys": ["zai_glm", "2026-11-01T00:00:00.000000+00:00"], "count": {"id": 1}, "sum": {"cost": "1.000000"}},
        {"keys": ["claude_code", "2026-11-01T00:00:00.000000+00:00"], "count": {"id": 2}, "sum": {"cost": "3.914900"}},
    ],
}


def test_the_same_in_other_forms_is_the_same() -> None:
    assert plain_postgraphile(THEIRS) == plain(OURS)
    assert [group["key"][0] for group in plain(OURS)["groups"]] == ["claude_code", "zai_glm"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nodes",), []),
        (("nodes", 0, "at"), "2026-11-01T13:00:00.000001+01:00"),
        (("nodes", 0, "kind"), "technical_review"),
        (("nodes", 0, "score"), "7.51"),
        (("nodes", 0, "is"), False),
        (("nodes", 0, "none"), ""),
        (("groupedAggregates", 0, "keys", 0), "claude_code"),
        (("groupedAggregates", 0, "count", "id"), 2),
        (("groupedAggregates", 1, "sum", "cost"), "3.914901"),
    ],
)
def test_what_differs_anywhere_differs(path: tuple[str | int, ...], value: Any) -> None:
    theirs = copy.deepcopy(THEIRS)
    place: Any = theirs
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert plain_postgraphile(theirs) != plain(OURS)


def test_means_are_compared_to_six_places() -> None:
    assert plain({"avg": "58.323333"}) == plain({"avg": "58.3233333333333333"}) != plain({"avg": "58.323334"})
