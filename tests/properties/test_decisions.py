"""Decisions under any sequence of commands by anybody."""

import pytest

from app.domain.tasks import TaskKind
from tests.properties.beginnings import a_request, a_team, an_execution
from tests.properties.decisions import ANNOTATE, DECISIONS, ERASE, RECORD
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage
from tests.properties.tasks import RELEASE
from tests.properties.workflows import CANCEL


def a_workflow_that_asks(state: State) -> None:
    """A workflow that asks the agent `a` for a decision, which only a PM gives."""
    agent, _ = a_team(state)
    a_request(state, TaskKind.DECISION, agent, an_execution(state))


COMMANDS = [RECORD, *DECISIONS, *DECISIONS, ANNOTATE, ERASE, RELEASE, CANCEL]
PLAN = Plan(a_machine("Decisions", COMMANDS, a_workflow_that_asks), tests=2, sequences=110, steps=5)


@pytest.mark.parametrize("part", PLAN.parts)
def test_decisions(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
