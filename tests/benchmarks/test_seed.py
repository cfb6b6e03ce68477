"""The data are the same at every run, consistent, and in the state that the benchmark relies on."""

from typing import Any

from rich.console import Console
from sqlalchemy import Table, select

from app.domain.workflows import ExecutionStatus
from db.embedded import EmbeddedServer
from db.session import Database
from db.tables.agents import agent_reports, agents
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from tests.benchmarks.seed import LATEST, MEASURED_EVERY, Size, made_id, seed

SIZE = Size(agents=10, workflows=120, metrics=300)
QUIET = Console(quiet=True)


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    """All rows, ordered by the first column, without the transactions that wrote them."""
    columns = [column for column in table.c if column.name != "event_xid"]
    found = await database.transact(lambda session: session.execute(select(*columns).order_by(table.c[0])))
    return [dict(row._mapping) for row in found]


def test_ids_are_uuids_of_version_7_that_rise_with_time() -> None:
    one, other = made_id("gate", 5, LATEST), made_id("gate", 5, LATEST)
    assert one == other
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert one.int >> 80 == int(LATEST.timestamp() * 1000)
    assert made_id("task", 5, LATEST) != one


async def test_the_data_hang_together(database: Database, database_url: str) -> None:
    await seed(database_url, SIZE, QUIET)
    executions = await rows(database, workflow_executions)
    found_tasks = {task["task_id"]: task for task in await rows(database, tasks)}
    assert len(executions) == 120
    assert len(await rows(database, agents)) == len(await rows(database, agent_reports)) == 10
    assert len(await rows(database, quality_gates)) == 360
    assert len(found_tasks) == 480
    assignments = await rows(database, model_assignments)
    assert len(assignments) == 480
    for assignment in assignments:
        task = found_tasks[assignment["task_id"]]
        assert assignment["execution_id"] == task["execution_id"]
        assert assignment["agent_id"] == task["assigned_agent_id"]
        assert assignment["task_complexity"] == task["complexity"]
    # the newest ids are those that were started last, and the last hundred are open
    assert [row["started_at"] for row in executions] == sorted(row["started_at"] for row in executions)
    assert [row["execution_status"] == ExecutionStatus.RUNNING for row in executions] == [False] * 20 + [True] * 100
    assert all(row["wake_seq"] == row["handled_seq"] for row in executions)


async def test_measurements_come_at_even_times_from_all_agents(database: Database, database_url: str) -> None:
    await seed(database_url, SIZE, QUIET)
    found = await rows(database, resource_metrics)
    assert [row["measurement_time"] for row in found] == [LATEST - n * MEASURED_EVERY for n in reversed(range(300))]
    names = [row["agent_id"] for row in await rows(database, agents)]
    assert sorted(row["agent_id"] for row in found) == sorted(names * 30)
    assert {row["metric_id"].version for row in found} == {7}


async def test_the_same_data_come_again(
    postgres: EmbeddedServer, template_database: str, database: Database, database_url: str
) -> None:
    await seed(database_url, SIZE, QUIET)
    postgres.create_database("seeded_again", template_database)
    other = Database(postgres.url("seeded_again"))
    try:
        await seed(other.url, SIZE, QUIET)
        for table in (agents, workflow_executions, quality_gates, tasks, model_assignments, resource_metrics):
            assert await rows(database, table) == await rows(other, table)
    finally:
        await other.close()
        postgres.drop_database("seeded_again")
