"""Checkpoints: their tables, the fence before every one of them, and that they stay small."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import text, update

from app.engine.catalogue import shipped_templates
from app.engine.checkpoints import FencedSaver, Pool, checkpoint_pool, setup
from app.engine.compiler import compile_template
from app.engine.leases import LostLease
from db.session import Database
from db.tables.workflows import workflow_executions
from tests.engine.conftest import StartWorker
from tests.engine.team import AUDITORS, HEALTHY, Team, constant, play, rows_of, start

TABLES = ("checkpoints", "checkpoint_writes", "checkpoint_blobs")


@pytest.fixture
async def pool(engine_database: Database) -> AsyncIterator[Pool]:
    pool = checkpoint_pool(engine_database.url, 2)
    await pool.open()
    yield pool
    await pool.close()


async def stored(database: Database) -> list[int]:
    sql = "SELECT " + ", ".join(f"(SELECT count(*) FROM langgraph.{table})" for table in TABLES)  # noqa: S608
    return list((await rows_of(database, text(sql)))[0])


def config_of(execution_id: UUID) -> RunnableConfig:
    return {"configurable": {"thread_id": str(execution_id), "checkpoint_ns": ""}}


async def test_setup_may_be_called_again(database: Database) -> None:
    await setup(database.url)
    await setup(database.url)
    tables = await rows_of(database, text("SELECT tablename FROM pg_tables WHERE schemaname = 'langgraph' ORDER BY 1"))
    assert [row.tablename for row in tables] == [
        "checkpoint_blobs",
        "checkpoint_migrations",
        "checkpoint_writes",
        "checkpoints",
    ]


async def test_a_saver_whose_fence_holds_stores_and_reads(engine_database: Database, pool: Pool) -> None:
    execution_id = await start(engine_database, "code-audit")
    saver = FencedSaver(pool, execution_id, 0)
    config = config_of(execution_id)
    assert not await saver.is_begun(config)
    checkpoint = empty_checkpoint()
    saved = await saver.aput(config, checkpoint, {"step": -1}, {})
    await saver.aput_writes(saved, [("next_phase", "review")], "task-1")
    assert await saver.is_begun(config)
    kept = await saver.aget_tuple(config)
    read = await saver.aget_tuple(config)
    assert kept is not None
    assert read is not None
    assert kept.checkpoint["id"] == read.checkpoint["id"] == checkpoint["id"]
    assert kept.pending_writes == read.pending_writes == [("task-1", "next_phase", "review")]


@pytest.mark.parametrize("change", [{"fence": 1}, {"fence": 1, "execution_status": "cancelled"}])
async def test_a_saver_whose_fence_is_lost_leaves_no_trace(
    engine_database: Database, pool: Pool, change: dict[str, Any]
) -> None:
    execution_id = await start(engine_database, "code-audit")
    saver = FencedSaver(pool, execution_id, 0)
    config = config_of(execution_id)
    saved = await saver.aput(config, empty_checkpoint(), {"step": -1}, {})
    before = await stored(engine_database)
    await engine_database.transact(lambda session: session.execute(update(workflow_executions).values(**change)))
    with pytest.raises(LostLease):
        await saver.aput(config, empty_checkpoint(), {"step": 0}, {})
    with pytest.raises(LostLease):
        await saver.aput_writes(saved, [("next_phase", "review")], "task-1")
    with pytest.raises(LostLease):
        await saver.adelete_thread(str(execution_id))
    with pytest.raises(LostLease):
        await saver.aget_tuple(config)
    assert await stored(engine_database) == before


async def test_the_connections_are_usable_after_a_refusal(engine_database: Database, pool: Pool) -> None:
    execution_id = await start(engine_database, "code-audit")
    for _ in range(5):
        with pytest.raises(LostLease):
            await FencedSaver(pool, execution_id, 7).aget_tuple(config_of(execution_id))
    assert await FencedSaver(pool, execution_id, 0).aget_tuple(config_of(execution_id)) is None
    assert pool.get_stats()["pool_size"] <= 2


async def test_a_checkpoint_does_not_grow_with_the_work(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    secret = "s" * 5_000
    answers = {name: constant({**result, "long": secret}) for name, result in HEALTHY.items()}
    team = Team(database, AUDITORS, answers, constant({}))
    await team.register()
    await start_worker()
    execution_id = await start(database, "code-audit", {"path": secret})
    await play(team, execution_id, until_phase="final-approval")
    sizes = "SELECT octet_length(checkpoint::text) AS size, checkpoint::text AS text FROM langgraph.checkpoints"
    checkpoints = await rows_of(database, text(sizes))
    assert len(checkpoints) == 6
    assert max(row.size for row in checkpoints) < 2_000
    assert not any(secret in row.text for row in checkpoints)
    blobs = await rows_of(database, text("SELECT sum(octet_length(blob)) AS size FROM langgraph.checkpoint_writes"))
    assert blobs[0].size < 5_000


def test_the_graph_has_a_node_for_each_phase_and_a_way_back() -> None:
    template = next(template for template in shipped_templates() if template.name == "code-audit")
    drawn = compile_template(template).get_graph()
    ways = {(edge.source, edge.target) for edge in drawn.edges}
    assert {("__start__", "decide"), ("review", "audits"), ("review", "report"), ("review", "__end__")} <= ways
    assert ("audits", "review") in ways
    assert ("final-approval", "__end__") in ways
    assert ("final-approval", "report") in ways
    assert ("decide", "report") not in ways
