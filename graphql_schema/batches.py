"""What all batches share: the two modes, and payloads that tell what became of each item."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from typing import Any, Self

import strawberry

from app.domain.batches import BATCH_MAX, BatchMode
from app.domain.errors import ErrorCode
from app.services.batches import Outcome
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.errors import UserError, user_error
from graphql_schema.mutating import References, text_id
from graphql_schema.payloads import Payload, given

ITEMS = f"From 1 to {BATCH_MAX}"
MODES = (
    "ALL_OR_NOTHING: the first refusal refuses all, nothing is written, and `userErrors` name the item, such as "
    "`input.{items}.3{attribute}`. EACH: every item is carried out or refused by itself; `results` tell which."
)


def mode_field(items: str, attribute: str = "") -> Any:
    """The field `mode` of an input whose items are in the field `items`."""
    return given(MODES.format(items=items, attribute=attribute), default=BatchMode.ALL_OR_NOTHING)


RESULTS = (
    "What became of each item, in the order given; empty when the request was refused as a whole. A repetition with "
    "the same idempotency key gives the same, refusals included, and a dry run tells it beforehand."
)


@strawberry.type
class BatchResult:
    """The fields of every result. Not a type of the API by itself."""

    entity_id: strawberry.Private[str | None]
    index: int = strawberry.field(description="Which item it is, from 0.")
    user_errors: list[UserError] = strawberry.field(
        description="Why the item was refused, with fields as in the request's own `userErrors`; empty when it was "
        "carried out."
    )

    @classmethod
    def of(cls, outcome: Mapping[str, Any]) -> Self:
        """The result that references hold."""
        errors = [UserError(**{**error, "code": ErrorCode(error["code"])}) for error in outcome["user_errors"]]
        return cls(entity_id=outcome["entity_id"], index=outcome["index"], user_errors=errors)


@strawberry.type
class BatchPayload(Payload):
    """The fields of every batch's payload. Not a type of the API by itself."""

    outcomes: strawberry.Private[list[dict[str, Any]]] = field(default_factory=list)

    @classmethod
    def rehearsed(cls, references: References) -> dict[str, Any]:
        """All of them: each outcome is told; an entity that would be made is not found by its id."""
        return dict(references)


def refer_each(key: str) -> Callable[[Sequence[Outcome]], References]:
    """Refer to what became of each item, and by this column to its row."""

    def refer(outcomes: Sequence[Outcome]) -> References:
        return {"outcomes": [_as_json(outcome, key) for outcome in outcomes]}

    return refer


def _as_json(outcome: Outcome, key: str) -> dict[str, Any]:
    errors = [] if outcome.error is None else [asdict(user_error(outcome.error))]
    entity_id = None if outcome.row is None else text_id(getattr(outcome.row, key))
    return {"index": outcome.index, "entity_id": entity_id, "user_errors": errors}
