"""Workflows: figures are computed when they are read, so they follow at once whatever was committed."""

from dataclasses import replace
from typing import Any

from sqlalchemy import insert

from app.domain.ids import new_id
from app.services.model_assignments import CompleteAssignment, complete_assignment
from db.session import Database
from db.tables.registry import metadata
from db.tables.workflows import workflow_errors, workflow_executions
from tests.api.conftest import Client, admin, client_for
from tests.rules.test_transitions import state
from tests.services.makers import ADMIN, a_task, an_execution, run
from tests.services.test_rules_at_every_level import State

__all__ = ["admin", "client_for", "state"]

FIGURES = """query ($id: ID!) { workflow(executionId: $id) { performanceMetrics {
  errors modelAssignments actualCost tokensUsed tasks { pending total } } } }"""


async def figures(client: Client, execution_id: Any) -> dict[str, Any]:
    found = await replace(client, cached=False).ask(FIGURES, id=str(execution_id))
    metrics: dict[str, Any] = found["workflow"]["performanceMetrics"]
    return metrics


def test_no_table_stores_what_is_computed() -> None:
    stored = [f"{table.name}.{c.name}" for table in metadata.sorted_tables for c in table.c if "performance" in c.name]
    assert stored == ["agent_reports.performance_metrics", "model_assignments.performance_score"]
    assert "task_assignments" not in workflow_executions.c


async def test_figures_follow_what_the_services_do(admin: Client, state: State) -> None:
    execution_id = state.gate.workflow_execution_id
    assert (await figures(admin, execution_id))["tasks"] == {"pending": 0, "total": 0}
    await a_task(state.database, execution_id=execution_id)
    assert (await figures(admin, execution_id))["tasks"] == {"pending": 1, "total": 1}
    done = CompleteAssignment(state.assignment.assignment_id, state.assignment.version, tokens_used=7)
    await run(state.database, complete_assignment, ADMIN, done)
    # the assignment is of a task of no execution
    assert (await figures(admin, execution_id))["tokensUsed"] == 0


async def test_figures_follow_the_rows_within_one_transaction_of_somebody_else(
    database: Database, admin: Client
) -> None:
    execution = await an_execution(database)
    error = insert(workflow_errors).values(
        error_id=new_id(), execution_id=execution.execution_id, message="It broke.", detail={}
    )
    async with database.engine.connect() as connection:
        await connection.execute(error)
        assert (await figures(admin, execution.execution_id))["errors"] == 0
        await connection.commit()
    assert (await figures(admin, execution.execution_id))["errors"] == 1
