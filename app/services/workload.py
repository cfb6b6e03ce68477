"""An agent's status follows its tasks: idle with none, active below its concurrency, busy at it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import ONLINE, AgentStatus, status_by_load
from db.queries.changes import read, transition
from db.queries.entities import AGENT
from db.queries.tasks import count_held


async def follow_load(session: AsyncConnection, agent_id: str, actor: str) -> None:
    """Bring the agent's status in line with the tasks at hand; an agent in error or offline stays so."""
    agent = await read(session, AGENT, agent_id, lock=True)
    if AgentStatus(agent.status) not in ONLINE:
        return
    status = status_by_load(await count_held(session, agent_id), agent.concurrency)
    if status.value != agent.status:
        await transition(session, AGENT, agent_id, status, "status_changed", actor, detail={"reason": "workload"})
