"""Workflow templates, executions, their steps and errors."""

from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import Column, ColumnElement, Text, and_, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.quality_gates import FINAL_VERDICTS, ApprovalStatus
from app.domain.workflows import ENDED, EXECUTION_MACHINE, ErrorSeverity, ExecutionStatus, StepStatus, TriggerType
from db.tables.agents import agents
from db.tables.decisions import decision_evidence, decisions
from db.tables.metrics import resource_metrics
from db.tables.model_assignments import model_assignments
from db.tables.quality_gates import quality_gates
from db.tables.tasks import tasks
from db.tables.workflows import workflow_errors, workflow_executions, workflow_steps, workflow_templates
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import (
    Agents,
    Assignments,
    DecisionRef,
    Decisions,
    ErrorLog,
    Evidence,
    ExecutionRef,
    Executions,
    Gates,
    Measurements,
    ScheduleRef,
    StepRef,
    Steps,
    Tasks,
    Templates,
)
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Link, Row, column_at, falling, rising
from graphql_schema.planner.fields import column, computed, group, many, one, one_of, transitions
from graphql_schema.planner.sql import text_constant
from graphql_schema.scalars import JSON, BigInt
from graphql_schema.workflows.drawings import drawing
from graphql_schema.workflows.figures import PhaseProgress, WorkflowFigures, duration, phases, step_duration
from graphql_schema.workflows.waiting import waiting_for

AGENT = agents.c
DECISION = decisions.c
EVIDENCE = decision_evidence.c
METRIC = resource_metrics.c
ASSIGNMENT = model_assignments.c
GATE = quality_gates.c
TASK = tasks.c
EXECUTION = workflow_executions.c
TEMPLATE = workflow_templates.c
STEP = workflow_steps.c
ERROR = workflow_errors.c

UNDER_WAY = [status for status in ExecutionStatus if status not in ENDED]
UNDECIDED = [status for status in ApprovalStatus if status not in FINAL_VERDICTS]


def _its_template(execution: Row, template: Row) -> ColumnElement[bool]:
    return and_(
        template[TEMPLATE.template_name] == execution[EXECUTION.workflow_name],
        template[TEMPLATE.template_version] == execution[EXECUTION.template_version],
    )


def _works_on(execution: Row, agent: Row) -> ColumnElement[bool]:
    held = tasks.alias()
    theirs = select(column_at(held, TASK.assigned_agent_id)).where(
        column_at(held, TASK.execution_id) == execution[EXECUTION.execution_id]
    )
    return agent[AGENT.agent_id].in_(theirs.correlate_except(held))


def _forked_from(execution: Row, step: Row) -> ColumnElement[bool]:
    return and_(
        step[STEP.execution_id] == execution[EXECUTION.forked_from_id],
        step[STEP.step_number] == execution[EXECUTION.forked_from_step],
    )


def _is_fork_of(execution: Row, fork: Row) -> ColumnElement[bool]:
    return fork[EXECUTION.forked_from_id] == execution[EXECUTION.execution_id]


def _source(step: Row, execution: Row) -> ColumnElement[bool]:
    return execution[EXECUTION.execution_id] == step[STEP.source_execution_id]


def _awaits(execution: Row, gate: Row) -> ColumnElement[bool]:
    """The gates whose verdict an execution that is under way waits for."""
    return and_(
        gate[GATE.workflow_execution_id] == execution[EXECUTION.execution_id],
        one_of(gate[GATE.approval_status], UNDECIDED),
        one_of(execution[EXECUTION.execution_status], UNDER_WAY),
    )


def _given(template: Row, key: str) -> ColumnElement[Any]:
    """A part of the spec; SQL's null for JSON's."""
    part = template[TEMPLATE.spec][key]
    return case((func.jsonb_typeof(part) != text_constant("null"), part))


def _made_in(execution_id: Column[Any], phase: Column[Any], attempt: Column[Any]) -> Link:
    """What one pass through a phase made: it names the execution, the phase and the attempt.

    A step that a fork has taken over was done by another execution.
    """
    return lambda step, made: and_(
        made[execution_id] == func.coalesce(step[STEP.source_execution_id], step[STEP.execution_id]),
        made[phase] == step[STEP.phase],
        made[attempt] == step[STEP.attempt],
    )


def is_newest_version(template: Row) -> ColumnElement[bool]:
    """The condition that no later version of the template exists."""
    other = workflow_templates.alias()
    newest = select(func.max(column_at(other, TEMPLATE.template_version))).where(
        column_at(other, TEMPLATE.template_name) == template[TEMPLATE.template_name]
    )
    return template[TEMPLATE.template_version] == newest.correlate_except(other).scalar_subquery()


@strawberry.type(
    description="What a workflow does: its phases, in order. Changing a template makes a new version; running "
    "executions keep theirs."
)
class WorkflowTemplate(Node):
    __entity__ = Entity(workflow_templates, (TEMPLATE.template_name, TEMPLATE.template_version))

    template_name: str = column(TEMPLATE.template_name, description="The name by which `workflowStart` starts it.")
    template_version: int = column(
        TEMPLATE.template_version, description="Rises by one with each change of the template, from 1."
    )
    description: str = column(TEMPLATE.description, description="What the workflow is for.")
    phases: JSON = computed(
        lambda template: func.coalesce(template[TEMPLATE.spec]["phases"], func.jsonb_build_array(), type_=JSONB()),
        description="The phases in the order in which they run unless they lead elsewhere, a list of objects, each "
        "with name and kind (decision, task, parallel, gate, function, branch, loop, wait or workflow) and what "
        "belongs to the kind.",
    )
    spec: JSON = computed(
        lambda template: template[TEMPLATE.spec],
        description="The whole template as `workflowTemplateRegister` takes it, defaults written out.",
    )
    input_schema: JSON | None = computed(
        lambda template: _given(template, "input_schema"),
        description="The JSON Schema that `inputContext` of `workflowStart` must fit; null when anything does.",
    )
    output_schema: JSON | None = computed(
        lambda template: _given(template, "output_schema"),
        description="The JSON Schema that the output of its executions fits; null when none is promised.",
    )
    mermaid: str = computed(
        lambda template: func.coalesce(template[TEMPLATE.mermaid], text_constant("")),
        description="The graph of its phases in the language of Mermaid, a flow chart.",
    )
    registered_by: str | None = column(
        TEMPLATE.registered_by, description="Who registered this version; null for one that came with the hub."
    )
    created_at: datetime = column(TEMPLATE.created_at, description="When this version was made.")

    versions: Templates = many(
        lambda template, other: other[TEMPLATE.template_name] == template[TEMPLATE.template_name],
        order=falling(TEMPLATE.template_version),
        description="All versions of the template, this one too; newest first.",
    )


@strawberry.type(
    description="One run of a workflow: it goes through the phases of its template, waiting for tasks, decisions and "
    "gates. Started by `workflowStart`."
)
class WorkflowExecution(Node):
    __entity__ = Entity(workflow_executions, (EXECUTION.execution_id,))

    execution_id: strawberry.ID = column(EXECUTION.execution_id, description="The execution's UUID.")
    workflow_name: str = column(EXECUTION.workflow_name, description="The name of the template that it runs.")
    template_version: int = column(EXECUTION.template_version, description="The version of the template that it runs.")
    execution_status: ExecutionStatus = column(EXECUTION.execution_status, description="Where the execution stands.")
    allowed_transitions: list[ExecutionStatus] = transitions(EXECUTION_MACHINE, EXECUTION.execution_status)
    trigger_type: TriggerType = column(EXECUTION.trigger_type, description="What started it.")
    triggered_by: str = column(
        EXECUTION.triggered_by, description="Who started it: the name of a token, or of a part of the hub."
    )
    input_context: JSON = column(
        EXECUTION.input_context, description="What it was started with, an object; its tasks are given it."
    )
    output: JSON | None = column(
        EXECUTION.output,
        description="What it gave in the end, an object as its template's `output` says; null before, and where the "
        "template says nothing.",
    )
    decision_id: strawberry.ID | None = column(
        EXECUTION.decision_id, description="The UUID of the decision that caused it; null when none did."
    )
    parent_execution_id: strawberry.ID | None = column(
        EXECUTION.parent_execution_id,
        description="The UUID of the execution of which this one is a part; null when it was started by itself.",
    )
    wake_at: datetime | None = computed(
        lambda execution: case(
            (one_of(execution[EXECUTION.execution_status], UNDER_WAY), execution[EXECUTION.wake_at])
        ),
        description="When its next timer ends: a wait, a time-out or a pause before another try; null for none.",
    )
    mermaid: str = computed(
        drawing,
        description="The graph of its template in the language of Mermaid, a flow chart, with the status of each "
        "phase's last pass as the class of its node: running, completed or failed.",
    )
    current_phase: str | None = column(
        EXECUTION.current_phase, description="The phase that it is in, or ended in; null before the first."
    )
    started_at: datetime | None = column(EXECUTION.started_at, description="When a worker began it; null before.")
    completed_at: datetime | None = column(
        EXECUTION.completed_at, description="When it ended, however it ended; null before."
    )
    last_activity: datetime = column(EXECUTION.last_activity, description="When something last happened in it.")
    duration_ms: BigInt | None = computed(
        duration, description="Milliseconds since it began, until its end if it ended; null before it began."
    )
    performance_metrics: WorkflowFigures = group(
        description="The execution in figures, computed when they are asked for, and only those that are."
    )
    concurrency_key: str | None = column(
        EXECUTION.concurrency_key,
        description="Those of its workflow with the same key count together towards `concurrencyMax`: the JSON of the "
        "input's value that the template names, or its hash; empty for all of them, null where there is no limit.",
    )
    concurrency_max: int | None = column(
        EXECUTION.concurrency_max, description="How many with its key may be under way at once; null for any number."
    )
    queued_at: datetime | None = column(
        EXECUTION.queued_at,
        description="Since when it waits for its turn, because as many of its workflow run as the template allows; "
        "null otherwise.",
    )
    waiting_for: str | None = computed(
        waiting_for,
        description="What it waits for, in words: its turn, tasks under way or to be taken, verdicts on quality gates; "
        "null when it waits for nobody or has ended. What a paused one tells goes on meanwhile, and counts once it is "
        "resumed.",
    )
    schedule_id: strawberry.ID | None = column(
        EXECUTION.schedule_id, description="The UUID of the schedule that started it; null when none did."
    )
    scheduled_for: datetime | None = column(
        EXECUTION.scheduled_for, description="The moment of its schedule that it was started for; null without one."
    )
    forked_from_id: strawberry.ID | None = column(
        EXECUTION.forked_from_id, description="The UUID of the execution that it repeats; null when it is no fork."
    )
    forked_from_step: int | None = column(
        EXECUTION.forked_from_step, description="The number of the step that it begins with; null when it is no fork."
    )
    version: int = column(EXECUTION.version, description="Rises by one with each change. For `expectedVersion`.")
    created_at: datetime = column(EXECUTION.created_at, description="When it was asked for.")
    updated_at: datetime = column(EXECUTION.updated_at, description="When it last changed.")

    template: WorkflowTemplate = one(_its_template, description="The template, in the version that it runs.")
    schedule: ScheduleRef | None = one(
        EXECUTION.schedule_id, description="The schedule that started it; null when none did."
    )
    forked_from: StepRef | None = one(
        _forked_from, description="The step of another execution that it repeats from; null when it is no fork."
    )
    forks: Executions = many(_is_fork_of, description="The executions that repeat it from one of its steps on.")
    decision: DecisionRef | None = one(
        EXECUTION.decision_id, description="The decision that caused it; null when none did."
    )
    parent: ExecutionRef | None = one(
        EXECUTION.parent_execution_id, description="The execution of which this one is a part; null for none."
    )
    children: Executions = many(
        EXECUTION.parent_execution_id,
        description="The executions that its phases of the kind workflow started, newest first.",
    )
    decisions: Decisions = many(DECISION.execution_id, description="The decisions that it called for, newest first.")
    evidence: Evidence = many(
        EVIDENCE.execution_id, description="The execution's figures that decisions rest on, newest first."
    )
    execution_path: Steps = many(
        STEP.execution_id,
        order=rising(STEP.step_number),
        description="The passes through phases in the order in which they began. There can be many thousand: ask for "
        "`last: 20` to show where it is, page through the rest, and see `phases` for the whole at a glance.",
    )
    phases: list[PhaseProgress] = phases(
        description="The phases that it has been in, in the order in which it first came to them, with its passes "
        "through each counted by status. Phases of the template that it has not come to are not among them."
    )
    history_path: str = computed(
        lambda execution: func.concat(
            text_constant("/executions/"), cast(execution[EXECUTION.execution_id], Text), text_constant("/history.json")
        ),
        description="Where this hub sends all that is recorded of it as one JSON document: GET this path, with the "
        "same bearer token. docs/workflow-history.md tells what is in it.",
    )
    error_log: ErrorLog = many(ERROR.execution_id, description="What went wrong, newest first.")
    tasks: Tasks = many(TASK.execution_id, description="All tasks of the execution, newest first.")
    task_assignments: Tasks = many(
        TASK.execution_id,
        where=lambda task: task[TASK.assigned_agent_id].is_not(None),
        description="The tasks that an agent has or had to the end, newest first.",
    )
    quality_gates: Gates = many(
        GATE.workflow_execution_id, description="All quality gates of the execution, newest first."
    )
    pending_approvals: Gates = many(
        _awaits,
        description="The quality gates that still hold it: PENDING, IN_REVIEW or REQUIRES_REVISION; newest first. None "
        "when the execution has ended: nobody needs to decide then, and a verdict would be refused.",
    )
    model_assignments: Assignments = many(
        ASSIGNMENT.execution_id, description="Which AI models worked for it, newest first."
    )
    agents: Agents = many(_works_on, description="The agents that have or had tasks of it, each once, by name.")
    metrics: Measurements = many(
        METRIC.execution_id,
        order=falling(METRIC.measurement_time, METRIC.metric_id),
        description="Measurements of resources made for it, latest first.",
    )


@strawberry.type(description="One pass of an execution through a phase.")
class WorkflowStep(Node):
    __entity__ = Entity(workflow_steps, (STEP.step_id,))

    step_id: strawberry.ID = column(STEP.step_id, description="The step's UUID.")
    execution_id: strawberry.ID = column(
        STEP.execution_id, description="The UUID of the execution that it is a step of."
    )
    step_number: int = column(STEP.step_number, description="1, 2, 3 … within the execution, in the order of time.")
    phase: str = column(STEP.phase, description="The name of the phase.")
    attempt: int = column(
        STEP.attempt, description="Which pass through this phase it is, from 1; work that comes back adds one."
    )
    step_status: StepStatus = column(STEP.step_status, description="Where the step stands.")
    outcome: JSON | None = column(
        STEP.outcome, description="What came of it, references and small figures; null before its end."
    )
    started_at: datetime = column(STEP.started_at, description="When it began.")
    completed_at: datetime | None = column(STEP.completed_at, description="When it ended; null before.")
    source_execution_id: strawberry.ID | None = column(
        STEP.source_execution_id,
        description="Of a step that a fork has taken over: the UUID of the execution that did it; null otherwise.",
    )
    duration_ms: BigInt | None = computed(
        step_duration, description="Milliseconds that it took; null while it is under way."
    )
    execution: ExecutionRef = one(STEP.execution_id, description="The execution that it is a step of.")
    source_execution: ExecutionRef | None = one(
        _source,
        description="Of a step that a fork has taken over: the execution that did it, whose tasks and gates these are; "
        "null otherwise.",
    )
    tasks: Tasks = many(
        _made_in(TASK.execution_id, TASK.phase, TASK.phase_attempt),
        description="The tasks that this pass made, newest first: what they were given, who did them, what came of it.",
    )
    quality_gates: Gates = many(
        _made_in(GATE.workflow_execution_id, GATE.phase, GATE.phase_attempt),
        description="The quality gate that this pass opened, or none: a pass that reopens an earlier one has none.",
    )


@strawberry.type(description="Something that went wrong in an execution.")
class WorkflowError(Node):
    __entity__ = Entity(workflow_errors, (ERROR.error_id,))

    error_id: strawberry.ID = column(ERROR.error_id, description="The error's UUID.")
    execution_id: strawberry.ID = column(
        ERROR.execution_id, description="The UUID of the execution in which it happened."
    )
    phase: str | None = column(ERROR.phase, description="The phase in which it happened; null when in none.")
    severity: ErrorSeverity = column(ERROR.severity, description="How grave it is.")
    message: str = column(ERROR.message, description="What happened and what to do about it.")
    detail: JSON = column(ERROR.detail, description="Facts about it, an object.")
    created_at: datetime = column(ERROR.created_at, description="When it happened.")
    execution: ExecutionRef = one(ERROR.execution_id, description="The execution in which it happened.")
