"""Schedules under any sequence of commands by anybody."""

import pytest

from tests.properties import schedules, workflows
from tests.properties.beginnings import a_team
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.stage import Stage

COMMANDS = [*schedules.SCHEDULES, schedules.CREATE, schedules.PAUSE, schedules.RESUME, workflows.CANCEL]
PLAN = Plan(a_machine("Schedules", COMMANDS, a_team), tests=1, sequences=60, steps=8)


@pytest.mark.parametrize("part", PLAN.parts)
def test_schedules(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
