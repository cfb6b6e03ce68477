"""LangGraph's checkpoints, in the schema `langgraph`: their tables, their connections, and a saver behind a fence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from app.engine.leases import LostLease

SCHEMA = "langgraph"
TIMEOUT = 10.0
"""Seconds for one visit of the saver to the database."""
CHECKOUT_TIMEOUT = 5.0
LIMITS = "-c statement_timeout=10000 -c idle_in_transaction_session_timeout=10000 -c timezone=UTC"

HOLD_FENCE = "SELECT FROM public.workflow_executions WHERE execution_id = %s AND fence = %s FOR NO KEY UPDATE"

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


async def setup(url: str) -> None:
    """Create or upgrade the tables of the checkpoints.

    To be called by one process at a time, and by a connection that waits for no lock in a transaction: LangGraph
    creates indexes CONCURRENTLY.
    """
    async with await AsyncConnection.connect(url, **_settings()) as connection:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await AsyncPostgresSaver(connection).setup()


def checkpoint_pool(url: str, size: int) -> Pool:
    """A pool of up to `size` connections, to be opened."""
    return AsyncConnectionPool(
        url,
        connection_class=AsyncConnection[DictRow],
        kwargs=_settings(LIMITS),
        min_size=1,
        max_size=size,
        timeout=CHECKOUT_TIMEOUT,
        open=False,
        name="checkpoints",
    )


class FencedSaver(AsyncPostgresSaver):
    """The checkpoints of one run of one execution.

    Each visit to the database is a transaction that first locks the execution's row with our fencing number: what a
    worker that lost its lease still wants to save raises `LostLease` and leaves no trace.
    """

    def __init__(self, pool: Pool, execution_id: UUID, fence: int) -> None:
        # state is numbers and names: nothing that is stored may be turned into an object of any class
        super().__init__(pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self._pool = pool
        self._fence = (execution_id, fence)
        self._loaded: CheckpointTuple | None = None

    async def is_begun(self, config: RunnableConfig) -> bool:
        """Whether there is a checkpoint to go on from; it is kept for the run that is about to ask for it."""
        self._loaded = await super().aget_tuple(config)
        return self._loaded is not None

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The latest checkpoint, or the one that the configuration names."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None and not config["configurable"].get("checkpoint_id"):
            return loaded
        return await super().aget_tuple(config)

    @contextlib.asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        async with (
            asyncio.timeout(TIMEOUT),
            self.lock,
            self._pool.connection() as connection,
            connection.transaction(),
            connection.cursor(binary=True, row_factory=dict_row) as cursor,
        ):
            await cursor.execute(HOLD_FENCE, self._fence)
            if cursor.rowcount != 1:
                raise LostLease(self._fence[0])
            yield cursor


def _settings(limits: str = "") -> dict[str, Any]:
    return {
        "autocommit": True,
        "prepare_threshold": 0,
        "row_factory": dict_row,
        "connect_timeout": 5,
        "application_name": "orchestration-hub checkpoints",
        "options": f"-c search_path={SCHEMA} {limits}",
    }
