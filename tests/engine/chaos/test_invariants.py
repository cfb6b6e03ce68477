"""The judges of the campaign see what they are there to see: each planted fault is found."""

import contextlib
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from db.session import Database
from tests.engine.chaos.agents import Told
from tests.engine.chaos.invariants import general_violations
from tests.engine.chaos.outcomes import execution_violations
from tests.engine.chaos.plans import Plan, draw_plan
from tests.engine.chaos.rounds import begin, watch
from tests.engine.conftest import StartWorker
from tests.engine.team import Fail, Member, Team, play, tasks_of

MARK = "0" * 32
PLANTED = {
    "the fence fell": "UPDATE workflow_executions SET fence = fence - 1",
    "the queue went back": "UPDATE workflow_executions SET handled_seq = handled_seq - 1",
    "an execution changed after its end": "UPDATE workflow_executions SET last_activity = now()",
    "a version was left out": "UPDATE workflow_executions SET version = version + 2",
    "a lease was taken without a new fence": "UPDATE workflow_executions SET lease_owner = 'x', lease_until = now()",
    "an execution is not at rest": "UPDATE workflow_executions SET execution_status = 'running'",
    "a step was changed that has ended": "UPDATE workflow_steps SET outcome = '{}' WHERE step_number = 1",
    "the path is not chronological": "UPDATE workflow_steps SET step_number = step_number + 7 WHERE step_number = 2",
    "a step was told of twice": "INSERT INTO event_log (retention, aggregate, entity_id, event_type, actor, detail) "
    "SELECT retention, aggregate, entity_id, event_type, actor, detail FROM event_log WHERE event_type LIKE 'step%'",
    "a result was replaced": "UPDATE tasks SET result = '{}'",
    "a task counts other attempts than it had": "UPDATE tasks SET attempts = attempts + 1",
    "a task is open though": "UPDATE tasks SET status = 'running', assigned_agent_id = 'james-dev'",
    "the versions are": "UPDATE event_log SET version = version + 1 WHERE aggregate = 'task' AND version > 2",
    "went from completed to running": "UPDATE event_log SET from_status = 'completed' "
    "WHERE aggregate = 'workflow' AND event_type = 'running'",
    "but its events end with": "UPDATE tasks SET version = version + 1",
    "an agent is at work on nothing": "UPDATE agents SET status = 'busy'",
    "should have 0": "INSERT INTO workflow_errors (error_id, execution_id, severity, message, detail) "
    "SELECT gen_random_uuid(), execution_id, 'error', 'Unexpected', '{}' FROM workflow_executions",
    "is failed and not completed": "UPDATE workflow_executions SET execution_status = 'failed'",
    "and not [": "DELETE FROM workflow_steps WHERE step_number = 1",
    "that nobody asked for": "UPDATE tasks SET task_name = 'another'",
    "did the tasks": "UPDATE tasks SET failures = failures + 1",
    "had 1 decisions": "INSERT INTO decisions (decision_id, decision_type, context_data_sealed, "
    "reasoning_process_sealed, sealed_key, outcome, confidence_score, execution_id, decided_by) SELECT "
    "gen_random_uuid(), 'escalation', sealed, sealed, sealed, 'x', 5, execution_id, 'ann' FROM workflow_executions, "
    "decode(repeat('01', 64), 'hex') AS sealed",
    "that its steps do not know": "UPDATE workflow_steps SET outcome = jsonb_set(outcome, '{next_phase}', '\"lost\"')",
}
FORK = (
    "INSERT INTO langgraph.checkpoints SELECT thread_id, checkpoint_ns, checkpoint_id || 'x', parent_checkpoint_id, "
    "type, checkpoint, metadata FROM langgraph.checkpoints"
)


@pytest.fixture
async def played(engine_database: Database, start_worker: StartWorker) -> tuple[Database, UUID, Plan]:
    """A drawn plan of several phases, played without faults under the eyes of the watch."""
    database = engine_database
    await watch(database)
    plan = simple_plan()
    team = Team(database, (Member("james-dev", AgentRole.DEVELOPER),))
    team.default = lambda task: (
        Fail(uuid4().hex)
        if task.failures < plan.failures(task.phase, task.phase_attempt, task.task_name, task.max_failures)
        else {**plan.result(task.phase, task.phase_attempt, task.task_name), "mark": uuid4().hex}
    )
    await team.register()
    await start_worker()
    execution_id = await begin(database, plan)
    assert (await play(team, execution_id)).execution_status == "completed"
    return database, execution_id, plan


def simple_plan() -> Plan:
    """Three phases of work that any developer can do, without faults of its own."""
    drawn = draw_plan("a simple one", "chaos-0")
    phases = [
        {"name": name, "kind": "task", "task": {"name": "work", "title": name, "max_failures": 4}}
        for name in ("task-1", "task-2", "task-3")
    ]
    template = type(drawn.template).model_validate({"name": "chaos-0", "description": "Simple.", "phases": phases})
    return Plan("simple", template, 0)


async def judged(database: Database, execution_id: UUID, plan: Plan) -> list[str]:
    of_the_plan = await execution_violations(database, execution_id, plan, cancelled=False)
    return await general_violations(database, {}) + of_the_plan


class Planted(Database):
    """The database as a transaction sees it that is never committed."""

    def __init__(self, url: str, session: AsyncConnection) -> None:
        super().__init__(url)
        self._session = session

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        yield self._session


@contextlib.asynccontextmanager
async def planted(database: Database, statement: str) -> AsyncIterator[Planted]:
    """Do what no worker may, past the triggers that would refuse it, and undo it."""
    async with database.engine.connect() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text(statement))
        yield Planted(database.url, connection)
        await connection.rollback()


async def test_what_is_planted_is_found(played: tuple[Database, UUID, Plan]) -> None:
    database, execution_id, plan = played
    assert await judged(database, execution_id, plan) == []
    for sentence, statement in PLANTED.items():
        async with planted(database, statement) as seen:
            assert any(sentence in violation for violation in await judged(seen, execution_id, plan)), sentence
    assert await judged(database, execution_id, plan) == []
    # checkpoints are read by a connection of their own
    await database.transact(lambda session: session.execute(text(FORK)))
    assert any("two checkpoints after one" in violation for violation in await judged(database, execution_id, plan))


async def test_what_an_agent_was_told_is_compared_with_what_is_stored(played: tuple[Database, UUID, Plan]) -> None:
    database, execution_id, _ = played
    task = (await tasks_of(database, execution_id))[0]
    mark = task.result["mark"]
    for told, found in (
        (Told(accepted=[mark]), []),
        (Told(refused=[MARK]), []),
        (Told(accepted=[MARK]), [f"task {task.task_id}: {MARK} was accepted and is there 0 times"]),
        (Told(refused=[mark]), [f"task {task.task_id}: {mark} was refused and is stored"]),
    ):
        assert await general_violations(database, {task.task_id: told}) == found
