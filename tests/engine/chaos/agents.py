"""Simulated agents: they answer as the plan says, and otherwise vanish, come back, report twice, report late.

What they were told of each report is kept, to be compared with what the database holds.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import func, literal, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentRole
from app.domain.decisions import DecisionType
from app.domain.errors import HubError, NotFound, Unavailable
from app.services.agents import RegisterAgent, register_agent
from app.services.decisions import RecordDecision, record_decision
from app.services.quality_gates import DecideGate, ReviewGate, decide_gate, review_gate
from app.services.tasks import (
    ClaimTask,
    CompleteTask,
    FailTask,
    ReleaseTask,
    StartTask,
    claim_task,
    complete_task,
    fail_task,
    release_task,
    start_task,
)
from app.upkeep.stale_agents import sweep_stale_agents
from db.session import Database
from db.tables.agents import agent_reports
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from tests.engine.chaos.oracle import Prediction, predict
from tests.engine.chaos.plans import CAPABILITIES, MAX_FAILURES, Plan
from tests.engine.team import ADMIN, SEALER, Member, principal

MEMBERS = (
    Member("john-pm", AgentRole.PM, CAPABILITIES),
    Member("anna-arch", AgentRole.ARCHITECT, CAPABILITIES),
    Member("james-dev", AgentRole.DEVELOPER, CAPABILITIES),
    Member("jane-dev", AgentRole.DEVELOPER, CAPABILITIES),
    Member("quentin-qa", AgentRole.QA, CAPABILITIES),
    Member("ada-analyst", AgentRole.ANALYST, CAPABILITIES),
)
CONCURRENCY = 8
LOOK_SECONDS = 0.03
AWAY_SECONDS = 0.15
"""Between two tries of what the database did not answer."""
SILENCE = timedelta(seconds=100)

Result = TypeVar("Result")
Report = Callable[[AsyncConnection], Awaitable[Any]]


@dataclass
class Told:
    """What came of the reports on one task, by their marks: accepted, refused; of the others nobody heard."""

    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass
class Crew:
    """The agents of one round. `faults` counts what they did wrong, by kind; `calm` lets them do no more of it."""

    database: Database
    plans: Mapping[UUID, Plan]
    chance: random.Random
    faults: Counter[str]
    told: dict[UUID, Told] = field(default_factory=dict)
    calm: bool = False
    predictions: dict[UUID, Prediction] = field(default_factory=dict, init=False)
    _busy: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)
    _aside: set[asyncio.Task[None]] = field(default_factory=set)
    _errors: list[BaseException] = field(default_factory=list)

    async def register(self) -> None:
        """Register them all."""
        for member in MEMBERS:
            await self._register(member)

    async def work(self) -> None:
        """Give out what is pending, until it is cancelled; raises what no agent should meet."""
        try:
            while True:
                for row in await self._pending():
                    if row.task_id not in self._busy:
                        self._give_out(row)
                if self._errors:
                    raise self._errors[0]
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            left = [*self._busy.values(), *self._aside]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _pending(self) -> Sequence[Row[Any, Any]]:
        async def look(session: AsyncConnection) -> Sequence[Row[Any, Any]]:
            statement = select(tasks.c.task_id, tasks.c.required_role).where(tasks.c.status == "pending").limit(100)
            return (await session.execute(statement)).all()

        return await self._insist(look)

    def _give_out(self, row: Row[Any, Any]) -> None:
        fitting = [member for member in MEMBERS if row.required_role in (None, member.role.value)]
        work = asyncio.create_task(self._work_on(row.task_id, self.chance.choice(fitting)))
        self._busy[row.task_id] = work
        work.add_done_callback(lambda done: self._put_down(row.task_id, done))

    def _put_down(self, task_id: UUID, done: asyncio.Task[None]) -> None:
        del self._busy[task_id]
        self._note(done)

    def _note(self, done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self._errors.append(error)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        task.add_done_callback(self._note)

    async def _work_on(self, task_id: UUID, member: Member) -> None:
        who = principal(member)
        try:
            task = await self._insist(lambda session: claim_task(session, who, ClaimTask(member.agent_id, task_id)))
            if task is None or await self._vanishes(member, task, 0.02):
                return
            started = StartTask(task.task_id, task.version)
            task = await self._insist(lambda session: start_task(session, who, started))
        except HubError:
            # somebody else has it, or has taken it back; or an earlier try was kept though nobody heard of it
            await self._give_back(member, task_id)
            return
        await asyncio.sleep(self.chance.uniform(0.2, 0.6) if self._does(0.03, "slow agent") else 0.005)
        if await self._vanishes(member, task, 0.03):
            return
        if self._does(0.03, "task given back"):
            await self._give_back(member, task_id)
            return
        await self._answer(member, task)

    async def _answer(self, member: Member, task: Row[Any]) -> None:
        """Report once, or twice at once, or again a little later; in the same words, as a client does."""
        report = await self._report(member, task)
        if report is None:
            return
        if self._does(0.08, "report doubled at once"):
            await asyncio.gather(self._send(task, *report), self._send(task, *await self._again(member, task, report)))
            return
        await self._send(task, *report)
        if self._does(0.08, "report repeated later"):
            self._later(self._send_late(task, await self._again(member, task, report)))

    async def _again(self, member: Member, task: Row[Any], report: tuple[str, Report]) -> tuple[str, Report]:
        """The same report by a mark of its own, so that it can be told apart in what is stored."""
        return await self._report(member, task) or report

    async def _vanishes(self, member: Member, task: Row[Any], share: float) -> bool:
        """Be gone with the task at hand, and come back as a new session; the old one may still report, too late."""
        if not self._does(share, "agent vanished"):
            return False
        report = await self._report(member, task) if task.status == "running" else None
        self._later(self._come_back(member, task, report))
        return True

    async def _come_back(self, member: Member, task: Row[Any], report: tuple[str, Report] | None) -> None:
        await asyncio.sleep(self.chance.uniform(0.05, 0.6))
        if self.chance.random() < 0.5:
            self.faults["agent taken offline"] += 1
            await self._fall_silent(member)
        await self._register(member)
        if report is not None:
            self.faults["report too late"] += 1
            await self._send_late(task, report)

    async def _fall_silent(self, member: Member) -> None:
        shifted = update(agent_reports).where(agent_reports.c.agent_id == member.agent_id)
        values = {"last_activity": func.clock_timestamp() - literal(SILENCE)}
        await self._insist(lambda session: session.execute(shifted.values(**values)))
        try:
            await sweep_stale_agents(self.database)
        except Unavailable:
            # it comes back unnoticed
            return

    async def _register(self, member: Member) -> None:
        command = RegisterAgent(member.agent_id, member.role, capabilities=member.capabilities, concurrency=CONCURRENCY)
        await self._insist(lambda session: register_agent(session, ADMIN, command))

    async def _give_back(self, member: Member, task_id: UUID) -> None:
        async def release(session: AsyncConnection) -> None:
            held = select(tasks).where(tasks.c.task_id == task_id, tasks.c.assigned_agent_id == member.agent_id)
            row = (await session.execute(held.where(tasks.c.status.in_(("assigned", "running"))))).first()
            if row is not None:
                await release_task(session, principal(member), ReleaseTask(task_id, row.version, "not today"))

        try:
            await self._insist(release)
        except HubError:
            # taken from it in the meantime
            return

    async def _send_late(self, task: Row[Any], report: tuple[str, Report]) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, 0.8))
        await self._send(task, *report)

    async def _send(self, task: Row[Any], mark: str, report: Report) -> None:
        """Report until there is an answer, and keep what it was."""
        told = self.told.setdefault(task.task_id, Told())
        heard = True
        while True:
            try:
                await self.database.transact(report)
            except Unavailable:
                # it may have been stored all the same: a refusal of the next try says nothing about this one
                heard = False
                await asyncio.sleep(AWAY_SECONDS)
            except HubError:
                if heard:
                    told.refused.append(mark)
                return
            else:
                told.accepted.append(mark)
                return

    async def _insist(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        while True:
            try:
                return await self.database.transact(work)
            except Unavailable:
                await asyncio.sleep(AWAY_SECONDS)

    def _does(self, share: float, fault: str) -> bool:
        if self.calm or self.chance.random() >= share:
            return False
        self.faults[fault] += 1
        return True

    # what is reported

    async def _report(self, member: Member, task: Row[Any]) -> tuple[str, Report] | None:
        """The answer to a task with the mark by which it is known again; None when nothing more is asked."""
        plan, who, mark = self.plans[task.execution_id], principal(member), uuid4().hex
        key = (task.phase, task.phase_attempt, task.task_name)
        if task.failures < self._failures(plan, task):
            failed = FailTask(task.task_id, task.version, mark)
            return mark, lambda session: fail_task(session, who, failed)
        if task.task_kind == "work":
            done = CompleteTask(task.task_id, task.version, {**plan.result(*key), "mark": mark})
            return mark, lambda session: complete_task(session, who, done)
        if task.task_kind == "review":
            review = ReviewGate(task.gate_id, plan.advice(*key), Decimal(7), mark, task.task_id, task.version)
            return mark, lambda session: review_gate(session, who, review)
        if task.gate_id is not None:
            verdict = await self._verdict(plan, task, mark)
            return mark, lambda session: decide_gate(session, who, verdict, SEALER)
        decision = RecordDecision(
            DecisionType.TASK_ASSIGNMENT, {}, "because", mark, 9, task_id=task.task_id, expected_version=task.version
        )
        return mark, lambda session: record_decision(session, who, decision, SEALER)

    def _failures(self, plan: Plan, task: Row[Any]) -> int:
        key = (task.phase, task.phase_attempt, task.task_name)
        if task.task_kind == "review":
            return plan.review_failures(*key)
        return self._failures_of_pass(plan, task).get(
            task.task_name, plan.failures(*key, task.max_failures if task.task_kind == "work" else MAX_FAILURES)
        )

    def _failures_of_pass(self, plan: Plan, task: Row[Any]) -> Mapping[str, int]:
        """What the oracle has of the tasks of a pass: a parallel phase that is retried goes by the pass before."""
        if task.execution_id not in self.predictions:
            self.predictions[task.execution_id] = predict(plan)
        return self.predictions[task.execution_id].tasks.get((task.phase, task.phase_attempt), {})

    async def _verdict(self, plan: Plan, task: Row[Any], mark: str) -> DecideGate:
        given = task.input["gate"]
        attempt = await self._insist(lambda session: made_by_attempt(session, task.gate_id))
        verdict = plan.verdict(task.phase, attempt, given["revision"])
        return DecideGate(task.gate_id, verdict, given["version"], mark, 8, task_id=task.task_id)


async def made_by_attempt(session: AsyncConnection, gate_id: UUID) -> int:
    """The attempt at its phase that made the gate."""
    statement = select(quality_gates.c.phase_attempt).where(quality_gates.c.gate_id == gate_id)
    found = (await session.execute(statement)).scalar()
    if found is None:
        raise NotFound("quality gate", gate_id, "input.gateId")
    return int(found)
