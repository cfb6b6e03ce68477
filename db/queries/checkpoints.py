"""LangGraph's checkpoints as its PostgreSQL savers keep them, in the schema `langgraph`: written, read, pruned.

The tables are LangGraph's (`AsyncPostgresSaver.setup` makes them), so its own tools read what the hub writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

SAVE = """saved AS (
    INSERT INTO langgraph.checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    SELECT CAST(:thread_id AS text), item.checkpoint_ns, item.checkpoint_id, item.parent_id,
        CAST(item.checkpoint AS jsonb), CAST(item.metadata AS jsonb)
    FROM held, unnest(CAST(:saved_ns AS text[]), CAST(:saved_ids AS text[]), CAST(:saved_parents AS text[]),
        CAST(:saved_checkpoints AS text[]), CAST(:saved_metadata AS text[]))
        AS item (checkpoint_ns, checkpoint_id, parent_id, checkpoint, metadata)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
    DO UPDATE SET checkpoint = excluded.checkpoint, metadata = excluded.metadata)"""
SAVE_BLOBS = """saved_blobs AS (
    INSERT INTO langgraph.checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    SELECT CAST(:thread_id AS text), item.* FROM held, unnest(CAST(:blob_ns AS text[]), CAST(:blob_channels AS text[]),
        CAST(:blob_versions AS text[]), CAST(:blob_types AS text[]), CAST(:blobs AS bytea[])) AS item
    ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING)"""
# special writes (errors, interrupts; their idx is below zero) replace, results of a node are never changed
SAVE_WRITES = """saved_writes AS (
    INSERT INTO langgraph.checkpoint_writes AS known
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    SELECT CAST(:thread_id AS text), item.* FROM held, unnest(CAST(:write_ns AS text[]), CAST(:write_ids AS text[]),
        CAST(:write_tasks AS text[]), CAST(:write_paths AS text[]), CAST(:write_numbers AS integer[]),
        CAST(:write_channels AS text[]), CAST(:write_types AS text[]), CAST(:writes AS bytea[])) AS item
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    DO UPDATE SET channel = excluded.channel, type = excluded.type, blob = excluded.blob WHERE known.idx < 0)"""
PRUNE_TO = [
    """pruned AS (
    DELETE FROM langgraph.checkpoints AS old USING held
    WHERE old.thread_id = CAST(:thread_id AS text) AND old.checkpoint_id <> ALL (CAST(:saved_ids AS text[])))""",
    """pruned_writes AS (
    DELETE FROM langgraph.checkpoint_writes AS old USING held WHERE old.thread_id = CAST(:thread_id AS text))""",
    """pruned_blobs AS (
    DELETE FROM langgraph.checkpoint_blobs AS old USING held WHERE old.thread_id = CAST(:thread_id AS text)
    AND NOT EXISTS (
        SELECT FROM unnest(CAST(:saved_checkpoints AS text[])) AS kept
        WHERE CAST(kept AS jsonb) -> 'channel_versions' ->> old.channel = old.version))""",
]
"""Leave nothing of the thread but the checkpoints that the same statement saves, which are its last."""

Write = tuple[str, str, str, str, int, str, str, bytes]
"""Namespace, checkpoint's id, task's id, its path, number, channel, type, value: what a node wrote to a channel."""

STORE = """WITH held AS (SELECT), {parts} SELECT"""


@dataclass(frozen=True)
class Checkpoints:
    """Rows of one thread, as tuples in the order of the columns; JSON as text.

    `checkpoints`: namespace, id, parent's id, checkpoint, metadata. `blobs`: namespace, channel, version, type, value.
    """

    thread_id: str
    checkpoints: Sequence[tuple[str, str, str | None, str, str]] = ()
    blobs: Sequence[tuple[str, str, str, str, bytes | None]] = ()
    writes: Sequence[Write] = ()

    def as_values(self) -> dict[str, Any]:
        """The values that the statements above name."""
        names = ("saved_ns", "saved_ids", "saved_parents", "saved_checkpoints", "saved_metadata")
        blob_names = ("blob_ns", "blob_channels", "blob_versions", "blob_types", "blobs")
        write_names = (
            *("write_ns", "write_ids", "write_tasks", "write_paths"),
            *("write_numbers", "write_channels", "write_types", "writes"),
        )
        return {
            "thread_id": self.thread_id,
            **_columns(names, self.checkpoints),
            **_columns(blob_names, self.blobs),
            **_columns(write_names, self.writes),
        }


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: [row[number] for row in rows] for number, name in enumerate(names)} if rows else {}


async def store(connection: AsyncConnection, rows: Checkpoints) -> None:
    """Save the rows; what is known is replaced, results of nodes are kept as they are."""
    wanted = ((rows.checkpoints, SAVE), (rows.blobs, SAVE_BLOBS), (rows.writes, SAVE_WRITES))
    parts = [part for given, part in wanted if given]
    if parts:
        await connection.execute(text(STORE.format(parts=", ".join(parts))), rows.as_values())


READ = """
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
    CAST(checkpoint AS text) AS checkpoint, CAST(metadata AS text) AS metadata,
    (SELECT array_agg(ARRAY[convert_to(kept.channel, 'UTF8'), convert_to(kept.type, 'UTF8'), kept.blob])
        FROM jsonb_each_text(checkpoint -> 'channel_versions') AS wanted
        JOIN langgraph.checkpoint_blobs AS kept ON kept.thread_id = found.thread_id
            AND kept.checkpoint_ns = found.checkpoint_ns
            AND kept.channel = wanted.key AND kept.version = wanted.value) AS blobs,
    (SELECT array_agg(ARRAY[convert_to(task_id, 'UTF8'), convert_to(channel, 'UTF8'), convert_to(type, 'UTF8'), blob,
            convert_to(task_path, 'UTF8'), convert_to(CAST(idx AS text), 'UTF8')])
        FROM langgraph.checkpoint_writes AS noted WHERE noted.thread_id = found.thread_id
            AND noted.checkpoint_ns = found.checkpoint_ns AND noted.checkpoint_id = found.checkpoint_id) AS writes
FROM langgraph.checkpoints AS found
"""
CONDITIONS: Mapping[str, str] = {
    "thread_id": "thread_id = CAST(:thread_id AS text)",
    "checkpoint_ns": "checkpoint_ns = CAST(:checkpoint_ns AS text)",
    "checkpoint_id": "checkpoint_id = CAST(:checkpoint_id AS text)",
    "before": "checkpoint_id < CAST(:before AS text)",
    "metadata": "metadata @> CAST(:metadata AS jsonb)",
}


async def find(connection: AsyncConnection, wanted: Mapping[str, Any], limit: int | None = None) -> Sequence[Row[Any]]:
    """The checkpoints that meet the conditions, by the names of `CONDITIONS`, the newest first."""
    where = " AND ".join(CONDITIONS[name] for name in wanted) or "true"
    statement = text(f"{READ} WHERE {where} ORDER BY checkpoint_id DESC LIMIT CAST(:most AS bigint)")
    rows: Sequence[Row[Any]] = (await connection.execute(statement, {**wanted, "most": limit})).all()
    return rows


async def prune(connection: AsyncConnection, thread_ids: Sequence[str]) -> None:
    """Keep only the latest checkpoint of each namespace of the threads, with what it refers to. They are at rest."""
    await connection.execute(PRUNE, {"thread_ids": list(thread_ids)})


PRUNE = text("""
WITH latest AS (
    SELECT DISTINCT ON (thread_id, checkpoint_ns) thread_id, checkpoint_ns, checkpoint_id, checkpoint
    FROM langgraph.checkpoints WHERE thread_id = ANY (CAST(:thread_ids AS text[]))
    ORDER BY thread_id, checkpoint_ns, checkpoint_id DESC),
pruned AS (
    DELETE FROM langgraph.checkpoints AS old USING latest
    WHERE old.thread_id = latest.thread_id AND old.checkpoint_ns = latest.checkpoint_ns
    AND old.checkpoint_id <> latest.checkpoint_id),
pruned_writes AS (
    DELETE FROM langgraph.checkpoint_writes WHERE thread_id = ANY (CAST(:thread_ids AS text[])))
DELETE FROM langgraph.checkpoint_blobs AS old USING latest
WHERE old.thread_id = latest.thread_id AND old.checkpoint_ns = latest.checkpoint_ns
AND latest.checkpoint -> 'channel_versions' ->> old.channel IS DISTINCT FROM old.version
""")


async def delete(connection: AsyncConnection, thread_id: str) -> None:
    """Forget a thread."""
    parts = [
        f"{table} AS (DELETE FROM langgraph.{table} WHERE thread_id = CAST(:thread_id AS text))"  # noqa: S608
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
    ]
    await connection.execute(text(f"WITH {', '.join(parts)} SELECT"), {"thread_id": thread_id})
