"""A process that is killed while it fires a schedule: before its commit it has done nothing, after it all."""

import asyncio
import signal
import sys
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.domain.schedules import Timing
from app.services.schedules import CreateSchedule, create_schedule
from app.upkeep.schedules import fire_due
from db.session import Database
from db.tables.workflows import workflow_executions, workflow_schedules
from tests.services.makers import ADMIN, a_template, events_of, row_of, run

KILLED = """
import asyncio, os, signal, sys
from uuid import UUID
from app.services.schedules import fire_if_due
from db.session import Database

url, schedule_id, moment = sys.argv[1:]

async def main():
    database = Database(url, pool_size=1, read_pool_size=1)

    async def work(session):
        assert await fire_if_due(session, UUID(schedule_id))
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)

    await database.transact(work)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "found"), [("before", 0), ("after", 1)])
async def test_a_kill_loses_no_run_and_repeats_none(database: Database, moment: str, found: int) -> None:
    await a_template(database)
    schedule = await run(database, create_schedule, ADMIN, CreateSchedule("hourly", "plain", Timing("0 * * * *")))
    due = schedule.next_run_at - timedelta(hours=1)
    await database.transact(lambda s: s.execute(update(workflow_schedules).values(next_run_at=due)))
    arguments = ["-c", KILLED, database.url, str(schedule.schedule_id), moment]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    statement = select(workflow_executions.c.scheduled_for)
    runs = (await database.transact(lambda s: s.execute(statement))).scalars().all()
    assert runs == [due] * found
    assert await fire_due(database) == 1 - found
    runs = (await database.transact(lambda s: s.execute(statement))).scalars().all()
    assert runs == [due]
    after = await row_of(database, workflow_schedules, schedule_id=schedule.schedule_id)
    assert after.next_run_at == schedule.next_run_at
    assert [event[0] for event in await events_of(database, schedule.schedule_id)] == ["created", "fired"]
