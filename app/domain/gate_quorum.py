"""Who of a gate's reviewers counts, and whether their approvals suffice."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from app.domain.quality_gates import ApprovalStatus, ReviewVerdict

ALL: Literal["all"] = "all"
KNOWN_FAMILIES = {"claude": "claude", "sonnet": "claude", "opus": "claude", "haiku": "claude", "glm": "glm"}
"""Words in the name of a model that tell its family."""


class Exclusion(StrEnum):
    """Why a review does not count to the quorum."""

    NOT_ASKED = "not_asked"
    AUTHOR = "author"
    AUTHOR_SESSION = "author_session"
    AUTHOR_MODEL_FAMILY = "author_model_family"


@dataclass(frozen=True)
class GateRules:
    """What a gate's `validation_criteria` ask of its verdict.

    Without a quorum every review that was asked for must be in, whatever it says; `all` wants all of them to approve.
    """

    verdict_by: str = "pm"
    quorum: int | Literal["all"] | None = None
    min_score: Decimal | None = None
    criteria: tuple[str, ...] = ()
    allow_self_review: bool = False
    allow_same_model_family: bool = False
    phases: tuple[str, ...] | None = None
    timeout_seconds: float | None = None
    escalate_to: str | None = None


def rules_of(criteria: Mapping[str, Any]) -> GateRules:
    """The rules in a gate's criteria; a gate whose verdict the quorum gives has one: `all`, where it names none."""
    verdict_by = criteria.get("verdict_by") or "pm"
    score = criteria.get("min_score")
    phases = criteria.get("phases")
    return GateRules(
        verdict_by=verdict_by,
        quorum=criteria.get("quorum") or (ALL if verdict_by == "quorum" else None),
        min_score=Decimal(str(score)) if score is not None else None,
        criteria=tuple(criteria.get("criteria") or ()),
        allow_self_review=bool(criteria.get("allow_self_review")),
        allow_same_model_family=bool(criteria.get("allow_same_model_family")),
        phases=tuple(phases) if phases is not None else None,
        timeout_seconds=criteria.get("timeout_seconds"),
        escalate_to=criteria.get("escalate_to"),
    )


@dataclass(frozen=True)
class Authors:
    """Who made what is reviewed: agents, the tokens under which they answered, and the families of their models."""

    agents: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Review:
    """One reviewer's part: `session` is the token under which it was given; no verdict yet is None."""

    reviewer: str
    agent_id: str | None = None
    session: str | None = None
    families: frozenset[str] = frozenset()
    asked: bool = True
    verdict: ReviewVerdict | None = None
    score: Decimal | None = None


def exclusion_of(review: Review, authors: Authors, rules: GateRules, *, only_asked: bool) -> Exclusion | None:
    """Why the review does not count; None when it does. `only_asked`: the gate names its reviewers."""
    if not rules.allow_self_review:
        if review.agent_id is not None and review.agent_id in authors.agents:
            return Exclusion.AUTHOR
        if review.session is not None and review.session in authors.sessions:
            return Exclusion.AUTHOR_SESSION
    if not rules.allow_same_model_family and review.families & authors.families:
        return Exclusion.AUTHOR_MODEL_FAMILY
    return Exclusion.NOT_ASKED if only_asked and not review.asked else None


@dataclass(frozen=True)
class Tally:
    """How the reviews of a revision stand. `needed` is None without a quorum; `outstanding` are still asked."""

    needed: int | None
    approvals: int
    rejections: int
    revisions: int
    outstanding: tuple[str, ...]
    excluded: tuple[str, ...]
    mean_score: Decimal | None

    @property
    def stands(self) -> bool:
        """Whether the approvals suffice."""
        return self.approvals >= self.needed if self.needed is not None else not self.outstanding

    def verdict(self) -> ApprovalStatus | None:
        """What the quorum itself decides: None while it may still come to stand, or when nobody objected.

        Objections do not outweigh approvals that suffice. Otherwise the work is rejected if more reject it than ask
        for a revision, else it goes back.
        """
        if self.stands and self.needed is not None:
            return ApprovalStatus.APPROVED
        if self.outstanding or not (self.rejections or self.revisions):
            return None
        return ApprovalStatus.REJECTED if self.rejections > self.revisions else ApprovalStatus.REQUIRES_REVISION


def tally(
    rules: GateRules,
    reviews: Sequence[tuple[Review, Exclusion | None]],
    outstanding: Collection[str],
) -> Tally:
    """Count the reviews. `all` needs as many as were asked, at least one."""
    given = [(review, excluded) for review, excluded in reviews if review.verdict is not None]
    counted = [review for review, excluded in given if excluded is None]
    asked = sum(review.asked for review, _ in given) + len(outstanding)
    verdicts = [review.verdict for review in counted]
    scores = [review.score for review in counted if review.score is not None]
    return Tally(
        needed=max(asked, 1) if rules.quorum == ALL else rules.quorum,
        approvals=verdicts.count(ReviewVerdict.APPROVE),
        rejections=verdicts.count(ReviewVerdict.REJECT),
        revisions=verdicts.count(ReviewVerdict.REQUEST_REVISION),
        outstanding=tuple(outstanding),
        excluded=tuple(review.reviewer for review, excluded in given if excluded is not None),
        mean_score=(sum(scores, Decimal()) / len(scores)).quantize(Decimal("0.01")) if scores else None,
    )


def family_of(provider_name: str, model_name: str) -> str:
    """The family of a model: `claude` for claude-sonnet-4, `glm` for glm-4.5, `gpt` for vendor/gpt-5-mini.

    A name that says nothing is of a family of its own with its provider.
    """
    name = model_name.lower()
    for word, family in KNOWN_FAMILIES.items():
        if word in name:
            return family
    first = re.match(r"[a-z]+", name.rpartition("/")[2])
    return first.group() if first else f"{provider_name}:{name}"
