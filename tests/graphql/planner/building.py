"""Puts the world into a database."""

import asyncio

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from db.session import Database
from tests.graphql.planner import world


def build(url: str) -> None:
    """Put the world into an empty, migrated database."""
    asyncio.run(_build(url))


async def _build(url: str) -> None:
    database = Database(url, pool_size=1)
    try:
        await database.transact(_fill)
    finally:
        await database.engine.dispose()
    engine = create_async_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql("ANALYZE")
    await engine.dispose()


async def _fill(session: AsyncConnection) -> None:
    for table, rows in world.rows().items():
        await session.execute(insert(table), rows)
