"""Real agents of a real hub: they work, and lose nothing when they are stopped, killed or cut off."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.client.connection import HubClient
from app.client.operations import agents, tasks, workflows
from tests.agent.hubs import (
    Agent,
    RunningHub,
    agent_token,
    alive,
    create_task,
    file_with_text,
    new_agent_id,
    read_agent,
    read_task,
    task_in,
    until,
)
from tests.agent.proxies import proxy

pytestmark = pytest.mark.slow

HANG = "sleep 300 & echo $! > child; echo $$ > leader; wait"


@pytest.fixture
async def client(running_hub: RunningHub) -> AsyncIterator[HubClient]:
    async with running_hub.client() as client:
        yield client


class Bench:
    """What a test needs of one agent: its id, token and folder."""

    def __init__(self, hub: RunningHub, agent_id: str, token: str, folder: Path) -> None:
        self.hub, self.agent_id, self.token, self.folder = hub, agent_id, token, folder

    def agent(self, command: str, *options: str, url: str | None = None, **more: Any) -> Agent:
        return Agent(self.folder, url or self.hub.url, self.token, self.agent_id, command, *options, **more)


@pytest.fixture
async def bench(running_hub: RunningHub, client: HubClient, tmp_path: Path) -> Bench:
    agent_id = new_agent_id()
    return Bench(running_hub, agent_id, await agent_token(client, agent_id), tmp_path)


async def test_a_command_gets_its_task_and_its_output_is_the_result(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id, description="D", complexity=3, input={"n": [1, "ü"]})
    with bench.agent("tee task.json; env | grep ^HUB_ | sort > variables"):
        task = await task_in(client, task_id, "COMPLETED", "FAILED")
    given = {
        "taskId": task_id,
        "taskKind": "work",
        "title": "Test",
        "description": "D",
        "executionId": None,
        "decisionId": None,
        "phase": None,
        "complexity": 3,
        "requiredCapabilities": [bench.agent_id],
        "input": {"n": [1, "ü"]},
    }
    assert json.loads((bench.folder / "task.json").read_text()) == given
    assert (task["status"], task["result"], task["attempts"], task["failures"]) == ("COMPLETED", given, 1, 0)
    assert task["modelAssignments"]["nodes"] == []
    assert (bench.folder / "variables").read_text().splitlines() == [
        f"HUB_AGENT_ID={bench.agent_id}",
        "HUB_ATTEMPT=1",
        "HUB_EXECUTION_ID=",
        f"HUB_IDEMPOTENCY_KEY={task_id}",
        "HUB_PHASE=",
        f"HUB_TASK_DIR={bench.folder}",
        f"HUB_TASK_ID={task_id}",
    ]


async def test_a_task_that_comes_later_is_taken_up_at_once(client: HubClient, bench: Bench) -> None:
    with bench.agent("echo plain words") as agent:
        await until(lambda: _says(agent, "agent registered"))
        await asyncio.sleep(1)
        started = time.monotonic()
        task_id = await create_task(client, bench.agent_id)
        task = await task_in(client, task_id, "COMPLETED")
        # well below the five seconds of the poll behind the subscription
        assert time.monotonic() - started < 3
    assert task["result"] == {"text": "plain words\n"}


async def test_a_failing_command_fails_its_task_with_the_reason(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    with bench.agent(r"printf 'no such \033[31mluck\033[0m\n' >&2; exit 3"):
        task = await task_in(client, task_id, "FAILED")
    assert task["result"]["error"] == "The command ended with exit code 3. no such luck"
    assert task["failures"] == 1


async def test_a_command_that_takes_too_long_is_ended(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    with bench.agent(HANG, "--timeout", "1"):
        task = await task_in(client, task_id, "FAILED")
        assert task["result"]["error"].startswith("The command was ended because it ran longer than 1 seconds.")
        assert not alive(int((bench.folder / "child").read_text()))


async def test_progress_is_passed_on_while_the_command_runs(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    command = "for i in 1 2 3 4 5 6 7 8 9; do echo step $i, ${i}0 % >&2; sleep 0.1; done; sleep 1.5; echo 1"
    seen: list[Any] = []
    with bench.agent(command):

        async def done() -> bool:
            task = await read_task(client, task_id)
            if task["progress"] is not None and task["status"] == "RUNNING":
                seen.append((task["progress"]["percent"], task["progress"]["message"]))
            return bool(task["status"] == "COMPLETED")

        await until(done)
    assert set(seen) == {(10.0, "step 1, 10 %"), (90.0, "step 9, 90 %")}


async def test_sigterm_gives_the_task_back_and_leaves_nothing(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    with bench.agent(HANG) as agent:
        child = int(await file_with_text(bench.folder / "child"))
        started = time.monotonic()
        agent.signal(signal.SIGTERM)
        assert await agent.ended(10) == 0
        assert time.monotonic() - started < 10
    task = await read_task(client, task_id)
    assert (task["status"], task["attempts"], task["failures"]) == ("PENDING", 1, 0)
    assert task["assignedAgent"] is None
    assert (await read_agent(client, bench.agent_id))["status"] == "OFFLINE"
    assert not alive(child)


async def test_sigterm_ends_even_a_command_that_does_not_heed_it(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    with bench.agent("trap '' TERM; echo $$ > leader; while true; do sleep 1; done") as agent:
        leader = int(await file_with_text(bench.folder / "leader"))
        agent.signal(signal.SIGTERM)
        assert await agent.ended(10) == 0
    assert not alive(leader)
    assert (await read_task(client, task_id))["status"] == "PENDING"


async def test_a_second_signal_ends_it_at_once(client: HubClient, bench: Bench) -> None:
    await create_task(client, bench.agent_id)
    with bench.agent("trap '' TERM; echo $$ > leader; while true; do sleep 1; done") as agent:
        leader = int(await file_with_text(bench.folder / "leader"))
        agent.signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        agent.signal(signal.SIGINT)
        assert await agent.ended(5) == 130

    async def dead() -> bool:
        return not alive(leader)

    await until(dead, 20)


async def test_an_agent_that_was_killed_and_restarted_takes_its_task_again(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    command = f"if [ -e child ]; then echo '{{\"again\": true}}'; else {HANG}; fi"
    with bench.agent(command) as first:
        child = int(await file_with_text(bench.folder / "child"))
        leader = int(await file_with_text(bench.folder / "leader"))
        first.signal(signal.SIGKILL)
        assert await first.ended(5) == -signal.SIGKILL
        # what a killed agent leaves behind is nobody's to end but the user's
        assert alive(child)
        os.killpg(leader, signal.SIGKILL)
    assert (await read_task(client, task_id))["status"] == "RUNNING"
    with bench.agent(command):
        task = await task_in(client, task_id, "COMPLETED")
    assert (task["attempts"], task["failures"], task["result"]) == (2, 0, {"again": True})


async def test_a_task_that_the_hub_takes_away_is_given_up(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    command = f"if [ -e child ]; then echo 2; else {HANG}; fi"
    with bench.agent(command):
        child = int(await file_with_text(bench.folder / "child"))
        held = await task_in(client, task_id, "RUNNING")
        await client.mutate(tasks.RELEASE, {"taskId": task_id, "expectedVersion": held["version"], "reason": "test"})
        task = await task_in(client, task_id, "COMPLETED")
        assert not alive(child)
    assert (task["attempts"], task["failures"], task["result"]) == (2, 0, 2)


async def test_a_cancelled_execution_ends_the_command(client: HubClient, bench: Bench, tmp_path: Path) -> None:
    token = await agent_token(client, bench.agent_id + "-pm", "PM")
    with Agent(tmp_path, bench.hub.url, token, bench.agent_id + "-pm", HANG, role="pm"):
        started = await client.mutate(workflows.START, {"workflowName": "code-audit", "inputContext": {"path": "/"}})
        child = int(await file_with_text(tmp_path / "child"))
        execution = {"executionId": started["workflow"]["executionId"]}
        version = (await client.execute(workflows.PROGRESS, execution))["workflow"]["version"]
        await client.mutate(workflows.CANCEL, {**execution, "expectedVersion": version, "reason": "test"})

        async def dead() -> bool:
            return not alive(child)

        await until(dead, 5)


async def test_the_agent_ends_with_its_parent(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    with bench.agent(HANG, "--until-eof") as agent:
        await file_with_text(bench.folder / "child")
        assert agent.popen.stdin is not None
        agent.popen.stdin.close()
        assert await agent.ended(10) == 0
    assert (await read_task(client, task_id))["status"] == "PENDING"


async def test_two_tasks_run_side_by_side(client: HubClient, bench: Bench) -> None:
    ids = [await create_task(client, bench.agent_id) for _ in range(3)]
    # each waits for the other's mark, so neither ends without the other
    command = "touch $HUB_TASK_ID; while [ $(ls | grep -c -- -7) -lt 2 ]; do sleep 0.05; done; echo 1"
    with bench.agent(command, "--concurrency", "2"):
        for task_id in ids:
            await task_in(client, task_id, "COMPLETED")


async def test_a_cut_of_the_network_loses_no_work(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    command = "echo run >> runs; echo $$ > leader; while [ ! -e go ]; do sleep 0.05; done; echo '{\"done\": 1}'"
    async with proxy(bench.hub.url) as way:
        with bench.agent(command, url=way.url) as agent:
            leader = int(await file_with_text(bench.folder / "leader"))
            await way.cut()
            await asyncio.sleep(1)
            assert alive(leader)
            (bench.folder / "go").touch()
            await until(lambda: _says(agent, "hub not reachable, trying again"))
            assert (await read_task(client, task_id))["status"] == "RUNNING"
            await way.mend()
            task = await task_in(client, task_id, "COMPLETED")
            # and it serves on
            (bench.folder / "go").unlink()
            later = await create_task(client, bench.agent_id)
            (bench.folder / "go").touch()
            await task_in(client, later, "COMPLETED")
    assert (task["attempts"], task["failures"], task["result"]) == (1, 0, {"done": 1})
    assert (bench.folder / "runs").read_text() == "run\nrun\n"


async def test_what_claude_tells_becomes_model_assignments(client: HubClient, bench: Bench) -> None:
    printed = {
        "type": "result",
        "is_error": False,
        "duration_ms": 4_200,
        "result": '```json\n{"built": true}\n```',
        "session_id": "s-1",
        "total_cost_usd": 0.0312,
        "modelUsage": {
            "claude-a": {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 1_000, "costUSD": 0.03},
            "claude-b": {"inputTokens": 3, "outputTokens": 1, "costUSD": 0.0012},
        },
    }
    (bench.folder / "printed").write_text(json.dumps(printed))
    task_id = await create_task(client, bench.agent_id)
    with bench.agent("cat printed"):
        task = await task_in(client, task_id, "COMPLETED")
    assert task["result"] == {"built": True}
    shared = {
        "providerName": "CLAUDE_CODE",
        "assignmentStatus": "COMPLETED",
        "processingTime": 4_200,
        "agent": {"agentId": bench.agent_id},
    }
    found = sorted(task["modelAssignments"]["nodes"], key=lambda one: one["modelName"])
    costs = [float(one.pop("actualCost")) for one in found]
    assert costs == [0.03, 0.0012]
    assert [{**one, "processingTime": int(one["processingTime"])} for one in found] == [
        {**shared, "modelName": "claude-a", "tokensUsed": found[0]["tokensUsed"]},
        {**shared, "modelName": "claude-b", "tokensUsed": found[1]["tokensUsed"]},
    ]
    assert [int(one["tokensUsed"]) for one in found] == [1_015, 4]


async def test_a_call_that_a_subscription_covers_costs_nothing(client: HubClient, bench: Bench) -> None:
    printed = {"type": "result", "result": "done", "total_cost_usd": 0.5, "usage": {"output_tokens": 7}}
    (bench.folder / "printed").write_text(json.dumps(printed))
    task_id = await create_task(client, bench.agent_id)
    with bench.agent("cat printed", "--subscription"):
        task = await task_in(client, task_id, "COMPLETED")
    (found,) = task["modelAssignments"]["nodes"]
    assert (float(found["actualCost"]), int(found["tokensUsed"])) == (0.0, 7)


async def test_a_model_that_the_user_names_is_active_while_it_works(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    command = "echo $$ > leader; while [ ! -e go ]; do sleep 0.05; done; echo 1"
    with bench.agent(command, "--model", "glm-4.5", "--provider", "zai_glm"):
        await file_with_text(bench.folder / "leader")
        (during,) = (await read_task(client, task_id))["modelAssignments"]["nodes"]
        (bench.folder / "go").touch()
        (after,) = (await task_in(client, task_id, "COMPLETED"))["modelAssignments"]["nodes"]
    assert (during["providerName"], during["modelName"], during["assignmentStatus"]) == ("ZAI_GLM", "glm-4.5", "ACTIVE")
    assert (after["assignmentStatus"], after["actualCost"], after["tokensUsed"]) == ("COMPLETED", None, None)
    assert int(after["processingTime"]) > 0


async def test_a_model_whose_command_fails_has_failed_and_says_what_it_took(client: HubClient, bench: Bench) -> None:
    printed = {"type": "result", "is_error": True, "result": "Overloaded", "total_cost_usd": 0.25, "usage": {}}
    (bench.folder / "printed").write_text(json.dumps(printed))
    told = await create_task(client, bench.agent_id)
    with bench.agent("cat printed"):
        (of_claude,) = (await task_in(client, told, "FAILED"))["modelAssignments"]["nodes"]
    assert (of_claude["assignmentStatus"], float(of_claude["actualCost"])) == ("FAILED", 0.25)
    last = await create_task(client, bench.agent_id)
    with bench.agent("exit 3", "--model", "glm-4.5"):
        (of_user,) = (await task_in(client, last, "FAILED"))["modelAssignments"]["nodes"]
    assert (of_user["assignmentStatus"], of_user["modelName"]) == ("FAILED", "glm-4.5")


async def test_an_answer_that_names_what_is_not_there_fails_its_task(
    client: HubClient, bench: Bench, tmp_path: Path
) -> None:
    agent_id = bench.agent_id + "-pm"
    token = await agent_token(client, agent_id, "PM")
    hour = {"interval_start": "2026-11-22T00:00:00Z", "interval_end": "2026-11-22T00:00:00Z", "snapshot": 1}
    answer = {"reasoning": "r", "outcome": "o", "confidence": 8, "evidence": [{**hour, "agent_id": "no-body"}]}
    (tmp_path / "answer").write_text(json.dumps(answer))
    with Agent(tmp_path, bench.hub.url, token, agent_id, "cat answer", role="pm"):
        started = await client.mutate(workflows.START, {"workflowName": "code-audit", "inputContext": {"path": "/"}})
        execution = {"executionId": started["workflow"]["executionId"]}

        async def failed() -> bool:
            found = (await client.execute(workflows.PROGRESS, execution))["workflow"]
            return bool(found["executionStatus"] == "FAILED")

        await until(failed)
    (task,) = (await client.execute(workflows.OUTCOME, execution))["workflow"]["tasks"]["nodes"]
    assert "The hub refused the answer: There is no agent no-body." in task["result"]["error"]


async def test_an_answer_that_is_no_decision_fails_with_what_was_expected(
    client: HubClient, bench: Bench, tmp_path: Path
) -> None:
    agent_id = bench.agent_id + "-pm"
    token = await agent_token(client, agent_id, "PM")
    command = """echo '{"reasoning": "r", "outcome": "o", "confidence": 11}'"""
    with Agent(tmp_path, bench.hub.url, token, agent_id, command, role="pm"):
        started = await client.mutate(workflows.START, {"workflowName": "code-audit", "inputContext": {"path": "/"}})
        execution = {"executionId": started["workflow"]["executionId"]}

        async def failed() -> bool:
            found = (await client.execute(workflows.PROGRESS, execution))["workflow"]
            return bool(found["executionStatus"] == "FAILED")

        await until(failed)
    outcome = (await client.execute(workflows.OUTCOME, execution))["workflow"]
    (task,) = outcome["tasks"]["nodes"]
    assert (task["status"] in ("FAILED", "CANCELLED"), task["attempts"]) == (True, 3)
    assert "confidence must be a whole number from 1 to 10, it is 11" in task["result"]["error"]
    assert outcome["decisions"]["nodes"] == []


async def test_it_reports_and_measures_itself(client: HubClient, bench: Bench) -> None:
    task_id = await create_task(client, bench.agent_id)
    with bench.agent("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo 1"):
        await task_in(client, task_id, "COMPLETED")

        async def reported() -> bool:
            return bool((await read_agent(client, bench.agent_id))["performanceMetrics"])

        await until(reported, 15)
        agent = await read_agent(client, bench.agent_id)
    assert agent["resourceUtilization"].keys() == {
        "cpu_percent",
        "memory_mb",
        "disk_mb",
        "network_mb_s",
        "active_sessions",
    }
    assert agent["performanceMetrics"]["tasks_completed"] == 1
    assert agent["performanceMetrics"]["mean_duration_ms"] > 0
    of_task = agent["metrics"]["nodes"][-1]
    assert of_task["activeSessions"] == 1
    assert 0 < float(of_task["cpuUsage"]) <= 100
    assert 20 < float(of_task["memoryUsage"]) < 500


async def test_an_agent_that_was_given_up_comes_back(client: HubClient, bench: Bench) -> None:
    with bench.agent("echo 1") as agent:
        await until(lambda: _says(agent, "agent registered"))
        await client.mutate(agents.SET_STATUS, {"agentId": bench.agent_id, "status": "OFFLINE", "reason": "test"})

        async def back() -> bool:
            return bool((await read_agent(client, bench.agent_id))["status"] == "IDLE")

        await until(back, 20)
        task_id = await create_task(client, bench.agent_id)
        await task_in(client, task_id, "COMPLETED")


async def test_a_task_that_was_claimed_without_the_agents_knowing_is_not_stuck(client: HubClient, bench: Bench) -> None:
    with bench.agent("echo 1", "--concurrency", "2") as agent:
        await until(lambda: _says(agent, "agent registered"))
        agent.signal(signal.SIGSTOP)
        task_id = await create_task(client, bench.agent_id)
        await client.mutate(tasks.CLAIM, {"agentId": bench.agent_id, "taskId": task_id})
        agent.signal(signal.SIGCONT)
        task = await task_in(client, task_id, "COMPLETED", seconds=45)
        assert "knows nothing of" in agent.said()
    assert task["attempts"] == 1


async def test_an_unknown_token_and_a_missing_hub_have_their_exit_codes(bench: Bench) -> None:
    bench.token = "hub_wrong"
    with bench.agent("true") as agent:
        assert await agent.ended(20) == 1
        assert "does not accept this token" in agent.said()
    with bench.agent("true", url="http://127.0.0.1:9") as agent:
        assert await agent.ended(20) == 3
        assert "No hub answers at http://127.0.0.1:9." in agent.said()


async def _says(agent: Agent, words: str) -> bool:
    return words in agent.said()
