"""Gates that belong to no phase hold the end of their execution until all of them are approved."""

import signal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.ids import new_id
from app.domain.quality_gates import ApprovalStatus, GateType
from app.services.quality_gates import DecideGate, OpenGate, decide_gate, open_gate
from app.services.tasks import CreateTask, create_task
from app.services.workflows import RetryWorkflow, retry_workflow
from db.queries.changes import create
from db.queries.entities import GATE
from db.queries.executions import wake
from db.session import Database
from db.tables.quality_gates import quality_gates
from tests.engine.conftest import StartWorker
from tests.engine.processes import Workers, state_of
from tests.engine.team import (
    ADMIN,
    SEALER,
    Member,
    Team,
    errors_of,
    events_of,
    execution_of,
    path_of,
    play,
    rows_of,
    start,
    store_template,
    task_phase,
    tasks_of,
    until,
)

DEV = Member("james-dev", AgentRole.DEVELOPER)


async def a_gate(database: Database, execution_id: UUID, name: str = "Extra") -> UUID:
    """A pending gate of no phase."""
    values = {
        "gate_id": new_id(),
        "gate_name": name,
        "workflow_execution_id": execution_id,
        "gate_type": GateType.SECURITY_CHECK.value,
        "validation_criteria": {"verdict_by": "human"},
    }

    async def make(session: AsyncConnection) -> UUID:
        gate = await create(session, GATE, values, "created", "ann")
        await wake(session, execution_id)
        gate_id: UUID = gate.gate_id
        return gate_id

    return await database.transact(make)


async def gate_of(database: Database, gate_id: UUID) -> Row[Any]:
    return (await rows_of(database, select(quality_gates).where(quality_gates.c.gate_id == gate_id)))[0]


async def open_it(database: Database, gate_id: UUID) -> None:
    await database.transact(lambda session: open_gate(session, ADMIN, OpenGate(gate_id)))


async def decide(database: Database, gate_id: UUID, verdict: ApprovalStatus) -> None:
    version = (await gate_of(database, gate_id)).version
    command = DecideGate(gate_id, verdict, version, "I looked at it", 9)
    await database.transact(lambda session: decide_gate(session, ADMIN, command, SEALER))


async def held_execution(database: Database, *names: str) -> tuple[UUID, Team, list[UUID]]:
    """An execution of one phase with gates that hold its end; a worker must be there already."""
    team = Team(database, (DEV,))
    await team.register()
    await store_template(database, "plain", task_phase("work"))
    execution_id = await start(database, "plain")
    await until(lambda: tasks_of(database, execution_id))
    gates = [await a_gate(database, execution_id, name) for name in names]
    await team.work()
    await until(lambda: held(database, execution_id))
    return execution_id, team, gates


async def held(database: Database, execution_id: UUID) -> bool:
    """Whether all phases are over and the execution was put down, without a lease or anything still to look at."""
    row = await execution_of(database, execution_id)
    passed = [status for *_, status in await path_of(database, execution_id)] == ["completed"]
    return passed and row.wake_seq == row.handled_seq and row.lease_owner is None


async def test_it_completes_when_the_last_gate_is_approved_and_not_before(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await start_worker()
    execution_id, team, (first, second) = await held_execution(database, "Licences", "Security")
    for gate_id, verdict in [
        (first, None),
        (first, ApprovalStatus.REQUIRES_REVISION),
        (first, None),
        (first, ApprovalStatus.APPROVED),
        (second, None),
    ]:
        await (open_it(database, gate_id) if verdict is None else decide(database, gate_id, verdict))
        await until(lambda: held(database, execution_id))
        assert (await execution_of(database, execution_id)).execution_status == "running"
    await decide(database, second, ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await events_of(database, execution_id) == [
        *["started", "running", "step_started", "step_completed", "completed"]
    ]
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed")]


async def test_approved_before_the_end_it_holds_nothing(engine_database: Database, start_worker: StartWorker) -> None:
    database = engine_database
    await start_worker()
    team = Team(database, (DEV,))
    await team.register()
    await store_template(database, "plain", task_phase("work"))
    execution_id = await start(database, "plain")
    gate_id = await a_gate(database, execution_id)
    await open_it(database, gate_id)
    await decide(database, gate_id, ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"


async def test_a_rejection_fails_it_at_its_end_with_its_open_tasks(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await start_worker()
    execution_id, team, (gate_id, other) = await held_execution(database, "Security", "Licences")
    extra = CreateTask("An extra", execution_id=execution_id, required_role=AgentRole.QA)
    await database.transact(lambda session: create_task(session, ADMIN, extra))
    await open_it(database, gate_id)
    await decide(database, gate_id, ApprovalStatus.REJECTED)
    ended = await play(team, execution_id)
    assert (ended.execution_status, ended.lease_owner) == ("failed", None)
    assert ended.completed_at is not None
    (error,) = await errors_of(database, execution_id)
    assert (error.severity, error.phase) == ("critical", None)
    assert error.message == "The end of the workflow was rejected by 'Security': I looked at it"
    assert error.detail == {"step_number": 0, "gates": [str(gate_id)]}
    assert [task.status for task in await tasks_of(database, execution_id)] == ["completed", "cancelled"]
    assert (await gate_of(database, other)).approval_status == "pending"
    assert (await events_of(database, execution_id))[-2:] == ["error_logged", "failed"]


async def test_a_retry_puts_a_rejected_gate_before_the_end_again(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await start_worker()
    execution_id, team, (gate_id,) = await held_execution(database, "Security")
    await open_it(database, gate_id)
    await decide(database, gate_id, ApprovalStatus.REJECTED)
    failed = await play(team, execution_id)
    command = RetryWorkflow(execution_id, failed.version, "another look")
    await database.transact(lambda session: retry_workflow(session, ADMIN, command))
    await until(lambda: held(database, execution_id))
    rejected, again = await rows_of(database, select(quality_gates).order_by(quality_gates.c.gate_id))
    assert (rejected.gate_id, rejected.approval_status) == (gate_id, "rejected")
    assert (again.approval_status, again.gate_name, again.phase) == ("pending", "Security", None)
    assert (again.gate_type, again.validation_criteria) == ("security_check", {"verdict_by": "human"})
    await open_it(database, again.gate_id)
    await decide(database, again.gate_id, ApprovalStatus.APPROVED)
    assert (await play(team, execution_id)).execution_status == "completed"
    assert await path_of(database, execution_id) == [(1, "work", 1, "completed")]


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
async def test_workers_that_die_at_the_end_lose_and_double_nothing(
    engine_database: Database, workers: Workers, moment: str
) -> None:
    """Each dies at one of its visits while the verdict is in; a held execution is claimed and put down again."""
    database = engine_database
    team = Team(database, (DEV,))
    await team.register()
    await store_template(database, "plain", task_phase("work"))
    execution_id = await start(database, "plain")
    gate_id = await a_gate(database, execution_id)
    first = workers.start("first")
    await until(lambda: worked_and_held(team, execution_id))
    await workers.kill(first)
    await open_it(database, gate_id)
    await decide(database, gate_id, ApprovalStatus.APPROVED)
    for visit in range(1, 8):
        pid = workers.start(f"mortal-{visit}", signal.SIGKILL, visit, moment)
        await until(lambda: gone_or_completed(pid, database, execution_id))  # noqa: B023
    await until(lambda: completed(database, execution_id))
    assert await events_of(database, execution_id) == [
        *["started", "running", "step_started", "step_completed", "completed"]
    ]
    assert await errors_of(database, execution_id) == []


async def gone_or_completed(pid: int, database: Database, execution_id: UUID) -> bool:
    return state_of(pid) is None or await completed(database, execution_id)


async def worked_and_held(team: Team, execution_id: UUID) -> bool:
    await team.work()
    return await held(team.database, execution_id)


async def completed(database: Database, execution_id: UUID) -> bool:
    return bool((await execution_of(database, execution_id)).execution_status == "completed")
