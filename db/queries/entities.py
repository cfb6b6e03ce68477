"""Entities as the write path sees them: table, key, status and machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

from app.domain.agents import AGENT_MACHINE
from app.domain.events import Aggregate
from app.domain.machines import Machine
from app.domain.model_assignments import ASSIGNMENT_MACHINE
from app.domain.quality_gates import GATE_MACHINE
from app.domain.schedules import SCHEDULE_MACHINE
from app.domain.tasks import TASK_MACHINE
from app.domain.workflows import EXECUTION_MACHINE
from db.tables.access import api_tokens
from db.tables.agents import agents
from db.tables.decisions import decisions
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions, workflow_schedules


@dataclass(frozen=True, eq=False)
class Entity:
    """A versioned row with an event stream. `kind` is its name in messages."""

    kind: str
    aggregate: Aggregate
    table: Table
    key_name: str
    status_name: str | None = None
    machine: Machine[Any] | None = None

    @property
    def key(self) -> Column[Any]:
        """The primary key column."""
        return self.table.c[self.key_name]

    @property
    def argument(self) -> str:
        """What a mutation about the entity calls its id, in the API's spelling: `agentId`."""
        first, *others = self.key_name.split("_")
        return first + "".join(word.title() for word in others)


AGENT = Entity("agent", Aggregate.AGENT, agents, "agent_id", "status", AGENT_MACHINE)
TASK = Entity("task", Aggregate.TASK, tasks, "task_id", "status", TASK_MACHINE)
DECISION = Entity("decision", Aggregate.DECISION, decisions, "decision_id")
EXECUTION = Entity(
    "workflow execution",
    Aggregate.WORKFLOW,
    workflow_executions,
    "execution_id",
    "execution_status",
    EXECUTION_MACHINE,
)
ASSIGNMENT = Entity(
    "model assignment",
    Aggregate.MODEL_ASSIGNMENT,
    model_assignments,
    "assignment_id",
    "assignment_status",
    ASSIGNMENT_MACHINE,
)
GATE = Entity("quality gate", Aggregate.QUALITY_GATE, quality_gates, "gate_id", "approval_status", GATE_MACHINE)
SCHEDULE = Entity(
    "schedule", Aggregate.SCHEDULE, workflow_schedules, "schedule_id", "schedule_status", SCHEDULE_MACHINE
)
API_TOKEN = Entity("API token", Aggregate.API_TOKEN, api_tokens, "token_id")

BY_AGGREGATE: Mapping[Aggregate, Entity] = {
    entity.aggregate: entity for entity in (AGENT, TASK, DECISION, EXECUTION, ASSIGNMENT, GATE, SCHEDULE, API_TOKEN)
}
"""What has versions; measurements have none."""
