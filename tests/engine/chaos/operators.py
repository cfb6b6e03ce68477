"""People of a round: they give verdicts, reopen gates, retry what failed; and now and then pause, resume and cancel."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import HubError, Unavailable
from app.domain.gate_phase import GatePhase
from app.services.quality_gates import DecideGate, OpenGate, decide_gate, open_gate
from app.services.workflows import (
    CancelWorkflow,
    PauseWorkflow,
    ResumeWorkflow,
    RetryWorkflow,
    cancel_workflow,
    pause_workflow,
    resume_workflow,
    retry_workflow,
)
from db.session import Database
from db.tables.events import event_log
from db.tables.quality_gates import gate_reviewers, quality_gates
from db.tables.workflows import workflow_executions, workflow_steps
from tests.engine.chaos.plans import Plan
from tests.engine.team import ADMIN, SEALER

LOOK_SECONDS = 0.06
EXECUTION_COLUMNS = (
    workflow_executions.c.execution_id,
    workflow_executions.c.execution_status,
    workflow_executions.c.version,
    select(func.coalesce(func.max(workflow_steps.c.step_number), 0))
    .where(workflow_steps.c.execution_id == workflow_executions.c.execution_id)
    .scalar_subquery()
    .label("steps"),
)
RETRIES = (
    select(event_log.c.entity_id, func.count().label("retries"))
    .where(event_log.c.aggregate == "workflow", event_log.c.event_type == "retried")
    .group_by(event_log.c.entity_id)
)
HUMAN = quality_gates.c.validation_criteria["verdict_by"].astext == "human"
WAITING_GATES = (
    select(quality_gates)
    .join(workflow_executions, workflow_executions.c.execution_id == quality_gates.c.workflow_execution_id)
    .where(workflow_executions.c.execution_status.in_(("running", "paused")))
    .where(
        or_(
            and_(quality_gates.c.approval_status == "in_review", HUMAN),
            quality_gates.c.approval_status == "requires_revision",
        )
    )
)
"""Gates whose verdict is a person's, and those that wait for another revision."""


@dataclass
class Operators:
    """Their work on the executions of one round. `pauses` and `cancels` are the chances of each look at each."""

    database: Database
    plans: Mapping[UUID, Plan]
    lengths: Mapping[UUID, int]
    """How many steps each execution takes in all."""
    chance: random.Random
    faults: Counter[str]
    calm: bool = False
    retried: Counter[UUID] = field(default_factory=Counter)
    cancelled: set[UUID] = field(default_factory=set)
    left: int | None = None
    """Steps that the execution which has most of them before it was still to take at the latest look; 0: all ended."""
    _unsure: bool = False

    def forget(self) -> None:
        """What was seen is no longer true; the next look tells."""
        self.left = None

    async def work(self) -> None:
        """See to everything, until it is cancelled."""
        while True:
            try:
                await self._look()
            except Unavailable:
                # a command may have been carried out though nobody heard of it
                self.left, self._unsure = None, True
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        rows = await self._rows(select(*EXECUTION_COLUMNS))
        if self._unsure:
            self.retried = Counter({UUID(row.entity_id): row.retries for row in await self._rows(RETRIES)})
            self._unsure = False
        self.left = max(map(self._steps_left, rows))
        for row in rows:
            await self._steer(row)
        for gate in await self._rows(WAITING_GATES):
            await self._decide(gate)

    def _has_ended(self, row: Row[Any]) -> bool:
        if row.execution_status == "failed":
            return self.retried[row.execution_id] >= self.plans[row.execution_id].retries
        return row.execution_status in ("completed", "cancelled")

    def _steps_left(self, row: Row[Any]) -> int:
        if self._has_ended(row):
            return 0
        return max(1, self.lengths[row.execution_id] - int(row.steps))

    async def _steer(self, row: Row[Any]) -> None:
        execution_id, version, status = row.execution_id, row.version, row.execution_status
        if status == "failed" and not self._has_ended(row):
            if await self._give(retry_workflow, RetryWorkflow(execution_id, version, "mended")):
                self.retried[execution_id] += 1
        elif status == "paused" and (self.calm or self.chance.random() < 0.3):
            await self._give(resume_workflow, ResumeWorkflow(execution_id, version))
        elif status == "running" and not self.calm and self.chance.random() < 0.01:
            self.faults["paused"] += await self._give(pause_workflow, PauseWorkflow(execution_id, version))
        elif status in ("running", "paused") and not self.calm and self.chance.random() < 0.0008:
            # also where nobody heard of it: the status tells in the end
            self.cancelled.add(execution_id)
            self.faults["cancelled"] += await self._give(cancel_workflow, CancelWorkflow(execution_id, version, "no"))

    async def _decide(self, gate: Row[Any]) -> None:
        """A verdict where people give it, or another look after a revision that leads nowhere back."""
        plan = self.plans[gate.workflow_execution_id]
        phase = plan.template.phase(gate.phase)
        assert isinstance(phase, GatePhase)
        if gate.approval_status == "requires_revision":
            if phase.on_revision is None:
                await self._give(open_gate, OpenGate(gate.gate_id, gate.version))
            return
        if await self._reviews(gate) < len(phase.reviewers):
            return
        verdict = plan.verdict(gate.phase, gate.phase_attempt, gate.revision)
        command = DecideGate(gate.gate_id, verdict, gate.version, "I looked at it", 10)
        await self._give(lambda session, who, given: decide_gate(session, who, given, SEALER), command)

    async def _reviews(self, gate: Row[Any]) -> int:
        """How many reviews of this revision are in."""
        known = gate_reviewers.c
        given = select(known.review_id).where(known.gate_id == gate.gate_id, known.revision == gate.revision)
        return len(await self._rows(given.where(known.verdict.is_not(None))))

    async def _give(self, service: Callable[..., Awaitable[Any]], command: Any) -> bool:
        """Give a command; False when it is refused, because the row has moved since."""
        try:
            await self.database.transact(lambda session: service(session, ADMIN, command))
        except Unavailable:
            raise
        except HubError:
            return False
        return True

    async def _rows(self, statement: Any) -> list[Row[Any]]:
        async def read(session: AsyncConnection) -> list[Row[Any]]:
            return list((await session.execute(statement)).all())

        return await self.database.transact(read)
