"""Gates of executions that end, and go on again: what waits for no verdict any more is not listed as if it did."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection

from app.services.gate_facts import gate_detail
from db.queries.changes import amend
from db.queries.entities import GATE
from db.queries.quality_gates import lock_undecided


async def close_gates(session: AsyncConnection, execution_id: UUID, actor: str, reason: str) -> None:
    """Close the gates of an execution that ends before their verdict. They keep their status, and take no verdict."""
    values = {"closed_at": func.clock_timestamp(), "due_at": None}
    await _amend_open(session, execution_id, actor, "closed", values, {"reason": reason}, were_closed=False)


async def reopen_gates(session: AsyncConnection, execution_id: UUID, actor: str) -> None:
    """Open what was closed with an execution that is retried: it may be decided again."""
    await _amend_open(session, execution_id, actor, "reopened", {"closed_at": None}, {}, were_closed=True)


async def _amend_open(
    session: AsyncConnection,
    execution_id: UUID,
    actor: str,
    event_type: str,
    values: Mapping[str, Any],
    told: Mapping[str, Any],
    *,
    were_closed: bool,
) -> None:
    for gate in await lock_undecided(session, execution_id):
        if (gate.closed_at is not None) == were_closed:
            detail = {**gate_detail(gate), **told}
            await amend(session, GATE, gate.gate_id, event_type, actor, values=values, detail=detail)
