"""The demo's four agents: real `hub agent run` processes, started, watched and stopped."""

import asyncio
import os
import shlex
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.client.connection import HubClient
from app.client.errors import ClientError
from app.client.operations import access, agents
from app.domain.agents import ONLINE, AgentRole
from app.domain.principals import Role

ONLINE_SECONDS = 60.0
STOP_SECONDS = 12.0
TOKEN_LIFE = timedelta(days=1)
LOG_TAIL = 2_000

ONLINE_NAMES = frozenset(status.name for status in ONLINE)


class AgentFailed(ClientError):
    """An agent of the demo ended although nobody told it to, or did not come online."""


@dataclass(frozen=True)
class Member:
    """One of the demo's agents."""

    agent_id: str
    role: AgentRole
    capabilities: tuple[str, ...] = ()


TEAM = (
    Member("john-pm", AgentRole.PM),
    Member("lena-lint", AgentRole.QA, ("lint",)),
    Member("tara-types", AgentRole.QA, ("types",)),
    Member("sam-size", AgentRole.ANALYST, ("size", "report")),
)


def module_command(module: str) -> str:
    """The command line that runs a module of the demo, whatever folder it is run in."""
    # -P: a module in that folder must not be taken for the hub's
    return f"{shlex.quote(sys.executable)} -P -m {module}"


PM_COMMAND = module_command("app.demo.policy")
AGENT_COMMAND = module_command("app.demo.audit")


class Team:
    """The four processes. `client` is an administrator's; it makes and revokes the agents' tokens."""

    def __init__(
        self, client: HubClient, folder: Path, logs: Path, pm_command: str | None, agent_command: str | None
    ) -> None:
        self._client = client
        self._folder = folder
        self._logs = logs
        self._pm_command = pm_command or PM_COMMAND
        self._agent_command = agent_command or AGENT_COMMAND
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tokens: list[str] = []

    async def start(self) -> None:
        """Start all four, and return when all are online. Raises `AgentFailed`."""
        for member in TEAM:
            if await self._is_online(member.agent_id):
                raise AgentFailed(
                    f"An agent {member.agent_id} is online on this hub already. Stop it, or wait for the demo that it "
                    "belongs to, and start again."
                )
        for member in TEAM:
            await whole(self._start(member))
        await self._all_online()

    async def guard(self) -> None:
        """Raise `AgentFailed` as soon as one of them ends; never returns otherwise."""
        waits = {asyncio.create_task(process.wait(), name=agent_id) for agent_id, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        ended = next(iter(done))
        raise AgentFailed(
            f"The agent {ended.get_name()} ended with exit code {ended.result()}. {self._log_tail(ended.get_name())}"
        )

    async def stop(self) -> None:
        """Stop all of them in good order, kill those that do not heed it, and revoke their tokens."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        waits = [asyncio.create_task(process.wait()) for process in self._processes.values()]
        if waits:
            await asyncio.wait(waits, timeout=STOP_SECONDS)
        for process in self._processes.values():
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        await asyncio.gather(*waits)
        for token_id in self._tokens:
            with suppress(ClientError):
                await self._client.mutate(access.REVOKE, {"tokenId": token_id})

    async def _token(self, member: Member) -> str:
        payload = await self._client.mutate(
            access.CREATE,
            {
                "tokenName": member.agent_id,
                "role": (Role.PM if member.role is AgentRole.PM else Role.AGENT).name,
                "agentId": member.agent_id,
                "expiresAt": (datetime.now(UTC) + TOKEN_LIFE).isoformat(),
            },
        )
        self._tokens.append(payload["apiToken"]["tokenId"])
        secret: str = payload["secret"]
        return secret

    async def _start(self, member: Member) -> None:
        self._processes[member.agent_id] = await self._process(member, await self._token(member))

    async def _process(self, member: Member, token: str) -> asyncio.subprocess.Process:
        capabilities = [word for name in member.capabilities for word in ("--capability", name)]
        command = self._pm_command if member.role is AgentRole.PM else self._agent_command
        with self._log_file(member.agent_id).open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *_agent_line(member, command, self._folder, self._logs / "agents", capabilities),
                # the agents stop when this pipe closes, be it that the demo was killed
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "HUB_URL": self._client.url, "HUB_TOKEN": token},
                # Ctrl-C at the terminal is the demo's, which then stops them in good order
                start_new_session=True,
            )

    async def _all_online(self) -> None:
        guard = asyncio.create_task(self.guard())
        online = asyncio.create_task(self._until_online())
        try:
            done, _ = await asyncio.wait({guard, online}, timeout=ONLINE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            guard.cancel()
            online.cancel()
            await asyncio.gather(guard, online, return_exceptions=True)
        if not done:
            raise AgentFailed(f"The agents did not come online within {ONLINE_SECONDS:g} seconds.")
        for task in done:
            task.result()

    async def _until_online(self) -> None:
        for member in TEAM:
            while not await self._is_online(member.agent_id):  # noqa: ASYNC110  (another process: nothing to wait on)
                await asyncio.sleep(0.2)

    async def _is_online(self, agent_id: str) -> bool:
        agent = (await self._client.execute(agents.AGENT, {"agentId": agent_id}))["agent"]
        return agent is not None and agent["status"] in ONLINE_NAMES and not agent["isStale"]

    def _log_file(self, agent_id: str) -> Path:
        return self._logs / f"{agent_id}.log"

    def _log_tail(self, agent_id: str) -> str:
        with suppress(OSError):
            return self._log_file(agent_id).read_text(errors="replace")[-LOG_TAIL:]
        return ""


async def whole(starting: Coroutine[Any, Any, None]) -> None:
    """Carry this through, cancelled or not, so that `stop` knows of every token and process.

    Besides, asyncio may wait for ever for a process whose start was cut off (seen on Python 3.11).
    """
    task = asyncio.create_task(starting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


def _agent_line(member: Member, command: str, folder: Path, work_dir: Path, capabilities: Sequence[str]) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "app.agent", "run"),
        *("--id", member.agent_id, "--role", member.role.value, "--command", command),
        *("--run-in", str(folder), "--work-dir", str(work_dir), "--log-level", "warning", "--until-eof"),
        *capabilities,
    ]
