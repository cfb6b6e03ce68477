"""Decisions of the PM and what they rest on."""

from datetime import datetime

import strawberry

from app.domain.decisions import DecisionType, SealedAccess
from db.tables.decisions import decision_evidence, decisions
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_executions
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import (
    AgentRef,
    Assignments,
    DecisionRef,
    Evidence,
    ExecutionRef,
    Executions,
    GateRef,
    Gates,
    Tasks,
)
from graphql_schema.decisions.sealing import sealed_access, sealed_reason
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, rising
from graphql_schema.planner.fields import column, group, judged, many, one, sealed
from graphql_schema.planner.fills import SealedAs
from graphql_schema.scalars import JSON

DECISION = decisions.c
EVIDENCE = decision_evidence.c
ASSIGNMENT = model_assignments.c
GATE = quality_gates.c
TASK = tasks.c
EXECUTION = workflow_executions.c

SEALED_FOR = "Sealed: read by PM and ADMIN; null for every other role and once its key was destroyed, see `sealed`."


@strawberry.type(description="Whether you can read `contextData` and `reasoningProcess`, and if not, why.")
class SealedFields:
    access: SealedAccess = judged(sealed_access, description="Whether you can.")
    reason: str | None = judged(sealed_reason, description="Why you cannot, in words; null where you can.")


@strawberry.type(
    description="A decision of the PM with its reasons and its confidence. Recorded by `decisionRecord`, or together "
    "with the verdict on a quality gate; afterwards only notes are added, or what is sealed of it is erased."
)
class PMDecisionContext(Node):
    __entity__ = Entity(decisions, (DECISION.decision_id,))

    decision_id: strawberry.ID = column(DECISION.decision_id, description="The decision's UUID.")
    decision_type: DecisionType = column(DECISION.decision_type, description="What the decision is about.")
    context_data: JSON | None = sealed(
        DECISION.context_data_sealed,
        key=DECISION.sealed_key,
        name="context_data",
        sealed_as=SealedAs.JSON,
        description=f"All that the decision was made on, any JSON value. {SEALED_FOR}",
    )
    reasoning_process: str | None = sealed(
        DECISION.reasoning_process_sealed,
        key=DECISION.sealed_key,
        name="reasoning_process",
        sealed_as=SealedAs.TEXT,
        description=f"The reasoning, step by step. {SEALED_FOR}",
    )
    sealed: SealedFields = group(
        description="Whether you can read `contextData` and `reasoningProcess`, and if not, why they are null."
    )
    outcome: str = column(DECISION.outcome, description="What was decided.")
    confidence_score: int = column(
        DECISION.confidence_score, description="How sure the PM was, from 1 (a guess) to 10 (certain)."
    )
    agent_assignments: JSON = column(
        DECISION.agent_assignments, description="Which agents get which tasks, an object; `{}` when none."
    )
    resource_optimization: JSON = column(
        DECISION.resource_optimization, description="What was decided about resources, an object; `{}` when nothing."
    )
    learning_notes: str = column(DECISION.learning_notes, description="What to remember for later; may be empty.")
    decided_by: str = column(
        DECISION.decided_by, description="Who decided: the name of the token with which it was recorded."
    )
    agent_id: strawberry.ID | None = column(
        DECISION.agent_id, description="The id of the agent that decided; null when a person did."
    )
    execution_id: strawberry.ID | None = column(
        DECISION.execution_id,
        description="The UUID of the workflow execution that called for the decision; null when none did.",
    )
    version: int = column(DECISION.version, description="Rises by one with each change.")
    created_at: datetime = column(DECISION.created_at, description="When it was recorded.")
    updated_at: datetime = column(DECISION.updated_at, description="When it last changed.")

    agent: AgentRef | None = one(DECISION.agent_id, description="The agent that decided; null when a person did.")
    execution: ExecutionRef | None = one(
        DECISION.execution_id, description="The workflow execution that called for the decision; null when none did."
    )
    workflows: Executions = many(
        EXECUTION.decision_id, description="The workflow executions that the decision caused, newest first."
    )
    tasks: Tasks = many(TASK.decision_id, description="The tasks that the decision was broken down into, newest first.")
    quality_gates: Gates = many(
        GATE.requested_by_decision_id, description="The quality gates that the decision asked for, newest first."
    )
    verdict_on: GateRef | None = one(
        GATE.decision_id, description="The quality gate that this is the verdict on; null for other decisions."
    )
    model_assignments: Assignments = many(
        ASSIGNMENT.decision_id, description="The model assignments that the decision made, newest first."
    )
    evidence: Evidence = many(
        EVIDENCE.decision_id,
        order=rising(EVIDENCE.evidence_id),
        description="The figures that the decision rests on, in the order in which they were given.",
    )


@strawberry.type(
    description="Figures of an agent or an execution over an interval, kept as they were when the decision was taken; "
    "metrics live shorter."
)
class DecisionEvidence(Node):
    __entity__ = Entity(decision_evidence, (EVIDENCE.evidence_id,))

    evidence_id: strawberry.ID = column(EVIDENCE.evidence_id, description="The evidence's UUID.")
    decision_id: strawberry.ID = column(EVIDENCE.decision_id, description="The UUID of the decision that rests on it.")
    agent_id: strawberry.ID | None = column(
        EVIDENCE.agent_id, description="The id of the agent whose figures these are; null when an execution's."
    )
    execution_id: strawberry.ID | None = column(
        EVIDENCE.execution_id, description="The UUID of the execution whose figures these are; null when an agent's."
    )
    interval_start: datetime = column(EVIDENCE.interval_start, description="Where the interval begins.")
    interval_end: datetime = column(EVIDENCE.interval_end, description="Where the interval ends.")
    snapshot: JSON = column(EVIDENCE.snapshot, description="The figures, any JSON value.")
    created_at: datetime = column(EVIDENCE.created_at, description="When it was recorded.")
    decision: DecisionRef = one(EVIDENCE.decision_id, description="The decision that rests on it.")
    agent: AgentRef | None = one(
        EVIDENCE.agent_id, description="The agent whose figures these are; null when an execution's."
    )
    execution: ExecutionRef | None = one(
        EVIDENCE.execution_id, description="The execution whose figures these are; null when an agent's."
    )
