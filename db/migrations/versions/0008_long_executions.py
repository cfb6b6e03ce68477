"""Executions of many thousand steps: a new step is compared with its neighbours, not with every other step."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Of steps that are in order, the one before started latest of all before, and the one after earliest of all after. The
# execution is locked, so that no other step comes in between.
WORKFLOW_STEPS_IN_ORDER = """
CREATE OR REPLACE FUNCTION workflow_steps_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM workflow_executions WHERE execution_id = NEW.execution_id FOR NO KEY UPDATE;
    IF NEW.started_at < (
        SELECT other.started_at FROM workflow_steps AS other
        WHERE other.execution_id = NEW.execution_id AND other.step_id <> NEW.step_id
            AND other.step_number < NEW.step_number
        ORDER BY other.step_number DESC LIMIT 1
    ) OR NEW.started_at > (
        SELECT other.started_at FROM workflow_steps AS other
        WHERE other.execution_id = NEW.execution_id AND other.step_id <> NEW.step_id
            AND other.step_number > NEW.step_number
        ORDER BY other.step_number LIMIT 1
    ) THEN
        RAISE EXCEPTION 'the step numbers of an execution follow the time at which the steps start'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'workflow_steps_in_order', TABLE = 'workflow_steps';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute(WORKFLOW_STEPS_IN_ORDER)
