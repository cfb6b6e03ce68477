"""The commands that show something, as processes against a real hub: tables for people, GraphQL's data for programs."""

import json
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.client.connection import HubClient
from app.client.operations import agents, decisions, tasks
from tests.acceptance.processes import HUB, environment
from tests.agent.hubs import RunningHub, agent_token, create_task, new_agent_id, until
from tests.cli.commands import call, call_json, nodes, refusal, run_hub

pytestmark = pytest.mark.slow

NOBODY = "0190c0de-0000-7000-8000-000000000001"


@pytest.fixture
async def client(running_hub: RunningHub) -> AsyncIterator[HubClient]:
    async with running_hub.client() as client:
        yield client


async def register(client: HubClient, agent_id: str, **given: Any) -> None:
    values = {"agentId": agent_id, "agentRole": "DEVELOPER", "capabilities": [agent_id], **given}
    await client.mutate(agents.REGISTER, values)


async def decide(client: HubClient, outcome: str, **given: Any) -> str:
    values = {
        "decisionType": "ESCALATION",
        "contextData": {"why": "context"},
        "reasoningProcess": "First this, then that.",
        "outcome": outcome,
        "confidenceScore": 7,
        **given,
    }
    decision_id: str = (await client.mutate(decisions.RECORD, values))["decision"]["decisionId"]
    return decision_id


async def start_task(client: HubClient, agent_id: str, **given: Any) -> str:
    task_id = await create_task(client, agent_id, **given)
    claimed = (await client.mutate(tasks.CLAIM, {"agentId": agent_id, "taskId": task_id}))["task"]
    await client.mutate(tasks.START, {"taskId": task_id, "expectedVersion": claimed["version"]})
    return task_id


def details(text: str) -> dict[str, str]:
    """The names and values of a `show`, its one-line values."""
    pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line and not line.startswith(" "))
    return {name: value.strip() for name, value in pairs}


def row_of(text: str, first: str) -> list[str]:
    """The words of the table's row that begins with this id."""
    (line,) = [line for line in text.splitlines() if line.startswith(first)]
    return line.split()


async def test_agents_are_listed_with_their_load_and_shown_with_their_work(
    running_hub: RunningHub, client: HubClient
) -> None:
    agent_id, other = new_agent_id(), new_agent_id()
    await register(client, agent_id, concurrency=3)
    await register(client, other, agentRole="QA")
    task_id = await start_task(client, agent_id, title="Mend the roof")
    progress = {"taskId": task_id, "percent": 40, "message": "half of the tiles"}
    await client.mutate(tasks.REPORT_PROGRESS, progress)
    assert row_of(call(running_hub, "agents"), agent_id)[1:4] == ["DEVELOPER", "ACTIVE", "1/3"]
    listed = call_json(running_hub, "agents", "--status", "active")
    assert [agent["agentId"] for agent in nodes(listed)] == [agent_id]
    assert nodes(listed)[0]["activeTasks"]["nodes"] == [
        {"taskId": task_id, "title": "Mend the roof", "status": "RUNNING"}
    ]
    assert [agent["agentId"] for agent in nodes(call_json(running_hub, "agents", "--role", "qa"))] == [other]
    # the whole id, though another agent's id may begin with it, and as much of it as is unique
    for wanted in (agent_id, agent_id[:-1]):
        shown = call(running_hub, "agents", "show", wanted)
        assert (details(shown)["agent"], details(shown)["load"]) == (agent_id, "1 of 3 tasks")
        assert "40 % half of the tiles" in row_of_line(shown, task_id)
    assert call_json(running_hub, "agents", "show", agent_id)["activeTasks"]["totalCount"] == 1


def row_of_line(text: str, first: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(first))


async def test_an_ambiguous_beginning_is_refused_with_the_ids_that_fit(
    running_hub: RunningHub, client: HubClient
) -> None:
    agent_id = new_agent_id()
    await register(client, f"{agent_id}-a")
    await register(client, f"{agent_id}-b")
    said = refusal(running_hub, "agents", "show", agent_id)
    assert said == f"2 agents begin with '{agent_id}': {agent_id}-a, {agent_id}-b. Give more of the id."
    await register(client, agent_id)
    assert call_json(running_hub, "agents", "show", agent_id)["agentId"] == agent_id


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("agents", "show", "no-such-agent"), "There is no agent 'no-such-agent'. Give its id, such as john-pm"),
        (("tasks", "show", NOBODY), f"There is no task '{NOBODY}'."),
        (("tasks", "show", "zzz"), "There is no task 'zzz'. Give its UUID"),
        (("tasks", "--agent", "no-such-agent"), "There is no agent"),
        (("tasks", "--execution", NOBODY), "does not exist on this hub"),
        (("decision", "show", NOBODY), f"There is no decision '{NOBODY}'."),
        (("decision", "list", "--execution", "zzz"), "There is no workflow execution 'zzz'"),
        (("decision", "list", "--after", "nonsense"), "cursor"),
        (("gate", "list", "--execution", NOBODY), "does not exist on this hub"),
    ],
)
def test_what_is_not_there_is_exit_code_1(running_hub: RunningHub, arguments: tuple[str, ...], text: str) -> None:
    assert text in refusal(running_hub, *arguments)
    assert text in refusal(running_hub, *arguments, "--json")


async def test_tasks_are_listed_by_status_agent_and_execution(running_hub: RunningHub, client: HubClient) -> None:
    agent_id = new_agent_id()
    await register(client, agent_id, concurrency=2)
    running = await start_task(client, agent_id, title="At hand")
    waiting = await create_task(client, agent_id, title="Waits", dependsOn=[running])
    assert row_of(call(running_hub, "tasks"), running)[1:] != []
    assert [task["taskId"] for task in nodes(call_json(running_hub, "tasks", "--agent", agent_id))] == [running]
    pending = nodes(call_json(running_hub, "tasks", "--status", "pending"))
    assert waiting in [task["taskId"] for task in pending]
    assert {task["status"] for task in pending} == {"PENDING"}
    execution = call_json(running_hub, "workflow", "start", "feature-delivery")["executionId"]
    of_execution = call_json(running_hub, "tasks", "--execution", execution)
    assert {task["executionId"] for task in nodes(of_execution)} <= {execution}
    assert nodes(call_json(running_hub, "tasks", "--execution", execution, "--agent", agent_id)) == []


def test_the_history_of_an_execution_is_written_whole(running_hub: RunningHub, tmp_path: Path) -> None:
    execution = call_json(running_hub, "workflow", "start", "feature-delivery")["executionId"]
    told = json.loads(call(running_hub, "workflow", "history", execution))
    assert (told["format"], told["execution"]["execution_id"]) == ("orchestration-hub/workflow-history", execution)
    assert told["counts"]["events"] == len(told["events"]) > 0
    file = tmp_path / "history.json"
    assert call(running_hub, "workflow", "history", execution, "--output", str(file)) == ""
    assert json.loads(file.read_bytes())["execution"]["execution_id"] == execution
    missing = tmp_path / "nothing.json"
    assert "There is no workflow execution" in refusal(
        running_hub, "workflow", "history", NOBODY, "--output", str(missing)
    )
    assert not missing.exists()


async def test_a_task_tells_what_it_waits_for(running_hub: RunningHub, client: HubClient) -> None:
    agent_id = new_agent_id()
    await register(client, agent_id)
    needed = await create_task(client, agent_id, title="Before")
    task_id = await create_task(client, agent_id, title="After", dependsOn=[needed], requiredRole="ARCHITECT")
    shown = call(running_hub, "tasks", "show", task_id)
    assert details(shown)["waits for"] == f"task {needed} (Before), which is PENDING"
    assert f"an agent that takes it: role ARCHITECT, capabilities {agent_id}" in shown
    assert "Depends on" in shown
    data = call_json(running_hub, "tasks", "show", task_id)
    assert [task["taskId"] for task in data["dependencies"]["nodes"]] == [needed]


async def test_decisions_are_listed_by_type_page_by_page(running_hub: RunningHub, client: HubClient) -> None:
    made = [await decide(client, f"Outcome {number}") for number in range(3)]
    other = await decide(client, "Another", decisionType="RESOURCE_ALLOCATION")
    listed = call_json(running_hub, "decision", "list", "--type", "escalation", "--limit", "2")
    assert [decision["decisionId"] for decision in nodes(listed)] == [made[2], made[1]]
    assert listed["pageInfo"]["hasNextPage"] is True
    after = listed["pageInfo"]["endCursor"]
    rest = call_json(running_hub, "decision", "list", "--type", "escalation", "--limit", "1", "--after", after)
    assert [decision["decisionId"] for decision in nodes(rest)] == [made[0]]
    first = run_hub(running_hub.folder, "decision", "list", "--limit", "1", HUB_URL=running_hub.url)
    assert first.stdout.splitlines()[1].split()[:2] == [other, "RESOURCE_ALLOCATION"]
    assert first.stderr.startswith("There are more: --after ")


async def test_a_decision_is_shown_whole_to_those_who_may_read_it(running_hub: RunningHub, client: HubClient) -> None:
    agent_id = new_agent_id()
    await register(client, agent_id)
    span = {"intervalStart": "2026-01-01T00:00:00Z", "intervalEnd": "2026-01-01T01:00:00Z"}
    decision_id = await decide(
        client,
        "Ship [it]",
        agentAssignments={agent_id: ["task"]},
        learningNotes="Earlier next time.",
        evidence=[{"agentId": agent_id, "snapshot": {"cpu": 12.5}, **span}],
    )
    task_id = await create_task(client, agent_id, title="Ship", decisionId=decision_id)
    shown = call(running_hub, "decision", "show", decision_id)
    told = details(shown)
    assert (told["outcome"], told["confidence"], told["reasoning"]) == (
        "Ship [it]",
        "7 of 10",
        "First this, then that.",
    )
    assert (told["decided by"], told["learning notes"]) == ("admin", "Earlier next time.")
    assert '"why": "context"' in shown
    assert '"cpu": 12.5' in shown
    assert row_of(shown, task_id) == [task_id, "Ship", "PENDING"]
    assert call_json(running_hub, "decision", "show", decision_id)["contextData"] == {"why": "context"}


async def test_what_is_sealed_is_withheld_with_its_reason(running_hub: RunningHub, client: HubClient) -> None:
    decision_id = await decide(client, "Secretly")
    viewer = await agent_token(client, new_agent_id(), "AGENT")
    told = details(call(running_hub, "decision", "show", decision_id, HUB_TOKEN=viewer))
    assert told["outcome"] == "Secretly"
    assert "First this" not in str(told)
    assert "PM" in told["reasoning"]
    assert told["context"] == told["reasoning"]
    data: Mapping[str, Any] = call_json(running_hub, "decision", "show", decision_id, HUB_TOKEN=viewer)
    assert (data["reasoningProcess"], data["contextData"], data["sealed"]["access"]) == (None, None, "FORBIDDEN")


def test_an_option_of_the_listing_in_front_of_a_subcommand_is_refused(running_hub: RunningHub) -> None:
    assert "give the options behind it" in call(running_hub, "agents", "--json", "show", "x", code=2)
    assert "--status in front of" in call(running_hub, "tasks", "--status", "failed", "show", "x", code=2)
    assert "king" in call(running_hub, "agents", "--status", "king", code=2)


async def test_what_waits_is_listed_and_watched(running_hub: RunningHub, client: HubClient) -> None:
    agent_id = new_agent_id()
    await register(client, agent_id)
    found = await client.mutate(agents.SET_STATUS, {"agentId": agent_id, "status": "ERROR", "expectedVersion": 1})
    assert found["agent"]["status"] == "ERROR"
    (item,) = [each for each in nodes(call_json(running_hub, "attention")) if each["agentId"] == agent_id]
    assert (item["kind"], item["waitsFor"], item["nextSteps"]) == ("AGENT_ERROR", "OPERATOR", ["agentSetStatus"])
    (line,) = [line for line in call(running_hub, "attention").splitlines() if agent_id in line]
    assert "agent error" in line


def start_watch(running_hub: RunningHub, log: Path) -> "subprocess.Popen[bytes]":
    line = [str(HUB), "attention", "--watch"]
    with log.open("wb") as output:
        return subprocess.Popen(
            line, env=environment(running_hub.folder, HUB_URL=running_hub.url), stdout=output, stderr=output
        )


async def test_who_watches_sees_the_queue_change(running_hub: RunningHub, client: HubClient, tmp_path: Path) -> None:
    agent_id, log = new_agent_id(), tmp_path / "log"
    await register(client, agent_id)
    watching = start_watch(running_hub, log)

    async def is_shown() -> bool:
        return agent_id in log.read_text()

    async def has_begun() -> bool:
        return bool(log.read_text())

    await until(has_begun)
    assert not await is_shown()
    await client.mutate(agents.SET_STATUS, {"agentId": agent_id, "status": "ERROR", "expectedVersion": 1})
    await until(is_shown)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    assert "Traceback" not in log.read_text()
