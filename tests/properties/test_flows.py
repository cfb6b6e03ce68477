"""The aggregates together: decisions, workflows, agents, models and gates under any sequence of commands by anybody."""

import pytest

from app.domain.ids import new_id
from app.domain.workflows import ExecutionStatus
from tests.properties import agents, assignments, decisions, gates, metrics, tasks, workflows
from tests.properties.beginnings import (
    a_decision,
    a_failed_task,
    a_gate,
    a_gate_in_review,
    a_running_task,
    an_agent,
    an_assigned_task,
    an_assignment,
    an_execution,
)
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import Execution, State
from tests.properties.stage import Stage


def a_workflow_and_its_agent(state: State) -> None:
    """Enough for every flow to be gone on with at once, all else is to be made."""
    agent = an_agent(state, "a", concurrency=2)
    an_agent(state, "pm")
    execution = an_execution(state)
    task = a_running_task(state, agent, execution)
    an_assignment(state, task, active=True)
    an_assignment(state, task, active=False)
    a_gate_in_review(state, execution)
    a_decision(state)


def work_that_waits(state: State) -> None:
    """A workflow that no worker has taken up, a task to begin, one to try again, and a gate to open."""
    agent = an_agent(state, "a", concurrency=2)
    an_agent(state, "b")
    an_agent(state, "pm")
    under_way = an_execution(state)
    state.add(Execution, "started", id=str(new_id()))
    an_assigned_task(state, agent, under_way)
    a_failed_task(state, agent)
    a_gate(state, under_way)
    paused = an_execution(state)
    state.move(paused, ExecutionStatus.PAUSED, "paused")


# decision → workflow → agent → model; workflow → gate → decision; agent → metrics → decision
FLOWS = [
    *(decisions.RECORD, workflows.START, workflows.RUN, tasks.CREATE, tasks.CLAIM, tasks.START, tasks.COMPLETE),
    *(assignments.RECORD, assignments.FAIL, assignments.COMPLETE),
    *(gates.CREATE, gates.OPEN, gates.REVIEW, gates.APPROVE, gates.REJECT, gates.REVISE, workflows.RETRY),
    *(metrics.RECORD, agents.REPORT, workflows.PAUSE, workflows.RESUME, workflows.COMPLETE),
]
ALL = [
    *agents.AGENTS,
    *tasks.TASKS,
    *workflows.WORKFLOWS,
    *decisions.DECISIONS,
    *gates.GATES,
    *assignments.ASSIGNMENTS,
    metrics.RECORD,
]
PLAN = Plan(
    a_machine("Flows", [*FLOWS, *FLOWS, *ALL], a_workflow_and_its_agent, work_that_waits),
    tests=2,
    sequences=75,
    steps=10,
)


@pytest.mark.parametrize("part", PLAN.parts)
def test_flows(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
