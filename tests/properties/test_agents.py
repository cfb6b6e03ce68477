"""Agents under any sequence of commands by anybody."""

import pytest

from tests.properties.agents import AGENTS
from tests.properties.beginnings import a_running_task, a_task, an_agent
from tests.properties.machine import Plan, a_machine, drive
from tests.properties.model import State
from tests.properties.stage import Stage
from tests.properties.tasks import CLAIM, COMPLETE, RELEASE


def agents_with_work(state: State) -> None:
    """The agent `b` and the PM are there, `a` is not; one task is at hand, one is free."""
    agent = an_agent(state, "b", concurrency=2)
    an_agent(state, "pm")
    a_running_task(state, agent)
    a_task(state)


PLAN = Plan(
    a_machine("Agents", [*AGENTS, *AGENTS[:4], CLAIM, CLAIM, COMPLETE, RELEASE], agents_with_work),
    tests=2,
    sequences=110,
    steps=6,
)


@pytest.mark.parametrize("part", PLAN.parts)
def test_agents(stage: Stage, part: int) -> None:
    drive(stage, PLAN, part)
