"""The aggregates together: decisions, workflows, agents, models and gates under any sequence of commands by anybody."""

import pytest

from tests.properties import agents, assignments, decisions, gates, metrics, tasks, workflows
from tests.properties.beginnings import (
    a_decision,
    a_gate_in_review,
    a_running_task,
    an_agent,
    an_assignment,
    an_execution,
)
from tests.properties.machine import Plan, Stage, a_machine, drive
from tests.properties.model import State


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


# decision → workflow → agent → model; workflow → gate → decision; agent → metrics → decision
FLOWS = [
    *(decisions.RECORD, workflows.START, workflows.RUN, tasks.CREATE, tasks.CLAIM, tasks.START, tasks.COMPLETE),
    *(assignments.RECORD, assignments.FAIL, assignments.COMPLETE),
    *(gates.CREATE, gates.OPEN, gates.REVIEW, gates.APPROVE, gates.REJECT, gates.REVISE, workflows.RETRY),
    *(metrics.RECORD, agents.REPORT, workflows.COMPLETE),
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
PLAN = Plan(a_machine("Flows", [*FLOWS, *FLOWS, *ALL], a_workflow_and_its_agent), tests=2, sequences=80, steps=12)


@pytest.mark.parametrize("part", PLAN.parts)
def test_flows(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
