"""Commands of several actors at once: some order of them must explain every answer, every event and every row."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import AgentStatus
from app.domain.tasks import TaskKind
from db.queries.changes import amend
from db.queries.entities import AGENT, TASK
from db.session import Database
from tests.properties import agents, assignments, decisions, gates, tasks, workflows
from tests.properties.beginnings import (
    a_decision,
    a_failed_task,
    a_gate_in_review,
    a_request,
    a_running_task,
    a_task,
    a_team,
    an_assigned_task,
    an_assignment,
    an_execution,
)
from tests.properties.machine import Plan, a_race, drive
from tests.properties.model import State
from tests.properties.stage import Stage
from tests.services import makers


def a_team_at_work(state: State) -> None:
    """Two agents, of which one is at its limit with the next task; tasks free, assigned and running."""
    first, second = a_team(state)
    execution = an_execution(state)
    a_running_task(state, first, execution)
    a_task(state)
    a_task(state, execution)
    a_running_task(state, second)


def a_team_half_way(state: State) -> None:
    """A task to begin, one to try again; an agent that is not there."""
    first, second = a_team(state)
    execution = an_execution(state)
    an_assigned_task(state, first, execution)
    a_failed_task(state, first, execution)
    a_task(state)
    state.move(second, AgentStatus.OFFLINE, "status_changed")


def a_gate_under_review(state: State) -> None:
    """A gate with a request for a review and one for a verdict; a workflow that ends with it."""
    first, second = a_team(state)
    execution = an_execution(state)
    gate = a_gate_in_review(state, execution)
    a_request(state, TaskKind.REVIEW, first, execution, gate)
    a_request(state, TaskKind.DECISION, second, execution, gate)


def a_verdict_that_is_due(state: State) -> None:
    """A gate that waits for nothing but its verdict; a model at work; a decision."""
    first, _ = a_team(state)
    execution = an_execution(state)
    an_assignment(state, a_running_task(state, first, execution), active=True)
    a_gate_in_review(state, execution)
    a_decision(state)


TASKS = [
    *(tasks.CLAIM, tasks.CLAIM, tasks.START, tasks.COMPLETE, tasks.FAIL, tasks.RELEASE, tasks.CANCEL, tasks.RETRY),
    *(tasks.CREATE, tasks.CREATE_MANY, tasks.REPORT_PROGRESS),
    *(agents.REGISTER, agents.UPDATE, agents.SET_STATUS, agents.SET_STATUSES),
    *(workflows.PAUSE, workflows.CANCEL, workflows.FAIL),
]
GATES = [
    *gates.GATES,
    *(gates.OPEN, gates.REVIEW, gates.APPROVE, gates.REVISE),
    *(decisions.RECORD, decisions.ANNOTATE, decisions.ERASE),
    *(assignments.RECORD, assignments.FAIL, assignments.COMPLETE, assignments.CANCEL),
    *(workflows.PAUSE, workflows.RESUME, workflows.CANCEL, workflows.FAIL, workflows.RETRY, tasks.RELEASE),
]
TASK_PLAN = Plan(a_race("TaskRace", TASKS, a_team_at_work, a_team_half_way), tests=2, sequences=90, steps=3)
GATE_PLAN = Plan(a_race("GateRace", GATES, a_gate_under_review, a_verdict_that_is_due), tests=2, sequences=90, steps=3)


@pytest.mark.parametrize("part", TASK_PLAN.parts)
def test_tasks_and_agents_at_once(stage: Stage, part: int) -> None:
    drive(stage, TASK_PLAN, part)


@pytest.mark.parametrize("part", GATE_PLAN.parts)
def test_gates_and_decisions_at_once(stage: Stage, part: int) -> None:
    drive(stage, GATE_PLAN, part)


async def test_the_log_tells_of_one_thing_in_the_order_of_its_versions(database: Database) -> None:
    """Found by the races above: a subscriber sees an agent become BUSY at version 5, then ACTIVE at version 4."""
    agent = await makers.an_agent(database)
    task = await makers.a_task(database)

    async def rename(session: AsyncConnection) -> None:
        await amend(session, AGENT, agent.agent_id, "updated", "test", values={"concurrency": 2})

    async with database.engine.begin() as first:
        await amend(first, TASK, task.task_id, "updated", "test", values={"complexity": 6})
        await database.transact(rename)
        await rename(first)
    versions = [version for _, _, _, version in await makers.events_of(database, agent.agent_id)]
    assert versions == [1, 2, 3]
