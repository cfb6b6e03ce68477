"""Workflow executions under any sequence of commands by anybody, and by the engine."""

import pytest

from app.domain.quality_gates import ApprovalStatus
from app.domain.workflows import ExecutionStatus
from tests.properties import gates, tasks, workflows
from tests.properties.beginnings import (
    a_decided_gate,
    a_failed_task,
    a_gate,
    a_gate_in_review,
    a_running_task,
    a_task,
    a_team,
    an_execution,
)
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage


def a_workflow_under_way(state: State) -> None:
    """A task of a phase at hand, one that failed before, one of no phase; and a gate that holds the end."""
    agent, _ = a_team(state)
    execution = an_execution(state)
    a_running_task(state, agent, execution, phase="build")
    a_task(state, execution)
    a_gate(state, execution)


def a_workflow_that_is_held(state: State) -> None:
    """A paused workflow with a gate in review, one that failed by a rejected gate, and one that has ended."""
    agent, other = a_team(state)
    held, failed, _ = an_execution(state), an_execution(state), an_execution(state)
    a_running_task(state, agent, held)
    a_failed_task(state, other, held)
    a_gate_in_review(state, held)
    state.move(held, ExecutionStatus.PAUSED, "paused")
    a_decided_gate(state, failed, ApprovalStatus.REJECTED, "rejected")
    state.move(failed, ExecutionStatus.FAILED, "failed")


COMMANDS = [
    *(*workflows.WORKFLOWS, *workflows.WORKFLOWS, workflows.FAIL, workflows.RETRY, workflows.RESUME),
    *(workflows.BEGIN, workflows.BEGIN, workflows.SKIP, workflows.FORK),
    *(tasks.CREATE, tasks.CLAIM, tasks.FAIL, tasks.FAIL, tasks.RETRY, tasks.RETRY),
    *(gates.OPEN, gates.REJECT, gates.APPROVE, gates.APPROVE),
]
BEGINNINGS = [a_workflow_under_way, a_workflow_that_is_held]
PLAN = Plan(a_machine("Workflows", COMMANDS, *BEGINNINGS), tests=2, sequences=110, steps=6)


@pytest.mark.parametrize("part", PLAN.parts)
def test_workflows(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
