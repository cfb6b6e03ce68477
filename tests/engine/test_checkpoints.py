"""Checkpoints: their tables, the fence before every one of them, that they stay small, and that old ones go."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from sqlalchemy import text, update

from app.engine.catalogue import shipped_templates
from app.engine.checkpoints import FencedSaver, RidingSaver, setup
from app.engine.compiler import compile_template
from app.engine.leases import LostLease
from db.queries.checkpoints import prune, store
from db.session import Database
from db.tables.workflows import workflow_executions
from tests.engine.conftest import StartWorker
from tests.engine.team import AUDITORS, HEALTHY, Team, constant, play, rows_of, start, stored


def config_of(execution_id: UUID) -> RunnableConfig:
    return {"configurable": {"thread_id": str(execution_id), "checkpoint_ns": ""}}


def checkpoint_of(number: int, **values: Any) -> Checkpoint:
    """A checkpoint whose id sorts by its number."""
    versions: Any = dict.fromkeys(values, f"{number:032}.0")
    return {**empty_checkpoint(), "id": f"id-{number}", "channel_values": values, "channel_versions": versions}


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


async def test_the_saver_does_what_langgraph_asks_of_one(engine_database: Database) -> None:
    execution_id = await start(engine_database, "code-audit")

    @checkpointer_test(name="FencedSaver")
    async def saver() -> AsyncIterator[FencedSaver]:
        yield FencedSaver(engine_database, execution_id, 0)

    report = await validate(saver)
    results = report.to_dict()["results"]
    failures = {name: found["failures"] for name, found in results.items() if found.get("failures")}
    assert failures == {}
    assert report.passed_all_base()


async def test_a_saver_whose_fence_holds_stores_and_reads(engine_database: Database) -> None:
    execution_id = await start(engine_database, "code-audit")
    saver = FencedSaver(engine_database, execution_id, 0)
    config = config_of(execution_id)
    assert await saver.aget_tuple(config) is None
    checkpoint = empty_checkpoint()
    saved = await saver.aput(config, checkpoint, {"step": -1}, {})
    await saver.aput_writes(saved, [("next_phase", "review")], "task-1")
    read = await saver.aget_tuple(config)
    assert read is not None
    assert read.checkpoint["id"] == checkpoint["id"]
    assert read.pending_writes == [("task-1", "next_phase", "review")]


@pytest.mark.parametrize("change", [{"fence": 1}, {"fence": 1, "execution_status": "cancelled"}])
async def test_a_saver_whose_fence_is_lost_leaves_no_trace(engine_database: Database, change: dict[str, Any]) -> None:
    execution_id = await start(engine_database, "code-audit")
    saver = FencedSaver(engine_database, execution_id, 0)
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


async def written(database: Database, saver: RidingSaver) -> None:
    """What a transaction of the run does with what the saver keeps."""
    rows = saver.waiting()
    assert rows is not None
    await database.transact(lambda session: store(session, rows))
    saver.written()
    assert saver.waiting() is None


async def latest(database: Database, execution_id: UUID) -> CheckpointTuple:
    found = await FencedSaver(database, execution_id, 0).aget_tuple(config_of(execution_id))
    assert found is not None
    return found


async def test_of_what_rides_along_only_the_latest_checkpoint_is_written(engine_database: Database) -> None:
    """A value that came with a checkpoint that was replaced before it was written is written with its successor."""
    database = engine_database
    execution_id = await start(database, "code-audit")
    saver = RidingSaver(database, execution_id, 0)
    first = checkpoint_of(1, kept={"list": [1]}, step_number=0)
    after_first = await saver.aput(config_of(execution_id), first, {"step": 0}, first["channel_versions"])
    await saver.aput_writes(after_first, [("step_number", 1)], "task-1")
    second = checkpoint_of(2, step_number=1)
    second["channel_values"]["kept"] = first["channel_values"]["kept"]
    second["channel_versions"]["kept"] = first["channel_versions"]["kept"]
    after_second = await saver.aput(
        after_first, second, {"step": 1}, {"step_number": second["channel_versions"]["step_number"]}
    )
    await saver.aput_writes(after_first, [("late", "told after the checkpoint that it led to")], "task-1")
    await saver.aput_writes(after_second, [("step_number", 2)], "task-2")
    assert await stored(database) == [0, 0, 0]
    await written(database, saver)
    assert await stored(database) == [1, 1, 1]
    read = await latest(database, execution_id)
    assert read.checkpoint["channel_values"] == {"kept": {"list": [1]}, "step_number": 1}
    assert read.pending_writes == [("task-2", "step_number", 2)]
    assert read.parent_config is None
    third = checkpoint_of(3, step_number=2)
    await saver.aput(after_second, third, {"step": 2}, third["channel_versions"])
    await written(database, saver)
    read = await latest(database, execution_id)
    assert read.checkpoint["id"] == "id-3"
    assert read.parent_config is not None
    assert read.parent_config["configurable"]["checkpoint_id"] == "id-2"


async def test_what_a_node_says_twice_is_written_once(engine_database: Database) -> None:
    execution_id = await start(engine_database, "code-audit")
    saver = RidingSaver(engine_database, execution_id, 0)
    saved = await saver.aput(config_of(execution_id), checkpoint_of(1), {"step": 0}, {})
    for value in ("first", "second"):
        await saver.aput_writes(saved, [("__interrupt__", value)], "task-1")
        await saver.aput_writes(saved, [("next_phase", value)], "task-2")
    await written(engine_database, saver)
    noted = (await latest(engine_database, execution_id)).pending_writes
    assert noted == [("task-1", "__interrupt__", "second"), ("task-2", "next_phase", "first")]


async def test_pruning_keeps_the_latest_checkpoint_and_what_it_refers_to(engine_database: Database) -> None:
    database = engine_database
    pruned, other = await start(database, "code-audit"), await start(database, "code-audit")
    for execution_id in (pruned, other):
        saver, config = FencedSaver(database, execution_id, 0), config_of(execution_id)
        for number in range(1, 4):
            checkpoint = checkpoint_of(number, value={"number": number})
            config = await saver.aput(config, checkpoint, {"step": number}, checkpoint["channel_versions"])
            await saver.aput_writes(config, [("value", number)], "task")
    assert await stored(database) == [6, 6, 6]
    await database.transact(lambda session: prune(session, [str(pruned)]))
    assert await stored(database) == [4, 3, 4]
    assert (await latest(database, pruned)).checkpoint["channel_values"] == {"value": {"number": 3}}
    assert (await latest(database, other)).checkpoint["channel_values"] == {"value": {"number": 3}}


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
    assert await stored(database) == [5, 0, 0]
    assert max(row.size for row in checkpoints) < 2_000
    assert not any(secret in row.text for row in checkpoints)


def test_the_graph_has_a_node_for_each_phase_and_a_way_back() -> None:
    template = next(template for template in shipped_templates() if template.name == "code-audit")
    drawn = compile_template(template).get_graph()
    ways = {(edge.source, edge.target) for edge in drawn.edges}
    assert {("__start__", "decide"), ("review", "audits"), ("review", "report"), ("review", "__end__")} <= ways
    assert ("audits", "review") in ways
    assert ("final-approval", "__end__") in ways
    assert ("final-approval", "report") in ways
    assert ("decide", "report") not in ways
