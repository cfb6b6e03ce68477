"""One run of the demo: the team starts, an audit is carried to its final approval, the team stops."""

import asyncio
import shlex
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.markup import escape

from app.client.connection import HubClient
from app.client.errors import ClientError
from app.client.operations import access, quality_gates, workflows
from app.client.watching import State, watch
from app.demo.figures import Figures, figures_of
from app.demo.show import Progress
from app.demo.team import Team, whole
from app.domain.quality_gates import ApprovalStatus, GateType

WORKFLOW = "code-audit"
DEFAULT_URL = "http://127.0.0.1:8000"
APPROVAL = "Approved by `hub demo --approve`, unseen by a person."


class DemoTimeout(ClientError):
    """The demo took longer than it was given."""


@dataclass(frozen=True)
class DemoOptions:
    """What is audited, by what, and who approves. `seconds` is how long it may take, a person's wait left out."""

    path: Path
    include: tuple[str, ...]
    approve: bool
    pm_command: str | None
    agent_command: str | None
    seconds: float


class Demo:
    """The demo as a GraphQL client with an administrator's token."""

    def __init__(self, client: HubClient, options: DemoOptions, progress: Progress) -> None:
        self._client = client
        self._options = options
        self._progress = progress
        self._execution_id: str | None = None
        self._awaiting = asyncio.Event()
        self._gate: Mapping[str, Any] | None = None
        self._told: set[tuple[str, int]] = set()

    async def run(self) -> Figures:
        """The figures of the audit when it has ended. Raises `ClientError` when it cannot be carried through."""
        await self._client.execute(access.VIEWER)
        with tempfile.TemporaryDirectory(prefix="hub-demo-") as logs:
            options = self._options
            team = Team(self._client, options.path, Path(logs), options.pm_command, options.agent_command)
            try:
                await self._carry_through(team)
            except BaseException:
                await self._cancel()
                raise
            finally:
                self._progress.say("Stopping the agents …")
                await team.stop()
        return await self._outcome()

    async def _carry_through(self, team: Team) -> None:
        self._progress.say("Starting john-pm and three auditors …")
        await team.start()
        await whole(self._start())
        try:
            async with asyncio.timeout(self._options.seconds) as self._limit, asyncio.TaskGroup() as group:
                others = [group.create_task(team.guard()), group.create_task(self._approve())]
                await watch(self._client, self._started, self._show, self._progress.hear)
                for task in others:
                    task.cancel()
        except TimeoutError:
            raise DemoTimeout(f"The audit did not end within {self._options.seconds:g} seconds.") from None

    @property
    def _started(self) -> str:
        if self._execution_id is None:
            raise RuntimeError("the audit was not started")
        return self._execution_id

    async def _start(self) -> None:
        context: dict[str, Any] = {"path": str(self._options.path)}
        if self._options.include:
            context["include"] = list(self._options.include)
        given = {"workflowName": WORKFLOW, "inputContext": context, "idempotencyKey": f"demo:{uuid4()}"}
        self._execution_id = (await self._client.mutate(workflows.START, given))["workflow"]["executionId"]
        self._progress.say(f"Started {WORKFLOW} of {self._options.path}: {self._execution_id}")

    def _show(self, state: State) -> None:
        self._progress.show(state)
        waiting = next((gate for gate in state["qualityGates"]["nodes"] if _awaits_a_person(gate)), None)
        if waiting is None:
            if self._gate is not None:
                self._gate = None
                self._limit.reschedule(asyncio.get_running_loop().time() + self._options.seconds)
        elif (waiting["gateId"], waiting["version"]) not in self._told:
            self._told.add((waiting["gateId"], waiting["version"]))
            self._gate = waiting
            self._awaiting.set()

    async def _approve(self) -> None:
        """At the final approval: give it, or say how it is given and wait."""
        while True:
            await self._awaiting.wait()
            self._awaiting.clear()
            gate = self._gate
            if gate is None:
                continue
            if self._options.approve:
                given = {
                    "gateId": gate["gateId"],
                    "expectedVersion": gate["version"],
                    "pmDecision": APPROVAL,
                    "confidenceScore": 5,
                    "idempotencyKey": f"demo:{gate['gateId']}:{gate['version']}",
                }
                await self._client.mutate(quality_gates.APPROVE, given)
            else:
                self._limit.reschedule(None)
                self._progress.say(escape((await self._outcome())["report"] or ""))
                self._progress.say(
                    "\nThe audit waits for your final approval. Give it in another terminal:\n\n"
                    f"  {approve_command(self._client.url, gate['gateId'])}\n\n"
                    "(`hub gate reject` and `hub gate revise` take the same arguments. Ctrl-C ends the demo.)\n"
                )

    async def _cancel(self) -> None:
        """The demo ends before its audit: nobody would work on it any more."""
        if self._execution_id is None:
            return
        with suppress(ClientError):
            found = await self._client.execute(workflows.PROGRESS, {"executionId": self._execution_id}, seconds=5)
            given = {
                "executionId": self._execution_id,
                "expectedVersion": found["workflow"]["version"],
                "reason": "the demo was ended",
            }
            await self._client.mutate(workflows.CANCEL, given, seconds=5)

    async def _outcome(self) -> Figures:
        reply = await self._client.execute(workflows.OUTCOME, {"executionId": self._started})
        return figures_of(reply["workflow"])


def approve_command(url: str, gate_id: str) -> str:
    """The command line that gives a gate's approval on this hub."""
    place = "" if url == DEFAULT_URL else f"HUB_URL={shlex.quote(url)} "
    return f'{place}hub gate approve {gate_id} --reason "I have read the report"'


def _awaits_a_person(gate: Mapping[str, Any]) -> bool:
    final, open_now = GateType.FINAL_APPROVAL.name, ApprovalStatus.IN_REVIEW.name
    return bool(gate["gateType"] == final and gate["approvalStatus"] == open_now)
