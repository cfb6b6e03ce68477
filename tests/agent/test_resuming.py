"""An agent that is cut off or killed at any moment does no task twice unseen, and delivers what it has done."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.client.connection import HubClient
from app.client.operations import tasks
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
from tests.agent.proxies import Cut, proxy

pytestmark = pytest.mark.slow

COUNTED = "echo run >> $RUNS; echo $$ > $RUNS.pid; while [ ! -e $RUNS.go ]; do sleep 0.05; done; echo '{\"done\": 1}'"


class Bench:
    """One agent's id, token and folder; its commands count their runs in a file beside its folder."""

    def __init__(self, hub: RunningHub, client: HubClient, token: str, agent_id: str, folder: Path) -> None:
        self.hub, self.client, self.token, self.agent_id, self.folder = hub, client, token, agent_id, folder
        self.runs = folder / "runs"
        self.work = folder / "work"

    def agent(self, command: str, *options: str, url: str | None = None) -> Agent:
        line = f"RUNS={self.runs}; {command}"
        return Agent(self.folder, url or self.hub.url, self.token, self.agent_id, line, *options, run_in=False)

    def go(self) -> None:
        """Let the command end."""
        Path(f"{self.runs}.go").touch()

    def count(self) -> int:
        return self.runs.read_text().count("run") if self.runs.exists() else 0

    async def begun(self) -> int:
        """The command's process, once it runs."""
        return int(await file_with_text(Path(f"{self.runs}.pid")))

    def journal(self) -> list[Path]:
        return sorted((self.work / ".hub-agent" / self.agent_id).glob("*.json"))


@pytest.fixture
async def client(running_hub: RunningHub) -> AsyncIterator[HubClient]:
    async with running_hub.client() as client:
        yield client


@pytest.fixture
async def bench(running_hub: RunningHub, client: HubClient, tmp_path: Path) -> Bench:
    agent_id = new_agent_id()
    return Bench(running_hub, client, await agent_token(client, agent_id), agent_id, tmp_path)


@pytest.mark.parametrize("operation", ["TaskClaim", "TaskStart", "TaskComplete"])
@pytest.mark.parametrize("moment", ["before the request", "before the answer"])
async def test_a_cut_at_this_moment_repeats_nothing(bench: Bench, operation: str, moment: str) -> None:
    task_id = await create_task(bench.client, bench.agent_id)
    bench.go()
    async with proxy(bench.hub.url) as way:
        way.cut_once(Cut(operation, after=moment == "before the answer"))
        with bench.agent(COUNTED, url=way.url):
            task = await task_in(bench.client, task_id, "COMPLETED")
            await until(lambda: _empty(bench))
        assert way.cuts == 1
    assert (bench.count(), task["attempts"], task["failures"], task["result"]) == (1, 1, 0, {"done": 1})


async def test_a_result_that_could_not_be_delivered_survives_the_agent(bench: Bench) -> None:
    task_id = await create_task(bench.client, bench.agent_id)
    async with proxy(bench.hub.url) as way:
        with bench.agent(COUNTED, url=way.url) as agent:
            await bench.begun()
            await way.cut()
            bench.go()
            await until(lambda: _stage(bench, "finished"))
            agent.signal(signal.SIGKILL)
            assert await agent.ended(5) == -signal.SIGKILL
    assert (await read_task(bench.client, task_id))["status"] == "RUNNING"
    with bench.agent(COUNTED) as agent:
        task = await task_in(bench.client, task_id, "COMPLETED")
        assert "delivering a result that was kept" in agent.said()
        await until(lambda: _empty(bench))
    assert (bench.count(), task["attempts"], task["failures"], task["result"]) == (1, 1, 0, {"done": 1})


async def test_a_result_that_was_delivered_without_the_agents_knowing_is_delivered_once(bench: Bench) -> None:
    task_id = await create_task(bench.client, bench.agent_id)
    bench.go()
    async with proxy(bench.hub.url) as way:
        way.cut_for_good(Cut("TaskComplete", after=True))
        with bench.agent(COUNTED, url=way.url) as agent:
            done = await task_in(bench.client, task_id, "COMPLETED")
            agent.signal(signal.SIGKILL)
            await agent.ended(5)
    assert await _stage(bench, "finished")
    with bench.agent(COUNTED):
        await until(lambda: _empty(bench))
    again = await read_task(bench.client, task_id)
    assert (again["version"], again["completedAt"]) == (done["version"], done["completedAt"])
    assert bench.count() == 1


KILLED = "the agent's process was killed while the command ran"


@pytest.mark.parametrize(
    ("choice", "attempts", "reason"), [("release", 2, "The command ended with exit code 9"), ("fail", 1, KILLED)]
)
async def test_work_that_a_kill_interrupted_is_told_and_its_processes_end(
    bench: Bench, choice: str, attempts: int, reason: str
) -> None:
    task_id = await create_task(bench.client, bench.agent_id)
    stubborn = f"trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ > {bench.runs}.far; sleep 300; :') & {COUNTED}"
    with bench.agent(stubborn) as agent:
        near = await bench.begun()
        far = int(await file_with_text(Path(f"{bench.runs}.far")))
        agent.signal(signal.SIGKILL)
        await agent.ended(5)
    assert (alive(near), alive(far)) == (True, True)
    with bench.agent("exit 9", "--interrupted", choice, "--grace", "0.2"):
        task = await task_in(bench.client, task_id, "FAILED")
        assert (alive(near), alive(far)) == (False, False)
    # what was given back was tried again, by a command that fails
    assert (task["attempts"], task["failures"]) == (attempts, 1)
    assert task["result"]["error"].startswith(reason)
    assert bench.count() == 1


async def test_a_result_that_comes_too_late_is_set_aside(bench: Bench) -> None:
    task_id = await create_task(bench.client, bench.agent_id)
    async with proxy(bench.hub.url) as way:
        with bench.agent(COUNTED, url=way.url) as agent:
            await bench.begun()
            held = await task_in(bench.client, task_id, "RUNNING")
            await way.cut()
            bench.go()
            await until(lambda: _stage(bench, "finished"))
            agent.signal(signal.SIGKILL)
            await agent.ended(5)
    given = {"taskId": task_id, "expectedVersion": held["version"], "reason": "test"}
    await bench.client.mutate(tasks.RELEASE, given)
    with bench.agent(COUNTED) as agent:
        task = await task_in(bench.client, task_id, "COMPLETED")
        assert "CLAIM_LOST" in agent.said()
    assert (task["attempts"], task["result"]) == (2, {"done": 1})
    (kept,) = (bench.work / ".hub-agent" / bench.agent_id / "lost").iterdir()
    assert json.loads(kept.read_text())["finished"]["stdout"] == '{"done": 1}\n'


async def test_a_task_has_a_folder_of_its_own_which_is_kept_when_it_fails(bench: Bench) -> None:
    bench.go()
    with bench.agent("pwd > mark; test $HUB_ATTEMPT-$(ls | wc -l) = 1-1 && pwd") as agent:
        first = await create_task(bench.client, bench.agent_id)
        done = await task_in(bench.client, first, "COMPLETED")
        assert done["result"] == {"text": f"{bench.work / first}-1\n"}
        await until(lambda: _gone(bench.work / f"{first}-1"))
        agent.signal(signal.SIGTERM)
        assert await agent.ended(10) == 0
    with bench.agent("pwd > mark; echo $HUB_IDEMPOTENCY_KEY > key; test ! -e ../keep", "--keep"):
        second = await create_task(bench.client, bench.agent_id)
        await task_in(bench.client, second, "COMPLETED")
        (bench.work / "keep").touch()
        third = await create_task(bench.client, bench.agent_id)
        await task_in(bench.client, third, "FAILED")
        for task_id in (second, third):
            folder = bench.work / f"{task_id}-1"
            assert (folder / "mark").read_text() == f"{folder}\n"
            assert (folder / "key").read_text() == f"{task_id}\n"


async def test_a_stopped_agent_lets_its_task_end_and_claims_no_more(bench: Bench) -> None:
    first = await create_task(bench.client, bench.agent_id)
    second = await create_task(bench.client, bench.agent_id)
    with bench.agent(COUNTED, "--drain", "30") as agent:
        await bench.begun()
        agent.signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        bench.go()
        assert await agent.ended(15) == 0
    assert (await read_task(bench.client, first))["result"] == {"done": 1}
    assert (await read_task(bench.client, second))["status"] == "PENDING"
    assert (await read_agent(bench.client, bench.agent_id))["status"] == "OFFLINE"


async def test_two_processes_of_one_agent_do_not_share_a_journal(bench: Bench) -> None:
    with bench.agent("true") as first:
        await until(lambda: _says(first, "agent registered"))
        with bench.agent("true") as second:
            assert await second.ended(20) == 1
            assert "Another process of this agent works in" in second.said()
        assert first.popen.poll() is None


async def _stage(bench: Bench, stage: str) -> bool:
    return [json.loads(path.read_text())["stage"] for path in bench.journal()] == [stage]


async def _empty(bench: Bench) -> bool:
    return bench.journal() == []


async def _gone(folder: Path) -> bool:
    return not await asyncio.to_thread(folder.exists)


async def _says(agent: Agent, words: str) -> bool:
    return words in agent.said()
