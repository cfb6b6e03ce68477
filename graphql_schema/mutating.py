"""How every mutation runs: authorise, one service call in one transaction, a payload; expected failures are typed."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, InvalidInput
from app.domain.ids import parse_id
from app.security.policy import Permission, authorise
from app.services.idempotency import once
from db.queries.rehearsals import events_so_far
from graphql_schema.context import Info
from graphql_schema.errors import user_error
from graphql_schema.payloads import BLOCKED_RUN, CHANGES_SHOWN, DryRun, MutationInput, Payload, rehearsed_run
from graphql_schema.redacting import redact_input

References = Mapping[str, Any]
"""What a payload refers to: attribute of the payload → id of the entity."""

Answer = TypeVar("Answer", bound=Payload)


async def carry_out(
    info: Info,
    payload: type[Answer],
    input: MutationInput,
    permission: Permission,
    service: Callable[[AsyncConnection], Awaitable[Any]],
    refer: Callable[[Any], References],
    *,
    agent_id: str | None = None,
) -> Answer:
    """Run the service in a transaction; the payload that refers to its result, or that says why nothing was done."""

    async def work(session: AsyncConnection) -> References:
        return refer(await service(session))

    return await run_mutation(info, payload, input, permission, work, agent_id=agent_id)


async def run_mutation(
    info: Info,
    payload: type[Answer],
    input: MutationInput,
    permission: Permission,
    work: Callable[[AsyncConnection], Awaitable[References]],
    *,
    agent_id: str | None = None,
) -> Answer:
    """Do the work once, in a transaction, and answer with what it refers to; a dry run undoes it.

    Secrets are removed from the input first, so `work` must look at it only when it is called. The references must be
    JSON: they are what a repetition with the same idempotency key answers with.
    """
    context = info.context
    redacted: list[str] = []

    async def keyed(session: AsyncConnection) -> References:
        return await once(
            session,
            context.principal,
            input.idempotency_key,
            lambda: _request_hash(info.field_name, input),
            lambda: work(session),
        )

    try:
        authorise(context.principal, permission, agent_id=agent_id)
        redacted = await redact_input(input)
        if input.dry_run:
            answer = await _rehearse(info, payload, keyed)
        else:
            answer = payload(**await context.database.transact(keyed))
    except HubError as error:
        answer = refused(payload, error, dry_run=input.dry_run)
    answer.redacted_fields = redacted
    return answer


async def _rehearse(
    info: Info, payload: type[Answer], work: Callable[[AsyncConnection], Awaitable[References]]
) -> Answer:
    """Do the work, note the events that it wrote, and undo it."""

    async def watched(session: AsyncConnection) -> tuple[References, DryRun]:
        references = await work(session)
        return references, rehearsed_run(await events_so_far(session, CHANGES_SHOWN))

    references, dry_run = await info.context.database.rehearse(watched)
    return payload(**payload.rehearsed(references), dry_run=dry_run)


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


def refused(payload: type[Answer], error: HubError, *, dry_run: bool = False) -> Answer:
    """A payload that only says why."""
    return payload(user_errors=[user_error(error)], dry_run=BLOCKED_RUN if dry_run else None)


def text_id(value: Any) -> str | None:
    """An id as a payload keeps it."""
    return str(value) if value is not None else None


def _request_hash(name: str, input: MutationInput) -> bytes:
    """What makes two requests the same: the mutation and all that was given, but for whether it is a dry run."""
    try:
        given = {key: value for key, value in asdict(input).items() if key != "dry_run"}
        return hashlib.sha256(orjson.dumps([name, given], default=str, option=orjson.OPT_SORT_KEYS)).digest()
    except (TypeError, RecursionError):
        raise InvalidInput(
            "The input is nested too deeply or has an integer of more than 64 bits. Nothing was written.", "input"
        ) from None
