"""Tasks: how far one is, is a percentage."""

import math

import pytest

from app.domain.errors import InvalidInput
from app.services.tasks import ReportTaskProgress, report_progress
from db.session import Database
from db.tables.events import event_log
from db.tables.tasks import task_progress
from tests.services.makers import ADMIN, a_running_task, an_agent, count, run


@pytest.mark.parametrize("percent", [-0.01, 100.01, 1e300, math.nan, math.inf, -math.inf])
async def test_progress_is_a_percentage(database: Database, percent: float) -> None:
    await an_agent(database)
    task = await a_running_task(database)
    events = await count(database, event_log)
    with pytest.raises(InvalidInput) as refused:
        await run(database, report_progress, ADMIN, ReportTaskProgress(task.task_id, "half", percent))
    assert refused.value.field == "input.percent"
    assert (await count(database, event_log), await count(database, task_progress)) == (events, 0)
