"""The state machines: complete, reachable, and the same in both directions."""

from typing import Any

import pytest

from app.domain.agents import AGENT_MACHINE, AgentStatus, status_by_load
from app.domain.errors import IllegalTransition
from app.domain.machines import Machine
from app.domain.model_assignments import ASSIGNMENT_MACHINE
from app.domain.quality_gates import GATE_MACHINE
from app.domain.schedules import SCHEDULE_MACHINE
from app.domain.tasks import TASK_MACHINE, TaskStatus
from app.domain.workflows import EXECUTION_MACHINE

MACHINES = [AGENT_MACHINE, TASK_MACHINE, EXECUTION_MACHINE, ASSIGNMENT_MACHINE, GATE_MACHINE, SCHEDULE_MACHINE]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_status_has_its_row_and_is_reachable(machine: Machine[Any]) -> None:
    statuses = set(type(machine.initial).__members__.values())
    assert set(machine.transitions) == statuses
    reached, todo = {machine.initial}, [machine.initial]
    while todo:
        for follower in machine.allowed_from(todo.pop()):
            if follower not in reached:
                reached.add(follower)
                todo.append(follower)
    assert reached == statuses


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_require_and_sources_agree_with_the_table(machine: Machine[Any]) -> None:
    for current, allowed in machine.transitions.items():
        for target in machine.transitions:
            assert (current in machine.sources_of(target)) == (target in allowed)
            if target in allowed:
                machine.require(current, target)
            else:
                with pytest.raises(IllegalTransition) as caught:
                    machine.require(current, target)
                assert caught.value.allowed == tuple(allowed)


def test_an_illegal_transition_names_the_ways_out() -> None:
    with pytest.raises(IllegalTransition, match="allowed: ASSIGNED, CANCELLED"):
        TASK_MACHINE.require(TaskStatus.PENDING, TaskStatus.RUNNING)
    with pytest.raises(IllegalTransition, match="nothing, it is final"):
        TASK_MACHINE.require(TaskStatus.COMPLETED, TaskStatus.PENDING)


@pytest.mark.parametrize(
    ("held", "concurrency", "status"),
    [
        (0, 1, AgentStatus.IDLE),
        (1, 1, AgentStatus.BUSY),
        (1, 2, AgentStatus.ACTIVE),
        (2, 2, AgentStatus.BUSY),
        (3, 2, AgentStatus.BUSY),
    ],
)
def test_status_follows_load(held: int, concurrency: int, status: AgentStatus) -> None:
    assert status_by_load(held, concurrency) is status
