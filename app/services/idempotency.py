"""Idempotency keys: a request that was carried out once answers the same when it comes again."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import IdempotencyKeyReused
from app.domain.principals import Principal
from app.domain.rules import NAME_MAX, required_text
from db.queries.access import claim_key, store_result

Work = Callable[[], Awaitable[Mapping[str, Any]]]


async def once(
    session: AsyncConnection, principal: Principal, key: str | None, hash_request: Callable[[], bytes], work: Work
) -> Mapping[str, Any]:
    """Do the work, or return what it returned when the same holder sent the same request with this key before.

    Key, hash and result commit with the effect; a refused request leaves nothing behind and may be sent again.
    Raises `IdempotencyKeyReused` when the key belongs to another request.
    """
    if key is None:
        return await work()
    key = required_text("idempotencyKey", key, NAME_MAX)
    holder = principal.token_id or principal.name
    request_hash = hash_request()
    earlier = await claim_key(session, holder, key, request_hash)
    if earlier is None:
        result = await work()
        await store_result(session, holder, key, dict(result))
        return result
    if bytes(earlier.request_hash) != request_hash:
        raise IdempotencyKeyReused(
            "This idempotency key belongs to another request. Nothing was changed; use a new key.",
            "input.idempotencyKey",
        )
    stored: dict[str, Any] = earlier.result
    return stored
