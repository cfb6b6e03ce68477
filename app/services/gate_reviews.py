"""The reviews of a gate: which of them count, and whether a verdict may rest on them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked
from app.domain.gate_conditions import unmet, values_of
from app.domain.gate_quorum import Review, Tally, exclusion_of, family_of, rules_of, tally
from app.domain.quality_gates import ReviewVerdict, failed_checks
from app.services.gate_evidence import authors_of, results_under_review
from db.queries import quality_gates as queries
from db.queries.gate_evidence import latest_models_of, models_of_tasks


async def count_reviews(session: AsyncConnection, gate: Row[Any]) -> Tally:
    """Judge each review of the current revision anew, keep why it does not count, and count those that do."""
    rules = rules_of(gate.validation_criteria)
    rows = await queries.reviews_given(session, gate.gate_id, gate.revision)
    outstanding = await queries.outstanding_reviews(session, gate.gate_id, gate.revision)
    requests = await queries.review_tasks(session, gate.gate_id)
    authors = await authors_of(session, gate) if rows else None
    families = await _families(session, rows, requests)
    only_asked = bool(outstanding or requests or any(row.is_named for row in rows))
    judged = []
    for row in rows:
        assert authors is not None  # noqa: S101  (there are rows)
        review = _review(row, families)
        excluded = exclusion_of(review, authors, rules, only_asked=only_asked)
        if row.excluded_because != excluded:
            await queries.exclude(session, row.review_id, excluded.value if excluded else None)
        judged.append((review, excluded))
    return tally(rules, judged, outstanding)


async def require_approvable(session: AsyncConnection, gate: Row[Any], counted: Tally, score: Decimal | None) -> None:
    """Raise `Blocked` when reviews are outstanding, the quorum does not stand, the score is below the least, or a
    condition of the gate does not hold.

    `score` is the quality that the verdict sees; without one it is the mean of the reviews that count.
    """
    rules = rules_of(gate.validation_criteria)
    if not counted.stands:
        raise Blocked(_unapproved(gate, _missing(counted)))
    seen = counted.mean_score if score is None else score
    if rules.min_score is not None and (seen is None or seen < rules.min_score):
        found = "no score was given" if seen is None else f"its score is {seen}"
        raise Blocked(_unapproved(gate, f"it asks for a score of at least {rules.min_score}, and {found}"))
    if rules.criteria:
        values = values_of(await results_under_review(session, gate), gate.automated_checks, seen)
        if missed := unmet(rules.criteria, values):
            raise Blocked(_unapproved(gate, f"these criteria are not met: {', '.join(missed)}"))


def _missing(counted: Tally) -> str:
    if counted.needed is None:
        return f"reviews are outstanding, of {', '.join(counted.outstanding)}"
    without = f"; these do not count: {', '.join(counted.excluded)}" if counted.excluded else ""
    waits = f"; outstanding: {', '.join(counted.outstanding)}" if counted.outstanding else ""
    return f"its quorum is {counted.needed} approving reviews, and {counted.approvals} count{without}{waits}"


def _unapproved(gate: Row[Any], reason: str) -> str:
    failed = failed_checks(gate.automated_checks)
    informed = f" Automated checks that failed, which the verdict may overrule: {', '.join(failed)}." if failed else ""
    return f"The gate {gate.gate_name!r} cannot be approved yet: {reason}.{informed} Nothing was changed."


def _review(row: Row[Any], families: Mapping[str, frozenset[str]]) -> Review:
    return Review(
        reviewer=row.reviewer,
        agent_id=row.agent_id,
        session=row.session,
        families=families.get(row.agent_id, frozenset()),
        asked=row.is_named or row.task_id is not None,
        verdict=ReviewVerdict(row.verdict),
        score=row.score,
    )


async def _families(
    session: AsyncConnection, rows: Sequence[Row[Any]], requests: Mapping[UUID, str | None]
) -> dict[str, frozenset[str]]:
    """The families of the models with which agents review: on the gate's requests, else that they used last."""
    agents = sorted({row.agent_id for row in rows if row.agent_id is not None})
    if not agents:
        return {}
    found: dict[str, set[str]] = {}
    used = await models_of_tasks(session, [task_id for task_id, holder in requests.items() if holder in agents])
    unknown = [agent_id for agent_id in agents if all(model.agent_id != agent_id for model in used)]
    for model in [*used, *await latest_models_of(session, unknown)]:
        found.setdefault(model.agent_id, set()).add(family_of(model.provider_name, model.model_name))
    return {agent_id: frozenset(families) for agent_id, families in found.items()}
