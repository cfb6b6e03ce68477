"""How every mutation runs: authorise, one service call in one transaction, a payload; expected failures are typed."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol, TypeVar
from uuid import UUID

import orjson
import strawberry
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, InvalidInput
from app.domain.ids import parse_id
from app.security.policy import Permission, authorise
from app.services.idempotency import once
from graphql_schema.context import Info
from graphql_schema.errors import UserError, user_error

KEY_DESCRIPTION = (
    "Makes the request repeatable: for a week the same key with the same input returns the first result and changes "
    "nothing; the same key with another input is refused. At most 200 characters, unique for each token."
)
VERSION_DESCRIPTION = (
    "The version that you read. If somebody changed the entity since, nothing is written and STALE_VERSION tells the "
    "current one."
)

References = Mapping[str, Any]
"""What a payload refers to: attribute of the payload → id of the entity."""


class Input(Protocol):
    """Any input of a mutation."""

    idempotency_key: str | None


Payload = TypeVar("Payload")


def given(description: str, **options: Any) -> Any:
    """A field of an input."""
    return strawberry.field(description=description, **options)


def optional(description: str) -> Any:
    """A field of an input that may be left out."""
    return strawberry.field(description=description, default=None)


def key_field() -> Any:
    """The field `idempotencyKey`."""
    return strawberry.field(description=KEY_DESCRIPTION, default=None)


def errors_field() -> Any:
    """The field `userErrors`."""
    return strawberry.field(
        description="Why the request was refused; empty when it was carried out. Nothing was written otherwise.",
        default_factory=list,
    )


async def carry_out(
    info: Info,
    payload: type[Payload],
    input: Input,
    permission: Permission,
    service: Callable[[AsyncConnection], Awaitable[Any]],
    refer: Callable[[Any], References],
    *,
    agent_id: str | None = None,
) -> Payload:
    """Run the service in a transaction; the payload that refers to its result, or that says why nothing was done."""
    context = info.context

    async def work(session: AsyncConnection) -> References:
        return await once(
            session,
            context.principal,
            input.idempotency_key,
            lambda: _request_hash(info.field_name, input),
            lambda: _referred(service(session), refer),
        )

    try:
        authorise(context.principal, permission, agent_id=agent_id)
        return payload(**await context.database.transact(work))
    except HubError as error:
        return refused(payload, error)


async def _referred(result: Awaitable[Any], refer: Callable[[Any], References]) -> References:
    return refer(await result)


def by(key: str) -> Callable[[Any], References]:
    """Refer to the row that a service returned by this column; to nothing when it returned None."""

    def refer(row: Any) -> References:
        return {"entity_id": text_id(getattr(row, key)) if row is not None else None}

    return refer


def json_object(field: str, value: Any) -> dict[str, Any]:
    """The JSON object that was given, an empty one for null. Raises `InvalidInput` for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{field} must be a JSON object. Nothing was written.", f"input.{field}")
    return value


def optional_id(field: str, value: str | None) -> UUID | None:
    """The UUID that was given, or None. Raises `InvalidInput`."""
    return parse_id(field, value) if value is not None else None


def refused(payload: type[Payload], error: HubError) -> Payload:
    """A payload that only says why."""
    errors: list[UserError] = [user_error(error)]
    return payload(user_errors=errors)  # type: ignore[call-arg]  # every payload has user_errors


def text_id(value: Any) -> str | None:
    """An id as a payload keeps it."""
    return str(value) if value is not None else None


def _request_hash(name: str, input: Any) -> bytes:
    try:
        return hashlib.sha256(orjson.dumps([name, asdict(input)], default=str, option=orjson.OPT_SORT_KEYS)).digest()
    except (TypeError, RecursionError):
        raise InvalidInput(
            "The input is nested too deeply or has an integer of more than 64 bits. Nothing was written.", "input"
        ) from None
