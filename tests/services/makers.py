"""Short ways to bring a database into the state that a test begins with; all go through the services."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.ids import new_id
from app.domain.principals import Principal, Role
from app.domain.quality_gates import GateType
from app.security.sealing import Sealer
from app.services.agents import RegisterAgent, register_agent
from app.services.tasks import ClaimTask, CreateTask, StartTask, claim_task, create_task, start_task
from app.services.workflows import StartWorkflow, start_workflow
from db.queries.changes import create
from db.queries.entities import GATE
from db.session import Database
from db.tables.events import event_log
from db.tables.tasks import tasks
from db.tables.workflows import workflow_templates

ADMIN = Principal("root", Role.ADMIN)
SEALER = Sealer(bytes(range(32)))


def agent_principal(agent_id: str, role: Role = Role.AGENT) -> Principal:
    return Principal(agent_id, role, agent_id)


async def run(database: Database, service: Callable[..., Awaitable[Any]], principal: Principal, *command: Any) -> Any:
    """One service call in a transaction of its own."""
    return await database.transact(lambda session: service(session, principal, *command))


async def an_agent(
    database: Database, agent_id: str = "james-dev", role: AgentRole = AgentRole.DEVELOPER, **options: Any
) -> Row[Any]:
    row: Row[Any] = await run(database, register_agent, ADMIN, RegisterAgent(agent_id, role, **options))
    return row


async def a_task(database: Database, title: str = "Build it", **options: Any) -> Row[Any]:
    row: Row[Any] = await run(database, create_task, ADMIN, CreateTask(title, **options))
    return row


async def a_running_task(database: Database, agent_id: str = "james-dev", **options: Any) -> Row[Any]:
    task = await a_task(database, **options)
    claimed = await run(database, claim_task, ADMIN, ClaimTask(agent_id, task.task_id))
    row: Row[Any] = await run(database, start_task, ADMIN, StartTask(task.task_id, claimed.version))
    return row


async def a_template(database: Database, name: str = "plain") -> None:
    values = {"template_name": name, "template_version": 1, "description": "For a test.", "spec": {}}
    await database.transact(lambda session: session.execute(insert(workflow_templates).values(**values)))


async def an_execution(database: Database, name: str = "plain") -> Row[Any]:
    await a_template(database, name)
    row: Row[Any] = await run(database, start_workflow, ADMIN, StartWorkflow(name))
    return row


async def a_gate(database: Database, execution_id: UUID, **values: Any) -> Row[Any]:
    row = {
        "gate_id": new_id(),
        "gate_name": "Review",
        "workflow_execution_id": execution_id,
        "gate_type": GateType.TECHNICAL_REVIEW.value,
        **values,
    }
    return await database.transact(lambda session: create(session, GATE, row, "created", "test"))


async def a_request(database: Database, kind: str, execution_id: UUID, gate_id: UUID | None = None) -> Row[Any]:
    """A task that asks for a decision or a review, as the engine makes it."""
    task = await a_task(database, title=f"Please {kind}", execution_id=execution_id)

    async def change(session: AsyncConnection) -> None:
        await session.execute(
            tasks.update().where(tasks.c.task_id == task.task_id).values(task_kind=kind, gate_id=gate_id)
        )

    await database.transact(change)
    return task


async def events_of(database: Database, entity_id: object) -> list[tuple[str, str | None, str | None, int | None]]:
    """Type, from, to and version of the entity's events, in order."""
    statement = (
        select(event_log.c.event_type, event_log.c.from_status, event_log.c.to_status, event_log.c.version)
        .where(event_log.c.entity_id == str(entity_id))
        .order_by(event_log.c.xid, event_log.c.id)
    )
    rows = await database.transact(lambda session: session.execute(statement))
    return [tuple(row) for row in rows]


async def count(database: Database, table: Any) -> int:
    found = await database.transact(lambda session: session.execute(select(func.count()).select_from(table)))
    return int(found.scalar_one())


async def row_of(database: Database, table: Any, **keys: Any) -> Row[Any]:
    statement = select(table).where(*[table.c[name] == value for name, value in keys.items()])
    found = await database.transact(lambda session: session.execute(statement))
    return found.one()
