"""A real hub and real agents for the tests of this folder and of the demo."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import psutil
import pytest

from app.client.connection import HubClient
from app.client.operations import access
from tests.acceptance.processes import HUB, api, data_folder, environment

WAIT_SECONDS = 30

CREATE_TASK = """
mutation TaskCreate($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { taskId version } userErrors { field message code currentVersion } }
}
"""

TASK = """
query Task($taskId: ID!) {
  task(taskId: $taskId) {
    taskId status version attempts failures result completedAt
    assignedAgent { agentId status }
    progress { percent message }
    modelAssignments { nodes {
      providerName modelName assignmentStatus actualCost tokensUsed processingTime agent { agentId }
    } }
  }
}
"""

AGENT = """
query Agent($agentId: ID!) {
  agent(agentId: $agentId) {
    agentId status resourceUtilization performanceMetrics
    metrics(first: 100) { nodes { cpuUsage memoryUsage activeSessions } }
  }
}
"""


@dataclass(frozen=True)
class RunningHub:
    """A hub on a port of its own."""

    folder: Path
    url: str
    token: str

    def client(self) -> HubClient:
        """An administrator's client."""
        return HubClient(self.url, self.token)


@pytest.fixture(scope="module")
def running_hub() -> Iterator[RunningHub]:
    """`hub up` with an empty database, for all tests of a module."""
    with data_folder() as folder, api(folder) as process:
        url = process.wait_until_ready()
        yield RunningHub(folder, url, (folder / "admin.token").read_text().strip())
        assert process.popen.poll() is None, f"the hub ended by itself:\n{process.log.read_text(errors='replace')}"


def new_agent_id() -> str:
    """An id that no other test uses, which is also the one capability of that agent."""
    return f"test-{uuid4().hex[:12]}"


async def agent_token(client: HubClient, agent_id: str, role: str = "AGENT") -> str:
    """A token for the agent."""
    given = {"tokenName": agent_id, "role": role, "agentId": agent_id}
    secret: str = (await client.mutate(access.CREATE, given))["secret"]
    return secret


async def create_task(client: HubClient, agent_id: str, **given: Any) -> str:
    """A task that only this agent can claim; its id."""
    values = {"title": "Test", "requiredCapabilities": [agent_id], **given}
    task_id: str = (await client.mutate(CREATE_TASK, values))["task"]["taskId"]
    return task_id


async def read_task(client: HubClient, task_id: str) -> dict[str, Any]:
    """The task as it is."""
    task: dict[str, Any] = (await client.execute(TASK, {"taskId": task_id}))["task"]
    return task


async def task_in(client: HubClient, task_id: str, *statuses: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
    """The task once it is in one of the statuses."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update(await read_task(client, task_id))
        return found["status"] in statuses

    await until(there, seconds)
    return found


async def read_agent(client: HubClient, agent_id: str) -> dict[str, Any]:
    """The agent as it is."""
    agent: dict[str, Any] = (await client.execute(AGENT, {"agentId": agent_id}))["agent"]
    return agent


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  (another process: nothing to wait on)
            await asyncio.sleep(0.05)


async def file_with_text(path: Path) -> str:
    """The file's text once it has some."""

    async def there() -> bool:
        return _text(path) != ""

    await until(there)
    return _text(path)


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def alive(pid: int) -> bool:
    """Whether the process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Agent:
    """A `hub agent run` process; its tasks run in `folder`, or without `run_in` in folders of their own below."""

    def __init__(
        self,
        folder: Path,
        url: str,
        token: str,
        agent_id: str,
        command: str,
        *options: str,
        role: str = "developer",
        run_in: bool = True,
    ) -> None:
        there = ["--run-in", str(folder)] if run_in else []
        self.log = folder / f"agent-{time.monotonic_ns()}.log"
        line = [str(HUB), "agent", "run", "--id", agent_id, "--role", role, "--capability", agent_id]
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [*line, "--command", command, *there, "--work-dir", str(folder / "work"), *options],
                env=environment(folder, HUB_URL=url, HUB_TOKEN=token),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(15)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(5)
        if self.popen.stdin is not None:
            self.popen.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        os.kill(self.popen.pid, number)

    async def ended(self, seconds: float) -> int:
        """The exit code, once the process has ended."""

        async def over() -> bool:
            return self.popen.poll() is not None

        await until(over, seconds)
        assert self.popen.returncode is not None
        return self.popen.returncode

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")
