"""A model's work ends when its task goes back to the pool."""

import pytest

from app.domain.errors import IllegalTransition
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.services.model_assignments import CompleteAssignment, RecordAssignment, complete_assignment, record_assignment
from app.services.tasks import ClaimTask, ReleaseTask, claim_task, release_task, release_tasks_of
from db.session import Database
from db.tables.model_assignments import model_assignments
from tests.services.makers import ADMIN, a_running_task, an_agent, events_of, row_of, run


async def assigned(database: Database, task_id: object, status: AssignmentStatus = AssignmentStatus.ACTIVE) -> object:
    model = (Provider.CLAUDE_CODE, "claude-sonnet-4", AssignmentReason.PROVIDER_PREFERENCE)
    command = RecordAssignment("james-dev", task_id, *model, assignment_status=status)  # type: ignore[arg-type]
    return (await run(database, record_assignment, ADMIN, command)).assignment_id


@pytest.mark.parametrize("falls_silent", [False, True])
async def test_a_release_ends_what_is_active_and_nothing_else(database: Database, falls_silent: bool) -> None:
    await an_agent(database, concurrency=2)
    task, other = await a_running_task(database), await a_running_task(database)
    active = await assigned(database, task.task_id)
    planned = await assigned(database, task.task_id, AssignmentStatus.PENDING)
    done = await assigned(database, task.task_id)
    await run(database, complete_assignment, ADMIN, CompleteAssignment(done, 2))  # type: ignore[arg-type]
    elsewhere = await assigned(database, other.task_id)
    if falls_silent:
        await database.transact(lambda session: release_tasks_of(session, ["james-dev"], "hub", "no report"))
    else:
        await run(database, release_task, ADMIN, ReleaseTask(task.task_id, task.version))
    wanted = {active: "cancelled", planned: "pending", done: "completed"}
    wanted[elsewhere] = "cancelled" if falls_silent else "active"
    for assignment_id, status in wanted.items():
        row = await row_of(database, model_assignments, assignment_id=assignment_id)
        assert row.assignment_status == status
    assert [event[0] for event in await events_of(database, active)] == ["recorded", "activated", "cancelled"]
    with pytest.raises(IllegalTransition):
        await run(database, complete_assignment, ADMIN, CompleteAssignment(active, 3))  # type: ignore[arg-type]
    if not falls_silent:
        # whoever takes it up next has a model of its own
        await run(database, claim_task, ADMIN, ClaimTask("james-dev", task.task_id))
        assert await assigned(database, task.task_id) != active
