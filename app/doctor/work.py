"""Checks of the work in hand: executions, agents and gates that wait for somebody who does not come."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.doctor.findings import Finding, fine, problem, warning
from app.doctor.installation import Installation
from db.queries.diagnosis import clock, silent_holders, unclaimed_executions, waiting_gates

UNCLAIMED_AFTER = timedelta(minutes=1)
GATE_PATIENCE = timedelta(days=1)


async def executions_taken_up(_installation: Installation, connection: AsyncConnection) -> Finding:
    """Whatever can go on is taken up by a worker."""
    number, oldest = await unclaimed_executions(connection, UNCLAIMED_AFTER)
    if not number:
        return fine("executions", "None has been waiting for a worker for a minute.")
    first = oldest[0]
    return problem(
        "executions",
        f"{number} could go on and no worker takes them up; {first.workflow_name} {first.execution_id} has been "
        f"waiting since {_time(first.last_activity)}.",
        "Start a worker: `hub worker` beside `hub serve`; `hub up` has one of its own. If one runs, its log tells "
        "more, and HUB_WORKER_CONCURRENCY may be too low.",
    )


async def agents_at_work(_installation: Installation, connection: AsyncConnection) -> Finding:
    """Whoever holds tasks is there to do them."""
    silent = await silent_holders(connection)
    if not silent:
        return fine("agents", "All agents that have tasks at hand are there.")
    told = "; ".join(
        f"{row.agent_id} ({row.status}, last heard of {_time(row.last_seen)}) holds {row.held}" for row in silent[:5]
    )
    return warning(
        "agents",
        f"{len(silent)} hold tasks and are silent: {told}.",
        "A running hub gives their tasks to others after 90 seconds; start the agent again, or let the tasks go: "
        f"`hub agents set-status {silent[0].agent_id} offline`.",
    )


async def gates_decided(_installation: Installation, connection: AsyncConnection) -> Finding:
    """No gate waits for a verdict for long."""
    number, longest = await waiting_gates(connection, GATE_PATIENCE)
    if not number:
        return fine("quality gates", "None has been waiting for a verdict for a day.")
    first, now = longest[0], await clock(connection)
    return warning(
        "quality gates",
        f"{number} have been waiting for people for more than a day; the longest, {first.gate_name}, for "
        f"{(now - first.updated_at).days} days.",
        f"`hub gate list` shows them; `hub gate approve|reject|revise {first.gate_id} --reason '…'` decides.",
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


CHECKS = (executions_taken_up, agents_at_work, gates_decided)
