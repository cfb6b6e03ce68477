"""Model assignments under any sequence of commands by anybody."""

import pytest

from tests.properties.assignments import ACTIVATE, ASSIGNMENTS, FAIL, RECORD
from tests.properties.beginnings import a_running_task, a_task, a_team
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage
from tests.properties.tasks import CLAIM, COMPLETE, RELEASE


def work_for_models(state: State) -> None:
    """A task at hand, and one that nobody has."""
    agent, _ = a_team(state)
    a_running_task(state, agent)
    a_task(state)


COMMANDS = [RECORD, *ASSIGNMENTS, *ASSIGNMENTS, FAIL, ACTIVATE, CLAIM, RELEASE, COMPLETE]
PLAN = Plan(a_machine("Assignments", COMMANDS, work_for_models), tests=2, sequences=110, steps=5)


@pytest.mark.parametrize("part", PLAN.parts)
def test_assignments(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
