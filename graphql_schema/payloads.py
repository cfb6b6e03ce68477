"""What all mutations share: the fields of every input and every payload, and what a dry run answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import strawberry

from app.domain.events import Aggregate
from db.queries.rehearsals import Rehearsed
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.errors import UserError
from graphql_schema.scalars import JSON

CHANGES_SHOWN = 200
"""A dry run shows at most so many changes, and tells how many there are."""

KEY_DESCRIPTION = (
    "Makes the request repeatable: for a week the same key with the same input returns the first result and changes "
    "nothing; the same key with another input is refused. At most 200 characters, unique for each token."
)
DRY_RUN_DESCRIPTION = (
    "Only tell what would happen: the request is carried out in full and then undone. `dryRun` of the payload lists "
    "the changes, `userErrors` what blocks it; nothing is written, nobody is told, no idempotency key is taken."
)
VERSION_DESCRIPTION = (
    "The version that you read. If somebody changed the entity since, nothing is written and STALE_VERSION tells the "
    "current one."
)


def given(description: str, **options: Any) -> Any:
    """A field of an input."""
    return strawberry.field(description=description, **options)


def optional(description: str) -> Any:
    """A field of an input that may be left out."""
    return strawberry.field(description=description, default=None)


@strawberry.input
class MutationInput:
    """The fields of every input. Not a type of the API by itself."""

    idempotency_key: str | None = optional(KEY_DESCRIPTION)
    dry_run: bool = given(DRY_RUN_DESCRIPTION, default=False)


@strawberry.type(description="One change that a request would make: an event that it would write to the event log.")
class PlannedChange:
    aggregate: Aggregate = strawberry.field(description="What kind of entity would change.")
    entity_id: strawberry.ID = strawberry.field(
        description="The entity's id; one that would be made gets another id when it really is."
    )
    event_type: str = strawberry.field(description="What would happen, a past participle such as `claimed`.")
    from_status: str | None = strawberry.field(description="The status now; null where it would stay or there is none.")
    to_status: str | None = strawberry.field(description="The status then; null where there is none.")
    version: int | None = strawberry.field(description="The entity's version then; null for reports.")
    detail: JSON = strawberry.field(description="What else the event would tell, an object.")


@strawberry.type(description="What a request would do. Nothing of it was written.")
class DryRun:
    would_succeed: bool = strawberry.field(
        description="Whether the request would be carried out as things are now; `userErrors` say what blocks it."
    )
    change_count: int = strawberry.field(
        description="How many changes it would make; 0 when it is blocked, or was carried out with this key before."
    )
    changes: list[PlannedChange] = strawberry.field(
        description=f"The changes in the order in which they would be made, the first {CHANGES_SHOWN} of them."
    )


@strawberry.type
class Payload:
    """The fields of every payload. Not a type of the API by itself."""

    user_errors: list[UserError] = strawberry.field(
        description="Why the request was refused; empty when it was carried out. Nothing was written otherwise.",
        default_factory=list,
    )
    dry_run: DryRun | None = strawberry.field(
        description="What the request would do; null unless it asked for that by `dryRun`.", default=None
    )
    redacted_fields: list[str] = strawberry.field(
        description="Paths of the input, such as `input.result.log`, in which something was taken for a secret and "
        "replaced before anything was stored. Secrets belong in a vault; pass references to them.",
        default_factory=list,
    )

    @classmethod
    def rehearsed(cls, references: Mapping[str, Any]) -> dict[str, Any]:
        """What a dry run shows of the references: entities as they are; the ids of what would be made name nothing."""
        return {name: value for name, value in references.items() if isinstance(value, str)}


BLOCKED_RUN = DryRun(would_succeed=False, change_count=0, changes=[])


def rehearsed_run(rehearsed: Rehearsed) -> DryRun:
    """What a rehearsed transaction would have done."""
    return DryRun(would_succeed=True, change_count=rehearsed.total, changes=_changes(rehearsed.events))


def _changes(events: Sequence[Any]) -> list[PlannedChange]:
    return [
        PlannedChange(
            aggregate=Aggregate(event.aggregate),
            entity_id=strawberry.ID(event.entity_id),
            event_type=event.event_type,
            from_status=_upper(event.from_status),
            to_status=_upper(event.to_status),
            version=event.version,
            detail=JSON(event.detail),
        )
        for event in events
    ]


def _upper(status: str | None) -> str | None:
    return None if status is None else status.upper()
