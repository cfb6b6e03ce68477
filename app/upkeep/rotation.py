"""Rotation of the master key: every decision's data key is wrapped anew, then the old master key is destroyed.

Processes run on meanwhile. The order is what keeps every decision readable, whoever is killed when:

1. The new key becomes the current one; the old one stays beside it. Every process notices by itself.
2. A barrier: those who sealed before are waited for, and the newest decision is wrapped anew. From then on whoever
   seals uses the new key, or finds that it does not have it and refuses.
3. All other decisions are wrapped anew, the newest first, each by compare-and-set.
4. When none is left, the old key is destroyed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, Unavailable
from app.security.sealing import Sealer, WrongMasterKey
from db.failures import typed_errors
from db.queries.decisions import (
    count_keys_not_of,
    keys_not_of,
    newest_wrapped,
    replace_keys,
    rotation_lock,
    wait_for_sealing,
)
from db.session import Database

BATCH = 500
"""Decisions in one transaction, which takes less than 100 ms even on a busy machine."""
BARRIER_ATTEMPTS = 60
"""How often the barrier is tried, most of a second each."""
TABLE = "decisions"
SHOWN = 5


class Keys(Protocol):
    """What the keys of an installation do at the beginning and at the end of a rotation."""

    def begin_rotation(self) -> None:
        """Make a new key the current one and keep the old one, unless that was done already."""

    def retire_previous(self) -> None:
        """Destroy the old key."""


class GivenKeys:
    """Keys that whoever starts the processes gives them: both are there, and he takes the old one away."""

    def begin_rotation(self) -> None:
        """The new key is the current one already."""

    def retire_previous(self) -> None:
        """He is told to."""


@dataclass
class Progress:
    """How far a rotation is."""

    total: int = 0
    done: int = 0
    unreadable: set[UUID] = field(default_factory=set)


Tell = Callable[[Progress], None]


async def rotate_master_key(database: Database, keys: Keys, sealer: Sealer, tell: Tell) -> Progress:
    """Take the old master key out of use; one that was interrupted is gone on with.

    Raises `Blocked` when another rotation is under way, or when decisions cannot be opened with the keys at hand; then
    both keys stay. May be called again after any end.
    """
    with typed_errors():
        async with database.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            async with rotation_lock(alone) as is_alone:
                if not is_alone:
                    raise Blocked("Another rotation of this database's master key is under way. Nothing was changed.")
                keys.begin_rotation()
                progress = await _rewrap_all(database, sealer, tell)
                keys.retire_previous()
                return progress


async def _rewrap_all(database: Database, sealer: Sealer, tell: Tell) -> Progress:
    await _barrier(database, sealer)
    progress = Progress()
    while left := await database.transact(lambda session: count_keys_not_of(session, sealer.key_id)):
        if left <= len(progress.unreadable):
            raise _unreadable(progress)
        progress.total = progress.done + left
        progress.unreadable.clear()
        await _sweep(database, sealer, progress, tell)
    return progress


async def _barrier(database: Database, sealer: Sealer) -> None:
    """Wait for all who may be sealing with the old key, and wrap the newest decision's key with the new one."""

    async def pass_it(session: AsyncConnection) -> None:
        await wait_for_sealing(session)
        newest = await newest_wrapped(session)
        if newest is not None:
            await _rewrap(session, sealer, [newest])

    for _ in range(BARRIER_ATTEMPTS - 1):
        try:
            return await database.transact(pass_it)
        except Unavailable:
            # somebody has been sealing all the while; between the attempts others may
            await asyncio.sleep(0.1)
    return await database.transact(pass_it)


async def _sweep(database: Database, sealer: Sealer, progress: Progress, tell: Tell) -> None:
    """Go through all decisions once, newest first."""
    before: UUID | None = None

    async def step(session: AsyncConnection) -> tuple[Sequence[Row[Any]], set[UUID]]:
        rows = await keys_not_of(session, sealer.key_id, before, BATCH)
        return rows, await _rewrap(session, sealer, rows)

    while True:
        tell(progress)
        rows, unreadable = await database.transact(step)
        if not rows:
            return
        before = rows[-1].decision_id
        progress.done += len(rows) - len(unreadable)
        progress.unreadable |= unreadable


async def _rewrap(session: AsyncConnection, sealer: Sealer, rows: Sequence[Row[Any]]) -> set[UUID]:
    """Wrap these decisions' keys anew; the decisions whose key cannot be opened."""
    replacements, unreadable = [], set()
    for row in rows:
        try:
            wrapped = sealer.rewrap(row.sealed_key, TABLE, str(row.decision_id))
        except WrongMasterKey:
            unreadable.add(row.decision_id)
        else:
            replacements.append((row.decision_id, row.sealed_key, wrapped))
    if replacements:
        await replace_keys(session, replacements)
    return unreadable


def _unreadable(progress: Progress) -> Blocked:
    names = ", ".join(sorted(map(str, progress.unreadable))[:SHOWN])
    return Blocked(
        f"{len(progress.unreadable)} decisions are sealed with another key or were damaged, among them {names}. All "
        "others are on the new master key; the old one is kept too. Give this command the key that is missing as "
        "HUB_MASTER_KEY_PREVIOUS, or erase these decisions by `decisionErase`; then run it again."
    )
