"""Model assignments: which AI model works on which task, why, and at what cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from app.domain.machines import Machine
from app.domain.rules import INT64_HIGH, MONEY, NAME_MAX, Range, bounded_list, required_text

FALLBACKS_MAX = 10
"""Models of one fallback chain."""
REASON_MAX = 2_000
"""Characters of the reason of a failure or of a cancellation."""
AMOUNT_USED = Range(0, INT64_HIGH)
"""Tokens, or milliseconds."""
MICRODOLLAR = Decimal("0.000001")


class Provider(StrEnum):
    """Who serves the model."""

    CLAUDE_CODE = "claude_code"
    ANTHROPIC_CLAUDE = "anthropic_claude"
    ZAI_GLM = "zai_glm"


class AssignmentReason(StrEnum):
    """Why this model was chosen."""

    COMPLEXITY_HIGH = "complexity_high"
    COST_OPTIMIZATION = "cost_optimization"
    PROVIDER_PREFERENCE = "provider_preference"
    FALLBACK = "fallback"


class AssignmentStatus(StrEnum):
    """Where a model assignment stands."""

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ASSIGNMENT_MACHINE = Machine(
    "model assignment",
    AssignmentStatus.PENDING,
    {
        AssignmentStatus.PENDING: (AssignmentStatus.ACTIVE, AssignmentStatus.CANCELLED),
        AssignmentStatus.ACTIVE: (AssignmentStatus.COMPLETED, AssignmentStatus.FAILED, AssignmentStatus.CANCELLED),
        AssignmentStatus.COMPLETED: (),
        AssignmentStatus.FAILED: (),
        AssignmentStatus.CANCELLED: (),
    },
)


@dataclass(frozen=True)
class ModelChoice:
    """A model that may be tried; the cost is estimated, in US dollars."""

    provider_name: Provider
    model_name: str
    estimated_cost: Decimal | None = None


def exact_cost(field: str, value: Decimal | None) -> Decimal | None:
    """The cost rounded half up to a millionth of a dollar, as it is stored; `InvalidInput` when it is out of bounds.

    What a model's use costs is computed from tokens and prices, so it often has more decimals than anybody needs.
    """
    MONEY.check(field, value)
    if value is None:
        return None
    rounded = value.quantize(MICRODOLLAR, ROUND_HALF_UP) + 0
    MONEY.check(field, rounded)
    return rounded


def fallback_chain(choices: Sequence[ModelChoice]) -> list[dict[str, Any]]:
    """The models to be tried in this order, as they are stored. Raises `InvalidInput`."""
    bounded_list("fallbacks", choices, FALLBACKS_MAX)
    return [_stored(f"fallbacks.{index}", choice) for index, choice in enumerate(choices)]


def chosen(stored: Mapping[str, Any]) -> ModelChoice:
    """A model of a stored chain."""
    cost = stored.get("estimated_cost")
    return ModelChoice(
        Provider(stored["provider_name"]), stored["model_name"], Decimal(cost) if cost is not None else None
    )


def _stored(place: str, choice: ModelChoice) -> dict[str, Any]:
    cost = exact_cost(f"{place}.estimatedCost", choice.estimated_cost)
    return {
        "provider_name": choice.provider_name.value,
        "model_name": required_text(f"{place}.modelName", choice.model_name, NAME_MAX),
        "estimated_cost": f"{cost:f}" if cost is not None else None,
    }
