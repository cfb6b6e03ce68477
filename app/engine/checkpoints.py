"""LangGraph's checkpoints, in the schema `langgraph`: their tables, and savers behind a fence.

Of LangGraph's own saver only the way in which values become rows is used: those rows are written by the connections,
and in the transactions, that also write the steps.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.postgres.base import BasePostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection as Session

from app.engine.leases import LostLease
from db.queries.checkpoints import Checkpoints, Write, delete, find, store
from db.queries.executions import hold_fence
from db.session import Database

SCHEMA = "langgraph"
SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "prepare_threshold": 0,
    "row_factory": dict_row,
    "connect_timeout": 5,
    "application_name": "orchestration-hub checkpoints",
    "options": f"-c search_path={SCHEMA}",
}

Result = TypeVar("Result")


async def setup(url: str) -> None:
    """Create or upgrade the tables of the checkpoints.

    To be called by one process at a time, and by a connection that waits for no lock in a transaction: LangGraph
    creates indexes CONCURRENTLY.
    """
    connection: AsyncConnection[DictRow]
    async with await AsyncConnection.connect(url, **SETTINGS) as connection:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await AsyncPostgresSaver(connection).setup()


class FencedSaver(BasePostgresSaver):
    """The checkpoints of one run of one execution, each call a transaction.

    It first locks the execution's row with our fencing number: what a worker that lost its lease still wants to save
    raises `LostLease` and leaves no trace.
    """

    def __init__(self, database: Database, execution_id: UUID, fence: int) -> None:
        # state is numbers and names: nothing that is stored may be turned into an object of any class
        super().__init__(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self._database = database
        self._execution_id = execution_id
        self._fence = fence

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The latest checkpoint of the thread, or the one that the configuration names."""
        found = await self._behind_fence(lambda session: self.load(session, config))
        return found[0] if found else None

    async def load(self, session: Session, config: RunnableConfig) -> list[CheckpointTuple]:
        """What `aget_tuple` returns, within a transaction; nothing or one."""
        given = config["configurable"]
        wanted = {"thread_id": given["thread_id"], "checkpoint_ns": given.get("checkpoint_ns", "")}
        if checkpoint_id := get_checkpoint_id(config):
            wanted["checkpoint_id"] = checkpoint_id
        return [self._tuple(row) for row in await find(session, wanted, 1)]

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  (LangGraph's name)
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints that match, the newest first."""
        given = config["configurable"] if config else {}
        wanted = {name: given[name] for name in ("thread_id", "checkpoint_ns") if given.get(name) is not None}
        if config and (checkpoint_id := get_checkpoint_id(config)):
            wanted["checkpoint_id"] = checkpoint_id
        if before and (before_id := get_checkpoint_id(before)):
            wanted["before"] = before_id
        if filter:
            wanted["metadata"] = json.dumps(filter)
        for row in await self._behind_fence(lambda session: find(session, wanted, limit)):
            yield self._tuple(row)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint; the configuration that names it."""
        rows = self.rows_of(config, checkpoint, metadata, new_versions)
        await self._behind_fence(lambda session: store(session, rows))
        return named(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Save what a node wrote, before its superstep is over."""
        rows = self.rows_of_writes(config, writes, task_id, task_path)
        await self._behind_fence(lambda session: store(session, rows))

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget the thread."""
        await self._behind_fence(lambda session: delete(session, thread_id))

    def rows_of(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Checkpoints:
        """A checkpoint as rows: plain values stay in it, others become blobs."""
        given = config["configurable"]
        namespace = given.get("checkpoint_ns", "")
        values = checkpoint["channel_values"]
        plain = {name: value for name, value in values.items() if value is None or isinstance(value, PLAIN)}
        others = {name: value for name, value in values.items() if name not in plain}
        blobs = self._dump_blobs(
            given["thread_id"], namespace, others, {name: new_versions[name] for name in others if name in new_versions}
        )
        stored = json.dumps({**checkpoint, "channel_values": plain})
        told = json.dumps(get_serializable_checkpoint_metadata(config, metadata))
        row = (namespace, checkpoint["id"], given.get("checkpoint_id"), stored, told)
        known = [(namespace, channel, str(version), *value) for _, _, channel, version, *value in blobs]
        return Checkpoints(given["thread_id"], [row], known)

    def rows_of_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Checkpoints:
        """What a node wrote as rows."""
        given = config["configurable"]
        place = (given["thread_id"], given.get("checkpoint_ns", ""), given["checkpoint_id"])
        rows = self._dump_writes(*place, task_id, task_path, writes)
        return Checkpoints(given["thread_id"], writes=[row[1:] for row in rows])

    async def _behind_fence(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        async def held(session: Session) -> Result:
            if not await hold_fence(session, self._execution_id, self._fence):
                raise LostLease(self._execution_id)
            return await work(session)

        return await self._database.transact(held, NOTHING_READ)

    def _tuple(self, row: Row[Any]) -> CheckpointTuple:
        place = {"thread_id": row.thread_id, "checkpoint_ns": row.checkpoint_ns}
        checkpoint = json.loads(row.checkpoint)
        values = {**(checkpoint.get("channel_values") or {}), **self._load_blobs(row.blobs)}
        parent_id = row.parent_checkpoint_id
        return CheckpointTuple(
            {"configurable": {**place, "checkpoint_id": row.checkpoint_id}},
            cast("Checkpoint", {**checkpoint, "channel_values": values}),
            json.loads(row.metadata),
            {"configurable": {**place, "checkpoint_id": parent_id}} if parent_id else None,
            self._load_writes(row.writes),
        )


PLAIN = (str, int, float, bool)
NOTHING_READ: frozenset[Any] = frozenset()
"""Checkpoints are in no answer of the API."""


class RidingSaver(FencedSaver):
    """Keeps what LangGraph saves, for the next transaction of the run to write with the rows that it changes.

    A node begins with such a transaction, so a checkpoint is stored before the next step begins, as with any saver that
    is awaited. Of what was not written yet only the latest counts: a checkpoint replaces the one before it, and with it
    the writes that led to it.
    """

    def __init__(self, database: Database, execution_id: UUID, fence: int) -> None:
        super().__init__(database, execution_id, fence)
        self.loaded: CheckpointTuple | None = None
        self._waiting: dict[str, Waiting] = {}
        self._writes: list[tuple[str, str, Checkpoints]] = []
        self._replaced: set[str] = set()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """What the run has loaded before the graph starts; None for a graph that begins."""
        if config["configurable"].get("checkpoint_id"):
            return await super().aget_tuple(config)
        return self.loaded

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep the checkpoint, in the place of the one that is still to be written."""
        given = config["configurable"]
        namespace, parent_id = given.get("checkpoint_ns", ""), given.get("checkpoint_id")
        before = self._waiting.get(namespace)
        self._replaced = {parent_id} if parent_id else set()
        self._writes = [kept for kept in self._writes if kept[0] != namespace]
        if before is not None:
            config = {**config, "configurable": {**given, "checkpoint_id": before.parent_id}}
        versions = {**(before.versions if before else {}), **new_versions}
        rows = self.rows_of(config, checkpoint, metadata, versions)
        self._waiting[namespace] = Waiting(before.parent_id if before else parent_id, versions, rows)
        return named(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a node wrote, unless the checkpoint that it led to is there already."""
        given = config["configurable"]
        if given["checkpoint_id"] not in self._replaced:
            rows = self.rows_of_writes(config, writes, task_id, task_path)
            self._writes.append((given.get("checkpoint_ns", ""), given["checkpoint_id"], rows))

    def waiting(self) -> Checkpoints | None:
        """What is to be written; None for nothing."""
        rows = [kept.rows for kept in self._waiting.values()] + [kept[2] for kept in self._writes]
        if not rows:
            return None
        return Checkpoints(
            rows[0].thread_id,
            [checkpoint for part in rows for checkpoint in part.checkpoints],
            [blob for part in rows for blob in part.blobs],
            _once([write for part in rows for write in part.writes]),
        )

    def written(self) -> None:
        """It was written."""
        self._waiting, self._writes = {}, []


@dataclass(frozen=True)
class Waiting:
    """A checkpoint that is still to be written; the one before it has the id `parent_id` and is stored."""

    parent_id: str | None
    versions: ChannelVersions
    rows: Checkpoints


def _once(writes: Sequence[Write]) -> list[Write]:
    """Each row once, which is all that one statement can write; of special writes (number below zero) the latest."""
    kept: dict[tuple[str, str, str, int], Write] = {}
    for write in writes:
        namespace, checkpoint_id, task_id, _, number, *_ = write
        place = (namespace, checkpoint_id, task_id, number)
        if number < 0 or place not in kept:
            kept[place] = write
    return list(kept.values())


def named(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    """The configuration that names a checkpoint of the same thread and namespace."""
    given = config["configurable"]
    place = {"thread_id": given["thread_id"], "checkpoint_ns": given.get("checkpoint_ns", "")}
    return {"configurable": {**place, "checkpoint_id": checkpoint_id}}
