"""Who counts, how reviews are counted, and which family a model is of."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.gate_quorum import (
    ALL,
    Authors,
    Exclusion,
    GateRules,
    Review,
    exclusion_of,
    family_of,
    rules_of,
    tally,
)
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict

AUTHORS = Authors(frozenset({"james-dev"}), frozenset({"token"}), frozenset({"claude"}))
APPROVES = Review("rita", verdict=ReviewVerdict.APPROVE)


@pytest.mark.parametrize(
    ("provider", "model", "family"),
    [
        ("claude_code", "claude-sonnet-4", "claude"),
        ("claude_code", "opus", "claude"),
        ("anthropic_claude", "us.anthropic.Claude-3-haiku", "claude"),
        ("zai_glm", "glm-4.5", "glm"),
        ("zai_glm", "vendor/gpt-5-mini", "gpt"),
        ("zai_glm", "4711", "zai_glm:4711"),
    ],
)
def test_the_family_of_a_model(provider: str, model: str, family: str) -> None:
    assert family_of(provider, model) == family


@pytest.mark.parametrize(
    ("review", "rules", "expected"),
    [
        (Review("james-dev", "james-dev"), GateRules(), Exclusion.AUTHOR),
        (Review("rita", None, "token"), GateRules(), Exclusion.AUTHOR_SESSION),
        (Review("rita", None, "token"), GateRules(allow_self_review=True), None),
        (Review("q-a", "q-a", families=frozenset({"glm", "claude"})), GateRules(), Exclusion.AUTHOR_MODEL_FAMILY),
        (Review("q-a", "q-a", families=frozenset({"claude"})), GateRules(allow_same_model_family=True), None),
        (Review("q-a", "q-a", families=frozenset({"glm"})), GateRules(), None),
        (Review("rita", asked=False), GateRules(), Exclusion.NOT_ASKED),
    ],
)
def test_who_does_not_count(review: Review, rules: GateRules, expected: Exclusion | None) -> None:
    assert exclusion_of(review, AUTHORS, rules, only_asked=True) is expected


def test_where_nobody_is_asked_everybody_independent_counts() -> None:
    assert exclusion_of(Review("rita", asked=False), AUTHORS, GateRules(), only_asked=False) is None


def test_rules_of_criteria() -> None:
    assert rules_of({}) == GateRules()
    assert rules_of({"verdict_by": "quorum"}).quorum == ALL
    assert rules_of({"min_score": 7.1, "phases": []}).min_score == Decimal("7.1")
    assert rules_of({"phases": []}).phases == ()


def test_scores_of_reviews_that_do_not_count_are_left_out() -> None:
    reviews = [
        (Review("a", verdict=ReviewVerdict.APPROVE, score=Decimal(9)), None),
        (Review("b", verdict=ReviewVerdict.REJECT, score=Decimal(8)), None),
        (Review("c", verdict=ReviewVerdict.APPROVE, score=Decimal(1)), Exclusion.AUTHOR),
        (Review("d"), None),
    ]
    counted = tally(GateRules(quorum=2), reviews, ["d"])
    assert (counted.approvals, counted.rejections, counted.excluded) == (1, 1, ("c",))
    assert counted.mean_score == Decimal("8.50")


@given(
    st.lists(st.tuples(st.sampled_from(ReviewVerdict), st.booleans()), max_size=8),
    st.integers(0, 3),
    st.sampled_from([1, 2, 3, ALL]),
)
def test_a_quorum_is_never_made_of_those_who_do_not_count(
    given_reviews: list[tuple[ReviewVerdict, bool]], outstanding: int, quorum: int | str
) -> None:
    reviews = [
        (Review(str(place), verdict=verdict), None if counts else Exclusion.AUTHOR)
        for place, (verdict, counts) in enumerate(given_reviews)
    ]
    rules = rules_of({"quorum": quorum})
    counted = tally(rules, reviews, [f"o{number}" for number in range(outstanding)])
    approvals = sum(verdict is ReviewVerdict.APPROVE and counts for verdict, counts in given_reviews)
    needed = quorum if isinstance(quorum, int) else max(len(reviews) + outstanding, 1)
    assert counted.stands == (approvals >= needed)
    decided = counted.verdict()
    assert (decided is ApprovalStatus.APPROVED) == counted.stands
    if outstanding and not counted.stands:
        assert decided is None


def test_without_a_quorum_it_is_enough_that_all_are_in() -> None:
    assert tally(GateRules(), [(APPROVES, Exclusion.AUTHOR)], []).stands
    assert not tally(GateRules(), [(APPROVES, None)], ["mary"]).stands
