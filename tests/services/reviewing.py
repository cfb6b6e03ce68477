"""Work that is under review, as it stands in the rows when a gate comes after it, and who reviews it."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.ids import new_id
from app.domain.model_assignments import AssignmentReason, Provider
from app.domain.principals import Principal, Role
from app.domain.quality_gates import ReviewVerdict
from app.services.model_assignments import RecordAssignment, record_assignment
from app.services.quality_gates import OpenGate, ReviewGate, open_gate, review_gate
from app.services.tasks import CompleteTask, complete_task
from db.session import Database
from db.tables.tasks import tasks
from db.tables.workflows import workflow_steps
from tests.services.makers import ADMIN, a_gate, a_running_task, agent_principal, an_agent, an_execution, run

JAMES = agent_principal("james-dev")
QUINN = agent_principal("quinn-qa")
RITA = Principal("rita", Role.REVIEWER)
MARY = Principal("mary", Role.REVIEWER)
PM = Principal("paula", Role.PM)
BUILT = {"files": 3}
CLAUDE = (Provider.CLAUDE_CODE, "claude-sonnet-4")
GLM = (Provider.ZAI_GLM, "glm-4.5")


async def built(
    database: Database,
    execution_id: UUID,
    result: Any = None,
    *,
    model: tuple[Provider, str] | None = None,
    who: Principal = JAMES,
) -> Row[Any]:
    """The phase `build` is through: james-dev has handed in the result, perhaps with a model; the task."""
    task = await a_running_task(database, "james-dev", execution_id=execution_id)
    if model is not None:
        await worked_with(database, "james-dev", task.task_id, model)
    done: Row[Any] = await run(
        database, complete_task, who, CompleteTask(task.task_id, task.version, BUILT if result is None else result)
    )

    async def place(session: AsyncConnection) -> None:
        placed = {"phase": "build", "task_name": "build", "phase_attempt": 1}
        await session.execute(update(tasks).where(tasks.c.task_id == task.task_id).values(**placed))
        step = {"step_id": new_id(), "execution_id": execution_id, "step_number": 1, "phase": "build", "attempt": 1}
        ended = {"step_status": "completed", "outcome": {"next_phase": ""}, "completed_at": func.clock_timestamp()}
        await session.execute(insert(workflow_steps).values(**step, **ended))

    await database.transact(place)
    return done


async def worked_with(database: Database, agent_id: str, task_id: UUID, model: tuple[Provider, str]) -> None:
    """The agent, which holds the task, works on it with this model."""
    command = RecordAssignment(agent_id, task_id, *model, AssignmentReason.PROVIDER_PREFERENCE)
    await run(database, record_assignment, ADMIN, command)


async def under_review(
    database: Database, reviewers: list[str] | None = None, *, work: dict[str, Any] | None = None, **criteria: Any
) -> Row[Any]:
    """A gate on the work of james-dev, in review, asked of quinn-qa and rita unless others are named."""
    await an_agent(database, "james-dev")
    await an_agent(database, "quinn-qa", AgentRole.QA)
    execution = await an_execution(database)
    await built(database, execution.execution_id, **(work or {}))
    gate = await a_gate(database, execution.execution_id, phase="review", validation_criteria=criteria)
    names = ["quinn-qa", "rita"] if reviewers is None else reviewers
    opened: Row[Any] = await run(database, open_gate, ADMIN, OpenGate(gate.gate_id, gate.version, names))
    return opened


async def review(
    database: Database, who: Principal, gate: Row[Any], verdict: str = "approve", **options: Any
) -> Row[Any]:
    """The reviewer's opinion; the gate as it is then."""
    command = ReviewGate(gate.gate_id, ReviewVerdict(verdict), **options)
    row: Row[Any] = await run(database, review_gate, who, command)
    return row


async def amend_result(database: Database, execution_id: UUID, result: Any) -> None:
    """What no mutation does: the result of the work is another now."""
    statement = update(tasks).where(tasks.c.execution_id == execution_id, tasks.c.phase == "build")
    await database.transact(lambda session: session.execute(statement.values(result=result)))
