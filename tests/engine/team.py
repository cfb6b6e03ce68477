"""Simulated agents: they claim and answer tasks through the services, as a script of answers says."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.engine import Row

from app.domain.agents import AgentRole
from app.domain.decisions import DecisionType
from app.domain.errors import StaleVersion
from app.domain.principals import Principal, Role
from app.domain.quality_gates import ApprovalStatus, ReviewVerdict
from app.domain.templates import parse_template
from app.security.sealing import Sealer
from app.services.agents import RegisterAgent, register_agent
from app.services.decisions import RecordDecision, record_decision
from app.services.quality_gates import DecideGate, ReviewGate, decide_gate, review_gate
from app.services.tasks import (
    ClaimTask,
    CompleteTask,
    FailTask,
    StartTask,
    claim_task,
    complete_task,
    fail_task,
    start_task,
)
from app.services.template_sources import spec_of
from app.services.workflows import StartWorkflow, start_workflow
from db.queries.catalogue import store_spec
from db.session import Database
from db.tables.events import event_log
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors, workflow_executions, workflow_steps

ADMIN = Principal("ann", Role.ADMIN)
SEALER = Sealer(bytes(range(32)))
ENDED = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Fail:
    """An answer: the work did not succeed."""

    reason: str = "it broke"


Answer = Callable[[Row[Any]], Any]
"""A task → its result, or `Fail`. For decisions and reviews the fields of the answer, `{}` for the usual ones."""


def constant(answer: Any) -> Answer:
    """The same answer to every task."""
    return lambda _task: answer


@dataclass(frozen=True)
class Member:
    """One agent."""

    agent_id: str
    role: AgentRole
    capabilities: tuple[str, ...] = ()


AUDITORS = (
    Member("john-pm", AgentRole.PM),
    Member("lena-lint", AgentRole.QA, ("lint",)),
    Member("tara-types", AgentRole.QA, ("types",)),
    Member("sam-size", AgentRole.ANALYST, ("size", "report")),
)
BUILDERS = (
    Member("john-pm", AgentRole.PM),
    Member("anna-arch", AgentRole.ARCHITECT),
    Member("james-dev", AgentRole.DEVELOPER),
    Member("jane-dev", AgentRole.DEVELOPER),
    Member("quentin-qa", AgentRole.QA),
)
HEALTHY: dict[str, dict[str, Any]] = {
    "lint": {"tool": "ruff", "findings": 2, "files": 40, "by_rule": {"E501": 2}},
    "types": {"tool": "mypy", "errors": 0, "files": 40},
    "size": {
        "tool": "size",
        "files": 40,
        "lines": 5_000,
        "longest_file_lines": 390,
        "functions": 400,
        "longest_function_lines": 50,
        "complex_functions": 1,
    },
    "report": {"tool": "report", "markdown": "# Fine"},
}


@dataclass
class Team:
    """Agents and how they answer. `seen` holds every task that was answered, as it was given."""

    database: Database
    members: Sequence[Member]
    answers: Mapping[str, Answer] = field(default_factory=dict)
    default: Answer = lambda task: {"done": task.task_name}
    seen: list[Row[Any]] = field(default_factory=list)

    async def register(self) -> None:
        for member in self.members:
            command = RegisterAgent(member.agent_id, member.role, capabilities=member.capabilities)
            await self.database.transact(lambda session: register_agent(session, ADMIN, command))  # noqa: B023

    async def work(self) -> int:
        """Answer everything that can be claimed now; how many tasks that was."""
        answered = 0
        for member in self.members:
            while await self._work_as(member):
                answered += 1
        return answered

    async def _work_as(self, member: Member) -> bool:
        who = principal(member)
        task = await self.database.transact(lambda session: claim_task(session, who, ClaimTask(member.agent_id)))
        if task is None:
            return False
        await self.do(member, task)
        return True

    async def do(self, member: Member, task: Row[Any]) -> None:
        """Start a task that the member has claimed, and answer it, unless it was cancelled meanwhile."""
        who = principal(member)
        command = StartTask(task.task_id, task.version)
        try:
            task = await self.database.transact(lambda session: start_task(session, who, command))
        except StaleVersion:
            return
        self.seen.append(task)
        await self._answer(who, task, self.answers.get(task.task_name, self.default)(task))

    async def _answer(self, who: Principal, task: Row[Any], answer: Any) -> None:
        if isinstance(answer, Fail):
            failed = FailTask(task.task_id, task.version, answer.reason)
            await self.database.transact(lambda session: fail_task(session, who, failed))
        elif task.task_kind == "work":
            done = CompleteTask(task.task_id, task.version, answer)
            await self.database.transact(lambda session: complete_task(session, who, done))
        elif task.task_kind == "review":
            advice = ReviewVerdict(answer.get("verdict", "approve"))
            feedback = answer.get("feedback", "well made")
            review = ReviewGate(task.gate_id, advice, Decimal(8), feedback, task.task_id, task.version)
            await self.database.transact(lambda session: review_gate(session, who, review))
        elif task.gate_id is not None:
            given = task.input["gate"]
            verdict = ApprovalStatus(answer.get("verdict", "approved"))
            said = str(answer.get("outcome", "the checks passed"))
            hints = str(answer.get("suggestions", ""))
            decided = DecideGate(
                task.gate_id, verdict, given["version"], said, 8, improvement_suggestions=hints, task_id=task.task_id
            )
            await self.database.transact(lambda session: decide_gate(session, who, decided, SEALER))
        else:
            decision = RecordDecision(
                DecisionType.TASK_ASSIGNMENT, task.input, "because", "go on", 9, task_id=task.task_id,
                expected_version=task.version,
            )  # fmt: skip
            await self.database.transact(lambda session: record_decision(session, who, decision, SEALER))


def principal(member: Member) -> Principal:
    return Principal(member.agent_id, Role.PM if member.role is AgentRole.PM else Role.AGENT, member.agent_id)


async def start(database: Database, name: str, context: Mapping[str, Any] | None = None) -> UUID:
    """Start an execution; its id."""
    command = StartWorkflow(name, context or {"path": "/tree"})
    row = await database.transact(lambda session: start_workflow(session, ADMIN, command))
    execution_id: UUID = row.execution_id
    return execution_id


async def human_verdict(
    database: Database, execution_id: UUID, phase: str, verdict: ApprovalStatus, said: str = "I looked at it"
) -> None:
    """A person's verdict on the latest gate of the phase."""
    gate = (await gates_of(database, execution_id, phase))[-1]
    command = DecideGate(gate.gate_id, verdict, gate.version, said, 10)
    await database.transact(lambda session: decide_gate(session, ADMIN, command, SEALER))


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Await `condition()` again and again until it returns something true; that."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):  # noqa: ASYNC110  (what is awaited happens in the database)
            await asyncio.sleep(0.01)
    return found


async def play(team: Team, execution_id: UUID, until_phase: str | None = None, seconds: float = 30.0) -> Row[Any]:
    """Let the team work until the execution has ended, or a gate of `until_phase` is in review; the execution."""

    async def over() -> Row[Any] | None:
        await team.work()
        row = await execution_of(team.database, execution_id)
        if row.execution_status in ENDED:
            return row
        if until_phase is not None and row.current_phase == until_phase:
            gates = await gates_of(team.database, execution_id, until_phase)
            if gates and gates[-1].approval_status == "in_review":
                return row
        return None

    row: Row[Any] = await until(over, seconds)
    return row


async def rows_of(database: Database, statement: Any) -> list[Row[Any]]:
    async with database.snapshot() as session:
        return list((await session.execute(statement)).all())


async def execution_of(database: Database, execution_id: UUID) -> Row[Any]:
    table = workflow_executions
    return (await rows_of(database, select(table).where(table.c.execution_id == execution_id)))[0]


async def steps_of(database: Database, execution_id: UUID) -> list[Row[Any]]:
    table = workflow_steps
    return await rows_of(
        database, select(table).where(table.c.execution_id == execution_id).order_by(table.c.step_number)
    )


async def path_of(database: Database, execution_id: UUID) -> list[tuple[int, str, int, str]]:
    """Number, phase, attempt and status of each step."""
    steps = await steps_of(database, execution_id)
    return [(step.step_number, step.phase, step.attempt, step.step_status) for step in steps]


async def tasks_of(database: Database, execution_id: UUID) -> list[Row[Any]]:
    return await rows_of(database, select(tasks).where(tasks.c.execution_id == execution_id).order_by(tasks.c.task_id))


async def gates_of(database: Database, execution_id: UUID, phase: str) -> list[Row[Any]]:
    table = quality_gates
    return await rows_of(
        database,
        select(table)
        .where(table.c.workflow_execution_id == execution_id, table.c.phase == phase)
        .order_by(table.c.gate_id),
    )


async def errors_of(database: Database, execution_id: UUID) -> list[Row[Any]]:
    table = workflow_errors
    return await rows_of(database, select(table).where(table.c.execution_id == execution_id).order_by(table.c.error_id))


async def events_of(database: Database, entity_id: object) -> list[str]:
    """The types of the entity's events, in their order."""
    rows = await rows_of(
        database,
        select(event_log.c.event_type)
        .where(event_log.c.entity_id == str(entity_id))
        .order_by(event_log.c.xid, event_log.c.id),
    )
    return [row.event_type for row in rows]


async def count(database: Database, table: Any) -> int:
    return int((await rows_of(database, select(func.count()).select_from(table)))[0][0])


TABLES = ("checkpoints", "checkpoint_writes", "checkpoint_blobs")


async def stored(database: Database) -> list[int]:
    """How many rows the tables of the checkpoints have."""
    sql = "SELECT " + ", ".join(f"(SELECT count(*) FROM langgraph.{table})" for table in TABLES)  # noqa: S608
    return list((await rows_of(database, text(sql)))[0])


async def store_template(
    database: Database, name: str, *phases: Mapping[str, Any], version: int = 1, **given: Any
) -> None:
    """Store a template of these phases, as version 1 unless another is named."""
    template = parse_template({"name": name, "description": "For a test.", "phases": list(phases), **given}, name)
    await database.transact(lambda session: store_spec(session, name, version, "For a test.", spec_of(template)))


def task_phase(name: str, **spec: Any) -> dict[str, Any]:
    """A phase of one task, which has the phase's name."""
    return {"name": name, "kind": "task", "task": {"name": name, "title": f"Do {name}", **spec}}
