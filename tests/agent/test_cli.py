"""The client commands against a real hub."""

import json
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.client.connection import HubClient
from app.client.errors import HubUnauthorised
from app.client.operations import access
from app.demo.team import AGENT_COMMAND, PM_COMMAND
from tests.acceptance.processes import HUB, environment, hub
from tests.agent.hubs import Agent, RunningHub, agent_token, new_agent_id, until
from tests.demo.trees import CLEAN, write

pytestmark = pytest.mark.slow


def call(running: RunningHub, *arguments: str, code: int = 0) -> str:
    """Standard output of a command that ends with this exit code, or its standard error when that is not 0."""
    done = hub(running.folder, running.url, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def call_json(running: RunningHub, *arguments: str) -> Any:
    return json.loads(call(running, *arguments, "--json"))


@pytest.fixture
async def client(running_hub: RunningHub) -> AsyncIterator[HubClient]:
    async with running_hub.client() as client:
        yield client


async def test_tokens_are_made_listed_and_revoked(running_hub: RunningHub) -> None:
    made = call_json(running_hub, "token", "create", "ci", "--role", "viewer", "--expires", "2h")
    assert (made["tokenName"], made["role"], made["agentId"]) == ("ci", "VIEWER", None)
    async with HubClient(running_hub.url, made["secret"]) as viewer:
        assert (await viewer.execute(access.VIEWER))["viewer"] == {"name": "ci", "role": "VIEWER", "agentId": None}
    assert made["tokenId"] in call(running_hub, "token", "list")
    assert made["secret"] not in call(running_hub, "token", "list")
    assert call(running_hub, "token", "revoke", made["tokenId"]) == f"Revoked ci ({made['tokenId']}).\n"
    (listed,) = [
        token for token in call_json(running_hub, "token", "list")["nodes"] if token["tokenId"] == made["tokenId"]
    ]
    assert listed["revokedAt"] is not None

    async def refused() -> bool:
        async with HubClient(running_hub.url, made["secret"]) as viewer:
            try:
                await viewer.execute(access.VIEWER)
            except HubUnauthorised:
                return True
            return False

    await until(refused)


def test_a_secret_stands_alone_on_its_line(running_hub: RunningHub) -> None:
    lines = call(running_hub, "token", "create", "james", "--role", "agent", "--agent", "james-dev").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("hub_")
    assert " " not in lines[1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("token", "create", "x", "--role", "agent"), "names the agent"),
        (("token", "create", "x", "--role", "agent", "--agent", "Bad Id"), "lower-case words joined by hyphens"),
        (("token", "revoke", "0190c0de-0000-7000-8000-000000000001"), "There is no"),
        (("workflow", "start", "no-such-thing"), "There is no workflow template 'no-such-thing'"),
        (("workflow", "watch", "0190c0de-0000-7000-8000-000000000001"), "There is no workflow execution"),
        (("workflow", "watch", "not-an-id"), "UUID"),
        (("gate", "approve", "ffffffff", "--reason", "r"), "There is no gate 'ffffffff'"),
        (("gate", "approve", "0190c0de-0000-7000-8000-000000000001", "--reason", "r"), "There is no gate"),
    ],
)
def test_a_refusal_is_exit_code_1_with_its_reason(
    running_hub: RunningHub, arguments: tuple[str, ...], text: str
) -> None:
    assert text in call(running_hub, *arguments, code=1).replace("\n", " ")


@pytest.mark.timeout(300)
async def test_a_workflow_is_started_watched_and_its_gates_decided(
    running_hub: RunningHub, client: HubClient, tmp_path: Path
) -> None:
    tree = write(tmp_path / "tree", CLEAN)
    agent_id = new_agent_id()
    skills = [word for name in ("lint", "types", "size", "report") for word in ("--capability", name)]
    pm_token = await agent_token(client, f"{agent_id}-pm", "PM")
    worker_token = await agent_token(client, agent_id)
    with (
        Agent(tmp_path, running_hub.url, pm_token, f"{agent_id}-pm", PM_COMMAND, role="pm"),
        Agent(tmp_path, running_hub.url, worker_token, agent_id, AGENT_COMMAND, "--concurrency", "3", *skills),
    ):
        first = start(running_hub, tree)
        gate = await waiting_gate(running_hub, first)
        assert gate["gateName"] in call(running_hub, "gate", "list", "--execution", first)
        # sent back once, then approved: by its whole id, and by as much of it as is unique
        call(running_hub, "gate", "revise", gate["gateId"], "--reason", "Say more.", "--suggestions", "More words")
        again = await waiting_gate(running_hub, first, revision=1)
        assert again["gateId"] == gate["gateId"]
        others = [found["gateId"] for found in call_json(running_hub, "gate", "list", "--all")["nodes"]]
        unique = next(
            gate["gateId"][:n]
            for n in range(8, 37)
            if sum(other.startswith(gate["gateId"][:n]) for other in others) == 1
        )
        if len(others) > 1:
            assert "gates begin with '0'" in call(running_hub, "gate", "approve", "0", "--reason", "r", code=1)
        decided = call(
            running_hub, "gate", "approve", unique, "--reason", "Good.", "--confidence", "9", "--score", "8.5"
        )
        assert decided == "Final approval of the audit is APPROVED.\n"
        watched = call(running_hub, "workflow", "watch", first)
        assert watched.splitlines()[0].startswith("code-audit ")
        assert "  gate Final approval of the audit APPROVED: Good." in watched
        assert "cannot become" in call(running_hub, "gate", "reject", unique, "--reason", "Late.", code=1)

        second = start(running_hub, tree)
        gate = await waiting_gate(running_hub, second)
        call(running_hub, "gate", "reject", gate["gateId"], "--reason", "No.")
        assert "FAILED" in hub(running_hub.folder, running_hub.url, "workflow", "watch", second).stdout
        assert call(running_hub, "workflow", "watch", second, code=1) == ""
    listed = {workflow["executionId"]: workflow for workflow in call_json(running_hub, "workflow", "list")["nodes"]}
    assert (listed[first]["executionStatus"], listed[second]["executionStatus"]) == ("COMPLETED", "FAILED")
    assert first in call(running_hub, "workflow", "list", "--limit", "5")


def start(running: RunningHub, tree: Path) -> str:
    execution_id: str = call_json(running, "workflow", "start", "code-audit", "--input", f"path={tree}")["executionId"]
    return execution_id


async def waiting_gate(running: RunningHub, execution_id: str, revision: int = 0) -> dict[str, Any]:
    """The final approval of the execution once it waits for its verdict."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        gates = call_json(running, "gate", "list", "--execution", execution_id)["nodes"]
        found[:] = [gate for gate in gates if gate["gateType"] == "FINAL_APPROVAL" and gate["revision"] == revision]
        return bool(found)

    await until(there, 90)
    return found[0]


def start_watch(running: RunningHub, log: Path) -> "subprocess.Popen[bytes]":
    line = [str(HUB), "workflow", "start", "code-audit", "--input", "path=/", "--watch"]
    with log.open("wb") as output:
        return subprocess.Popen(
            line, env=environment(running.folder, HUB_URL=running.url), stdout=output, stderr=output
        )


async def test_ctrl_c_ends_a_watch_without_a_trace(running_hub: RunningHub, tmp_path: Path) -> None:
    log = tmp_path / "log"
    watching = start_watch(running_hub, log)

    async def seen() -> bool:
        return "task Decide: decide PENDING" in log.read_text()

    await until(seen)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    assert "Traceback" not in log.read_text()
    assert "Error" not in log.read_text()
