"""An execution of many thousand steps, for tests and benchmarks: a loop of three phases, each pass with its outcome."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.ids import new_id
from db.session import Database

PHASES = ("build", "test", "review")
NAME = "long"

MAKE = (
    """INSERT INTO workflow_templates (template_name, template_version, description, spec)
    VALUES ('long', 1, 'A loop.', '{}') ON CONFLICT DO NOTHING""",
    """INSERT INTO workflow_executions (execution_id, workflow_name, template_version, trigger_type, triggered_by,
        execution_status, started_at, current_phase, fence, handled_seq, lease_owner, lease_until)
    VALUES (:id, 'long', 1, 'manual', 'bench', 'running', now() - interval '1 day', 'review', 1, 1, 'bench',
        now() + interval '1 day')""",
    """INSERT INTO workflow_steps (step_id, execution_id, step_number, phase, attempt, step_status, outcome, started_at,
        completed_at)
    SELECT step_id, CAST(:id AS uuid), n, (CAST(:phases AS text[]))[1 + (n - 1) % 3], 1 + (n - 1) / 3,
        CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'completed' END,
        jsonb_build_object('next_phase', (CAST(:phases AS text[]))[1 + n % 3], 'tasks', jsonb_build_array(step_id)),
        now() - interval '1 day' + n * interval '5 s', now() - interval '1 day' + n * interval '5 s' + interval '3 s'
    FROM generate_series(1, CAST(:steps AS int)) AS n, LATERAL (SELECT gen_random_uuid(), n) AS made (step_id, of)""",
    "ANALYZE workflow_steps",
)


async def seed_steps(database: Database, steps: int = 10_000) -> UUID:
    """A running execution with so many steps, of which each hundredth failed and took three seconds as all do.

    Its fence is 1, so that `db.queries.boundaries` can let it grow. At most 17,000 steps: they lie in the past.
    """
    execution_id = new_id()
    values = {"id": execution_id, "phases": list(PHASES), "steps": steps}

    async def make(session: AsyncConnection) -> None:
        for statement in MAKE:
            await session.execute(text(statement), values)

    await database.transact(make)
    return execution_id
