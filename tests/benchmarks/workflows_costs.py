"""Where the time of a five-step workflow goes: PostgreSQL by its log, LangGraph by the same graph without one."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from langgraph.runtime import RunControl

from app.domain.templates import parse_template
from app.engine.checkpoints import RidingSaver
from app.engine.compiler import START_STATE, Engine, Graph, compile_template
from db.session import Database
from tests.benchmarks import workflows_hub
from tests.benchmarks.stage import Stage
from tests.benchmarks.statement_log import StatementLog
from tests.benchmarks.workflows_steps import STEPS

NEXT = [*STEPS, ""]
NOWHERE = "postgresql://nobody@/nothing"
SWITCH = "ALTER SYSTEM SET log_min_duration_statement = {}"


@dataclass(frozen=True)
class Costs:
    """Of one run: statements, transactions that wrote, milliseconds in PostgreSQL with its waits for locks and disk."""

    statements: float
    transactions: float
    database: float


def costs_of(stage: Stage, work: Callable[[], object], runs: int) -> Costs:
    """What it costs to do so many runs by `work`."""
    _log_all(stage, 0)
    log, before = StatementLog(stage.postgres.pgdata / "log"), _next_xid(stage)
    work()
    after = _next_xid(stage)
    _log_all(stage, -1)
    done = log.executed()
    # our first look at the counter was a transaction too
    return Costs(done.count / runs, (after - before - 1) / runs, 1000 * done.seconds / runs)


def _log_all(stage: Stage, least: int) -> None:
    stage.postgres.execute(SWITCH.format(least))
    stage.postgres.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)


def _next_xid(stage: Stage) -> int:
    return int(stage.postgres.execute("SELECT pg_current_xact_id()").strip())


def graph_alone(runs: int) -> float:
    """Milliseconds of processor time for one pass through the graph, with a saver and without anything to save to."""
    graph = compile_template(parse_template(workflows_hub.template(), workflows_hub.NAME))
    asyncio.run(_pass_through(graph, 10))
    began = time.process_time()
    asyncio.run(_pass_through(graph, runs))
    return 1000 * (time.process_time() - began) / runs


async def _pass_through(graph: Graph, runs: int) -> None:
    database = Database(NOWHERE)
    for _ in range(runs):
        saver = RidingSaver(database, uuid4(), 0)

        async def advance(_phase: str, step_number: int) -> str:
            saver.written()  # noqa: B023
            return NEXT[step_number]

        await graph.copy({"checkpointer": saver}).ainvoke(
            START_STATE,
            {"configurable": {"thread_id": "alone"}},
            context=Engine(advance),
            durability="sync",
            control=RunControl(),
        )
    await database.close()
