"""Whether the rows that a command refers to exist."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def exist(connection: AsyncConnection, keys: Sequence[tuple[Column[Any], Any]]) -> list[bool]:
    """For each key column and value, whether there is such a row; at most 1,600 in one statement."""
    if not keys:
        return []
    questions = [
        exists(select(column).where(column == value)).label(f"known{number}")
        for number, (column, value) in enumerate(keys)
    ]
    return list((await connection.execute(select(*questions))).one())
