"""Timers in the queue: found by an index, counted as a wake-up by the claim, kept until they are handled."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import asyncpg

from db.queries import executions as queue
from db.queries.executions import CLAIM
from db.session import Database
from tests.engine.team import execution_of, rows_of, start

WAITING = """
INSERT INTO workflow_executions
    (execution_id, workflow_name, template_version, execution_status, trigger_type, triggered_by, wake_seq, handled_seq,
     wake_at)
SELECT gen_random_uuid(), 'code-audit', 1, CASE WHEN n % 2 = 0 THEN 'completed' ELSE 'running' END, 'manual', 'test', 1,
    1, now() + make_interval(secs => 100 + n)
FROM generate_series(1, 4000) AS n
"""


async def plan(database: Database) -> str:
    compiled = CLAIM.compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
    given = compiled.construct_params({"new_owner": "w", "seconds": 15.0, "most": 8})
    names = compiled.positiontup or ()

    async def explain(session: Any) -> str:
        rows = await session.exec_driver_sql(f"EXPLAIN {compiled.string}", tuple(given[name] for name in names))
        return "\n".join(row[0] for row in rows)

    told: str = await database.transact(explain)
    return told


async def test_a_claim_looks_at_no_execution_but_those_that_are_woken_or_due(engine_database: Database) -> None:
    database = engine_database
    await database.transact(lambda session: session.execute(text(WAITING)))
    await database.transact(lambda session: session.execute(text("ANALYZE workflow_executions")))
    told = await plan(database)
    assert "ix_workflow_executions_timers" in told
    assert "ix_workflow_executions_runnable" in told
    assert "Seq Scan on workflow_executions" not in told
    rows = await rows_of(database, text("SELECT count(*) FROM workflow_executions WHERE wake_at <= now()"))
    assert rows[0][0] == 0
    assert await claimed(database) == []


async def claimed(database: Database) -> list[Any]:
    return [row.execution_id for row in await database.transact(lambda session: queue.claim(session, "w", 15.0, 8))]


async def set_timer(database: Database, execution_id: Any, seconds: float) -> None:
    statement = text(
        "UPDATE workflow_executions SET wake_at = now() + make_interval(secs => :s) WHERE execution_id = :e"
    )
    await database.transact(lambda session: session.execute(statement, {"s": seconds, "e": execution_id}))


async def test_a_timer_that_is_due_becomes_a_wake_up_with_the_claim(engine_database: Database) -> None:
    database = engine_database
    execution_id = await start(database, "code-audit")
    assert await claimed(database) == [execution_id]
    await database.transact(lambda session: queue.release(session, execution_id, 1, 1))
    await set_timer(database, execution_id, 60)
    assert await claimed(database) == []
    await set_timer(database, execution_id, -1)
    assert await claimed(database) == [execution_id]
    row = await execution_of(database, execution_id)
    # whoever has it may die now: it is woken until somebody has handled it
    assert (row.wake_at, row.wake_seq, row.handled_seq, row.fence) == (None, 2, 1, 2)
    assert await claimed(database) == []


async def test_one_that_is_woken_and_due_is_claimed_once(engine_database: Database) -> None:
    database = engine_database
    first, second = await start(database, "code-audit"), await start(database, "code-audit")
    await set_timer(database, first, -1)
    await set_timer(database, second, 60)
    assert sorted(await claimed(database)) == sorted([first, second])
    assert (await execution_of(database, first)).wake_seq == 2
    row = await execution_of(database, second)
    assert row.wake_at is not None
    assert row.wake_seq == 1
