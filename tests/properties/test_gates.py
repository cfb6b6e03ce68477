"""Quality gates under any sequence of commands by anybody."""

import pytest

from app.domain.quality_gates import ApprovalStatus
from app.domain.tasks import TaskKind
from tests.properties.beginnings import a_decided_gate, a_gate, a_gate_in_review, a_request, a_team, an_execution
from tests.properties.gates import APPROVE, GATES, OPEN, REVIEW, REVISE
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage
from tests.properties.workflows import CANCEL


def two_gates(state: State) -> None:
    """A gate that an agent is asked to review and a PM to decide, and one that is left to a person."""
    first, second = a_team(state)
    execution = an_execution(state)
    gate = a_gate(state, execution)
    a_request(state, TaskKind.REVIEW, first, execution, gate)
    a_request(state, TaskKind.DECISION, second, execution, gate)
    a_gate(state, an_execution(state), name="Security", human=True)


def gates_under_review(state: State) -> None:
    """A gate that waits for a review and a verdict, and one that waits for the verdict alone."""
    first, second = a_team(state)
    execution = an_execution(state)
    gate = a_gate_in_review(state, execution)
    a_request(state, TaskKind.REVIEW, first, execution, gate)
    a_request(state, TaskKind.DECISION, second, execution, gate)
    a_gate_in_review(state, execution, name="Security")


def gates_that_were_decided(state: State) -> None:
    """A gate that was sent back, and one that was rejected; and one that a person is to decide."""
    a_team(state)
    execution = an_execution(state)
    a_decided_gate(state, execution, ApprovalStatus.REQUIRES_REVISION, "revision_requested")
    a_decided_gate(state, execution, ApprovalStatus.REJECTED, "rejected")
    a_gate_in_review(state, execution, human=True)


BEGINNINGS = [two_gates, gates_under_review, gates_that_were_decided]
PLAN = Plan(
    a_machine("Gates", [OPEN, REVIEW, *GATES, OPEN, REVIEW, APPROVE, REVISE, CANCEL], *BEGINNINGS),
    tests=3,
    sequences=110,
    steps=6,
)


@pytest.mark.parametrize("part", PLAN.parts)
def test_gates(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
