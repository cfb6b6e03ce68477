"""The data that reads are measured on: what a team of agents leaves behind in some months, the same at every run.

Each workflow has three gates and four tasks, each task an agent and a model assignment. Ids are UUIDs of version 7, as
the hub makes them, so that the newest rows have the greatest ids. All points in time are whole seconds: PostgreSQL and
Python then write them alike. Measurements come every five seconds, each of some agent. Events come with the benchmarks
that read them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Table

from app.domain.agents import AgentRole, AgentStatus
from app.domain.metrics import AlertLevel
from app.domain.model_assignments import AssignmentReason, AssignmentStatus, Provider
from app.domain.quality_gates import ApprovalStatus, GateType
from app.domain.tasks import TaskStatus
from app.domain.workflows import ExecutionStatus, TriggerType
from db.partitions import make_partitions
from db.session import Database
from db.tables.agents import agent_reports, agents
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_templates

SEED = 2026
LATEST = datetime(2026, 11, 1, 12, tzinfo=UTC)
"""When the newest workflow was started."""
BETWEEN = timedelta(seconds=390)
"""From one workflow to the next: 20,000 of them take 90 days."""
MEASURED_EVERY = timedelta(seconds=5)
"""From one measurement to the next: 1,000,000 of them take 58 days."""
ALIVE = timedelta(days=1)
"""How far ahead agents last reported, so that upkeep finds none of them silent while the benchmark runs."""

TEMPLATE = {"template_name": "feature-delivery", "template_version": 1}
PHASES = ("design", "build", "test", "report")
MODELS = {
    Provider.CLAUDE_CODE: "claude-sonnet-4",
    Provider.ANTHROPIC_CLAUDE: "claude-opus-4",
    Provider.ZAI_GLM: "glm-4.5",
}
CAPABILITIES = ("python", "sql", "graphql", "typescript", "testing", "security", "writing", "profiling")
FIRST_NAMES = ("James", "Maria", "Wei", "Amara", "Luca", "Ines", "Tom", "Aiko", "Noor", "Felix")

Values = dict[str, Any]
Member = TypeVar("Member", bound=StrEnum)


@dataclass(frozen=True)
class Size:
    """How many rows there are; tasks are as many as assignments."""

    agents: int = 500
    workflows: int = 20_000
    gates_each: int = 3
    assignments_each: int = 4
    metrics: int = 1_000_000


async def seed(url: str, size: Size, console: Console) -> None:
    """Fill the migrated, empty database, then vacuum and analyse it. Raises the driver's errors."""
    await _make_partitions(url)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    connection = await asyncpg.connect(url)
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", format="binary", encoder=_jsonb, decoder=lambda value: orjson.loads(value[1:])
        )
        with Progress(*columns, console=console) as progress:
            for table, count, rows in _tables(size):
                bar = progress.add_task(f"Seeding {table.name}", total=count)
                await _copy(connection, table, progress.track(rows, task_id=bar, total=count))
            bar = progress.add_task("Vacuum, analyse, checkpoint", total=2)
            for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
                await connection.execute(statement)
                progress.advance(bar)
    finally:
        await connection.close()


async def _make_partitions(url: str) -> None:
    """Those that the data need: the hub's own begin 90 days before now, which may be any time."""
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            await make_partitions(connection, LATEST)
    finally:
        await database.close()


def _jsonb(value: Any) -> bytes:
    # the version of the binary format comes first
    return b"\x01" + orjson.dumps(value)


async def _copy(connection: "asyncpg.Connection[Any]", table: Table, rows: Iterable[Values]) -> None:
    rows = iter(rows)
    first = next(rows)
    unknown = first.keys() - table.columns.keys()
    if unknown:
        raise LookupError(f"{table.name} has no columns {unknown}")
    records = (tuple(row.values()) for row in _with_first(first, rows))
    await connection.copy_records_to_table(table.name, columns=list(first), records=records)


def _with_first(first: Values, others: Iterator[Values]) -> Iterator[Values]:
    yield first
    yield from others


def _tables(size: Size) -> Iterator[tuple[Table, int, Iterator[Values]]]:
    """Each table with the number of its rows and the rows, in the order that foreign keys call for."""
    each: Callable[[Callable[[Workflow], Iterator[Values]]], Iterator[Values]] = partial(_of_each, size)
    yield workflow_templates, 1, iter([{**TEMPLATE, "description": "For the benchmark.", "spec": {}}])
    yield agents, size.agents, map(_agent, range(size.agents))
    yield agent_reports, size.agents, map(_report, range(size.agents))
    yield workflow_executions, size.workflows, each(_execution)
    yield quality_gates, size.workflows * size.gates_each, each(_gates)
    yield tasks, size.workflows * size.assignments_each, each(_tasks)
    yield model_assignments, size.workflows * size.assignments_each, each(_assignments)
    yield resource_metrics, size.metrics, _metrics(size)


@dataclass(frozen=True)
class Workflow:
    """One workflow of the data: its number, oldest first, and what follows from it."""

    number: int
    size: Size

    @property
    def started_at(self) -> datetime:
        return LATEST - (self.size.workflows - 1 - self.number) * BETWEEN

    @property
    def is_open(self) -> bool:
        """The last hundred workflows are still under way."""
        return self.number >= self.size.workflows - 100

    @property
    def execution_id(self) -> UUID:
        return made_id("execution", self.number, self.started_at)

    def part_id(self, kind: str, index: int) -> UUID:
        """The id of its gate, task or assignment; later ones have greater ids."""
        return made_id(f"{kind}-{index}", self.number, self.started_at + timedelta(minutes=index + 1))

    def chance(self, kind: str, index: int = 0) -> Random:
        """Dice of this one part, so that no table depends on the order in which others are made."""
        return Random(f"{SEED} {kind} {self.number} {index}")  # noqa: S311

    def assigned_agent(self, index: int) -> str:
        return agent_id(self.chance("agent", index).randrange(self.size.agents))


def made_id(kind: str, number: int, moment: datetime) -> UUID:
    """A UUID of version 7 for this moment, always the same for the same arguments."""
    return _uuid7(moment, Random(f"{SEED} id {kind} {number}").getrandbits(74))  # noqa: S311


def agent_id(number: int) -> str:
    """The id of an agent by its number from 0."""
    return f"{FIRST_NAMES[number % len(FIRST_NAMES)].lower()}-{_role(number)}-{number:03}"


def _uuid7(moment: datetime, noise: int) -> UUID:
    """The UUID of this moment with 74 bits of noise."""
    millisecond = int(moment.timestamp() * 1000)
    high = millisecond << 16 | 0x7000 | noise >> 62
    return UUID(int=high << 64 | 0b10 << 62 | noise & (1 << 62) - 1)


def _of_each(size: Size, make: Callable[[Workflow], Iterator[Values]]) -> Iterator[Values]:
    for number in range(size.workflows):
        yield from make(Workflow(number, size))


def _role(number: int) -> AgentRole:
    return list(AgentRole)[number % len(AgentRole)]


def _agent(number: int) -> Values:
    chance = Random(f"{SEED} agent {number}")  # noqa: S311
    return {
        "agent_id": agent_id(number),
        "agent_name": f"{FIRST_NAMES[number % len(FIRST_NAMES)]} ({_role(number)})",
        "agent_role": _role(number).value,
        "status": _pick(chance, {AgentStatus.IDLE: 5, AgentStatus.ACTIVE: 3, AgentStatus.BUSY: 2}),
        "capabilities": sorted(chance.sample(CAPABILITIES, 3)),
        "concurrency": chance.randint(1, 4),
        "created_at": LATEST - timedelta(days=100),
        "updated_at": LATEST,
    }


def _report(number: int) -> Values:
    return {
        "agent_id": agent_id(number),
        "resource_utilization": {"cpu_percent": number % 100, "memory_mb": 100 + number},
        "last_activity": datetime.now(UTC).replace(microsecond=0) + ALIVE,
    }


def _execution(workflow: Workflow) -> Iterator[Values]:
    chance = workflow.chance("execution")
    ended = _pick(chance, {ExecutionStatus.COMPLETED: 8, ExecutionStatus.FAILED: 1, ExecutionStatus.CANCELLED: 1})
    started_at = workflow.started_at
    took = timedelta(seconds=chance.randint(600, 7200))
    yield {
        "execution_id": workflow.execution_id,
        "workflow_name": TEMPLATE["template_name"],
        "template_version": TEMPLATE["template_version"],
        "execution_status": ExecutionStatus.RUNNING.value if workflow.is_open else ended,
        "trigger_type": chance.choice(list(TriggerType)).value,
        "triggered_by": agent_id(0),
        "input_context": {"request": f"Deliver feature {workflow.number}", "priority": chance.randint(1, 5)},
        "current_phase": chance.choice(PHASES),
        "started_at": started_at,
        "completed_at": None if workflow.is_open else started_at + took,
        "last_activity": started_at + took,
        # nothing to do for a worker
        "wake_seq": 1,
        "handled_seq": 1,
        "version": chance.randint(2, 12),
        "created_at": started_at,
        "updated_at": started_at + took,
    }


def _gates(workflow: Workflow) -> Iterator[Values]:
    for index in range(workflow.size.gates_each):
        chance = workflow.chance("gate", index)
        status = _pick(chance, _GATE_STATUSES if workflow.is_open else {ApprovalStatus.APPROVED: 1})
        decided = status in (ApprovalStatus.APPROVED, ApprovalStatus.REJECTED)
        created_at = workflow.started_at + timedelta(minutes=index + 1)
        at = created_at + timedelta(seconds=chance.randint(60, 3600)) if decided else None
        kind = list(GateType)[(workflow.number + index) % len(GateType)]
        yield {
            "gate_id": workflow.part_id("gate", index),
            "gate_name": kind.replace("_", " ").capitalize(),
            "workflow_execution_id": workflow.execution_id,
            "phase": f"gate-{index}",
            "gate_type": kind.value,
            "automated_checks": [{"name": "coverage", "measured": chance.randint(60, 100), "passed": True}],
            "approval_status": status,
            "pm_decision": "The measured values are within the limits." if decided else None,
            "quality_score": Decimal(chance.randint(100, 1000)) / 100 if decided else None,
            "reviewed_at": at,
            "approved_at": at if status == ApprovalStatus.APPROVED else None,
            "created_at": created_at,
            "updated_at": at or created_at,
        }


_GATE_STATUSES = {
    ApprovalStatus.APPROVED: 4,
    ApprovalStatus.PENDING: 2,
    ApprovalStatus.IN_REVIEW: 2,
    ApprovalStatus.REJECTED: 1,
    ApprovalStatus.REQUIRES_REVISION: 1,
}


def _tasks(workflow: Workflow) -> Iterator[Values]:
    for index in range(workflow.size.assignments_each):
        begun = workflow.started_at + timedelta(minutes=index + 1)
        ended = None if workflow.is_open else begun + timedelta(minutes=20)
        yield {
            "task_id": workflow.part_id("task", index),
            "execution_id": workflow.execution_id,
            "phase": PHASES[index % len(PHASES)],
            "task_name": f"task-{index}",
            "phase_attempt": 1,
            "title": f"{PHASES[index % len(PHASES)].capitalize()} feature {workflow.number}",
            "status": (TaskStatus.RUNNING if workflow.is_open else TaskStatus.COMPLETED).value,
            "complexity": workflow.chance("complexity", index).randint(1, 10),
            "assigned_agent_id": workflow.assigned_agent(index),
            "result": None if workflow.is_open else {"text": "done"},
            "attempts": 1,
            "started_at": begun,
            "completed_at": ended,
            "created_at": begun,
            "updated_at": ended or begun,
        }


def _assignments(workflow: Workflow) -> Iterator[Values]:
    for index in range(workflow.size.assignments_each):
        chance = workflow.chance("assignment", index)
        provider = chance.choice(list(Provider))
        begun = workflow.started_at + timedelta(minutes=index + 1)
        milliseconds = chance.randint(2_000, 900_000)
        completed = not workflow.is_open or chance.random() < 0.5
        ended = begun + timedelta(seconds=milliseconds // 1000) if completed else None
        yield {
            "assignment_id": workflow.part_id("assignment", index),
            "agent_id": workflow.assigned_agent(index),
            "task_id": workflow.part_id("task", index),
            "execution_id": workflow.execution_id,
            "provider_name": provider.value,
            "model_name": MODELS[provider],
            "assignment_reason": chance.choice(list(AssignmentReason)).value,
            "task_complexity": workflow.chance("complexity", index).randint(1, 10),
            "estimated_cost": Decimal(chance.randint(1, 5_000_000)) / 1_000_000,
            "actual_cost": Decimal(chance.randint(1, 5_000_000)) / 1_000_000 if completed else None,
            "performance_score": Decimal(chance.randint(100, 1000)) / 100 if completed else None,
            "processing_time": milliseconds if completed else None,
            "tokens_used": chance.randint(500, 200_000) if completed else None,
            "assignment_status": (AssignmentStatus.COMPLETED if completed else AssignmentStatus.ACTIVE).value,
            "completed_at": ended,
            "created_at": begun,
            "updated_at": ended or begun,
        }


def _pick(chance: Random, weights: Mapping[Member, int]) -> str:
    return chance.choices([member.value for member in weights], list(weights.values()))[0]


def _metrics(size: Size) -> Iterator[Values]:
    """Oldest first. One sequence of dice for all of them, and figures made once: a million rows take ten seconds."""
    chance = Random(f"{SEED} metrics")  # noqa: S311
    names = [agent_id(number) for number in range(size.agents)]
    for number in range(size.metrics):
        at = LATEST - (size.metrics - 1 - number) * MEASURED_EVERY
        load = chance.randrange(len(_HUNDREDTHS))
        yield {
            "metric_id": _uuid7(at, chance.getrandbits(74)),
            "measurement_time": at,
            "agent_id": names[number * 7 % size.agents],
            "cpu_usage": _HUNDREDTHS[load],
            "memory_usage": 256 + load,
            "response_time": load // 10,
            "error_rate": _HUNDREDTHS[load // 20],
            "alert_level": (AlertLevel.NORMAL if load < _MUCH else AlertLevel.WARNING).value,
            "created_at": at,
        }


_HUNDREDTHS = [Decimal(number) / 100 for number in range(10_001)]
_MUCH = 9_000
