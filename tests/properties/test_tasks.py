"""Tasks under any sequence of commands by anybody."""

import pytest

from tests.properties.agents import REGISTER, SET_STATUS, UPDATE
from tests.properties.beginnings import a_running_task, a_task, a_team, an_execution
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage
from tests.properties.tasks import CLAIM, COMPLETE, FAIL, START, TASKS


def two_agents_and_three_tasks(state: State) -> None:
    first, _ = a_team(state)
    execution = an_execution(state)
    a_running_task(state, first)
    a_task(state)
    a_task(state, execution)


COMMANDS = [CLAIM, START, COMPLETE, FAIL, *TASKS, CLAIM, START, REGISTER, UPDATE, SET_STATUS]
PLAN = Plan(a_machine("Tasks", COMMANDS, two_agents_and_three_tasks), tests=3, sequences=110, steps=6)


@pytest.mark.parametrize("part", PLAN.parts)
def test_tasks(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
