"""Schedules under any sequence of commands by anybody."""

import pytest

from tests.properties import schedules, workflows
from tests.properties.beginnings import a_team
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage


def a_beginning(state: State) -> None:
    """A team that has nothing to do with it."""
    a_team(state)


COMMANDS = [*schedules.SCHEDULES, schedules.CREATE, schedules.PAUSE, schedules.RESUME, workflows.CANCEL]
PLAN = Plan(a_machine("Schedules", COMMANDS, a_beginning), tests=1, sequences=60, steps=8)


@pytest.mark.parametrize("part", PLAN.parts)
def test_schedules(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
