"""API tokens by hash, and idempotency keys."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.principals import Role
from db.tables.access import api_tokens, idempotency_keys

KEYS_LIVE = timedelta(days=7)
"""How long a key is remembered; later it is as good as new."""


async def find_token(connection: AsyncConnection, token_hash: bytes) -> Row[Any] | None:
    """The live token with this hash: neither revoked nor expired; None otherwise."""
    statement: Select[Any] = select(
        api_tokens.c.token_id, api_tokens.c.token_name, api_tokens.c.role, api_tokens.c.agent_id
    ).where(api_tokens.c.token_hash == token_hash, _live())
    found: Row[Any] | None = (await connection.execute(statement)).first()
    return found


async def has_admin(connection: AsyncConnection) -> bool:
    """Whether there is a live admin token."""
    live = select(api_tokens.c.token_id).where(api_tokens.c.role == Role.ADMIN.value, _live())
    return bool((await connection.execute(select(exists(live)))).scalar())


async def knows_token(connection: AsyncConnection, token_hash: bytes) -> bool:
    """Whether there is or was a token with this hash."""
    found = select(api_tokens.c.token_id).where(api_tokens.c.token_hash == token_hash)
    return bool((await connection.execute(select(exists(found)))).scalar())


async def claim_key(connection: AsyncConnection, principal: str, key: str, request_hash: bytes) -> Row[Any] | None:
    """Take an idempotency key for this transaction; the earlier use of it, if there is one.

    A second transaction with the same key waits here until the first has ended.
    """
    taken = upsert(idempotency_keys).values(principal=principal, key=key, request_hash=request_hash)
    renewed = taken.on_conflict_do_update(
        index_elements=["principal", "key"],
        set_={"request_hash": request_hash, "result": None, "created_at": func.now()},
        where=idempotency_keys.c.created_at < func.now() - KEYS_LIVE,
    )
    statement = renewed.returning(idempotency_keys.c.key)
    if (await connection.execute(statement)).first() is not None:
        return None
    return (
        await connection.execute(
            select(idempotency_keys).where(
                and_(idempotency_keys.c.principal == principal, idempotency_keys.c.key == key)
            )
        )
    ).one()


async def store_result(connection: AsyncConnection, principal: str, key: str, result: dict[str, Any]) -> None:
    """Keep what the request with this key returned."""
    await connection.execute(
        idempotency_keys.update()
        .where(and_(idempotency_keys.c.principal == principal, idempotency_keys.c.key == key))
        .values(result=result)
    )


async def delete_old_keys(connection: AsyncConnection, most: int) -> int:
    """Delete idempotency keys that are not remembered any more, at most so many; how many. One that is being taken
    again is left.
    """
    old = (
        select(idempotency_keys.c.principal, idempotency_keys.c.key)
        .where(idempotency_keys.c.created_at < func.now() - KEYS_LIVE)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    found = tuple_(idempotency_keys.c.principal, idempotency_keys.c.key).in_(old)
    return (await connection.execute(idempotency_keys.delete().where(found))).rowcount


def _live() -> ColumnElement[bool]:
    unexpired = or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > func.now())
    return and_(api_tokens.c.revoked_at.is_(None), unexpired)
