"""The agent itself: registers, beats, listens, claims and works until it is told to stop."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger

from app.agent.folders import Folders
from app.agent.hub import AgentHub, Task
from app.agent.journal import Entry, Journal, Stage
from app.agent.metrics import Meter
from app.agent.process import GRACE_SECONDS, Command
from app.agent.reporting import Reporter
from app.agent.work import Bench, Interrupted, Work
from app.client.connection import HubClient
from app.client.errors import ClientError, HubFault, HubRefused, HubUnreachable
from app.domain.agents import AgentRole, AgentStatus
from app.domain.model_assignments import Provider

BEAT_SECONDS = 10.0
POLL_SECONDS = 5.0
DRAIN_SECONDS = 2.0
STOP_SECONDS = 4.0
"""How long tasks have to end after their commands have, to give themselves back; then they are cut off."""

OFFERS = ("created", "released", "retried")
"""Events after which the task itself can be claimed. Completion of one may free others that depend on it."""
ENDS = ("released", "retried", "cancelled", "failed", "completed")
"""Events after which a task is in nobody's hands."""


@dataclass(frozen=True)
class AgentOptions:
    """Who the agent is and what it runs.

    `seconds` is the time-out of one run of the command, `grace` the time between SIGTERM and SIGKILL, `drain` how long
    tasks at hand may still end by themselves after the word to stop. Each task has a folder of its own in `work_dir`,
    or all run in `run_in`.
    """

    agent_id: str
    role: AgentRole
    command: str
    capabilities: tuple[str, ...] = ()
    name: str | None = None
    concurrency: int = 1
    provider: Provider = Provider.CLAUDE_CODE
    model: str | None = None
    subscription: bool = False
    seconds: float = 3_600.0
    grace: float = GRACE_SECONDS
    drain: float = DRAIN_SECONDS
    work_dir: Path = Path()
    run_in: Path | None = None
    keep: bool = False
    interrupted: Interrupted = Interrupted.RELEASE
    beat_seconds: float = BEAT_SECONDS
    poll_seconds: float = POLL_SECONDS


class Runner:
    """One agent's session with the hub."""

    def __init__(self, options: AgentOptions, client: HubClient, log: FilteringBoundLogger) -> None:
        self._options = options
        self._hub = AgentHub(client, options.agent_id)
        self._log = log
        self._command = Command(options.command, options.work_dir, options.seconds, options.grace)
        self._journal = Journal(options.work_dir, options.agent_id)
        self._reporter = Reporter(self._hub, Meter(options.run_in or options.work_dir), log)
        self._draining = asyncio.Event()
        self._stopping = asyncio.Event()
        self._bench = Bench(
            agent_id=options.agent_id,
            hub=self._hub,
            command=self._command,
            folders=Folders(options.work_dir, options.run_in, options.keep),
            journal=self._journal,
            reporter=self._reporter,
            stopping=self._stopping,
            log=log,
            provider=options.provider,
            model=options.model,
            subscription=options.subscription,
            interrupted=options.interrupted,
        )
        self._wake = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._works: dict[str, Work] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._unknown: frozenset[str] = frozenset()
        self._claim_was_cut = False

    def stop(self) -> None:
        """Take no more tasks, let those at hand end for a while, give back the rest, and end."""
        self._draining.set()

    def kill(self) -> None:
        """Kill the commands that run, at once."""
        self._command.kill()

    async def run(self) -> None:
        """Serve until `stop` is called.

        Raises `JournalUnusable`, `HubUnreachable`, `HubUnauthorised` or `HubRefused` at the start.
        """
        with self._journal:
            await self._serve()

    async def _serve(self) -> None:
        options = self._options
        kept = self._journal.entries()
        ids = [entry.task.task_id for entry in kept]
        await self._hub.register(options.role, options.name, options.capabilities, options.concurrency, ids)
        self._log.info("agent registered", role=options.role.value, capabilities=options.capabilities, kept=len(kept))
        try:
            async with asyncio.TaskGroup() as group:
                for entry in kept:
                    self._begin(group, entry)
                listening = group.create_task(self._hub.listen(self._on_change, self._wake.set), name="listen")
                beating = group.create_task(self._beat(), name="beat")
                claiming = group.create_task(self._claim(group), name="claim")
                await self._draining.wait()
                await self._drain(claiming)
                for loop in (listening, beating):
                    loop.cancel()
                await self._finish()
        finally:
            await self._leave()

    async def _drain(self, claiming: asyncio.Task[None]) -> None:
        """Claim nothing more, and let the tasks at hand end; they are renewed and can be lost all the while."""
        claiming.cancel()
        await asyncio.wait({claiming})
        if self._running:
            await asyncio.wait(self._running, timeout=self._options.drain)

    async def _finish(self) -> None:
        """Stop the tasks that are still at hand, and wait for them; cut off those that take too long."""
        self._stopping.set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._options.grace + STOP_SECONDS)
            for work in late:
                work.cancel()

    async def _leave(self) -> None:
        if self._journal.has_results():
            # they stay this agent's until its next process delivers them, or it has been silent for too long
            self._log.warning("results wait for the hub on disk; start the agent again to deliver them")
            return
        with suppress(ClientError):
            # the hub frees whatever it still counts as this agent's
            await self._hub.set_status(AgentStatus.OFFLINE, "the agent stopped")
        self._log.info("agent offline")

    def _on_change(self, change: Mapping[str, Any]) -> None:
        """A task changed somewhere: one at hand may be lost, a new one may be there to claim."""
        task, event = change["task"], change["eventType"]
        if task is None:
            return
        work = self._works.get(task["taskId"])
        if work is not None and event in ENDS and (change["version"] or 0) > work.task.version:
            work.suspect()
        if event == "completed" or (event in OFFERS and self._fits(task)):
            self._wake.set()

    def _fits(self, task: Mapping[str, Any]) -> bool:
        return task["requiredRole"] in (None, self._options.role.name) and set(task["requiredCapabilities"]) <= set(
            self._options.capabilities
        )

    async def _beat(self) -> None:
        """Report and measure at least every beat; see to it that hub and agent agree on what is at hand."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.beat_seconds):
                    await self._beat_now.wait()
            self._beat_now.clear()
            presence = await self._reporter.beat()
            if presence is None:
                continue
            await self._agree(presence.task_ids)
            if presence.status is AgentStatus.OFFLINE:
                await self._come_back()

    async def _agree(self, held: frozenset[str]) -> None:
        """Doubt what the hub does not count as this agent's; give back what only the hub does.

        That is a task whose claim was cut off. A claim that is on its way looks the same for a moment, so a task is
        given back when two beats have found it.
        """
        for task_id, work in self._works.items():
            if task_id not in held:
                work.suspect()
        unknown = held - set(self._works)
        for task_id in unknown & self._unknown:
            self._log.warning("giving back a task that this agent knows nothing of", task_id=task_id)
            with suppress(HubUnreachable, HubRefused, HubFault):
                await self._hub.release_unknown(task_id, "the agent knows nothing of it")
        self._unknown = unknown

    async def _come_back(self) -> None:
        """The hub gave the agent up, after a cut of the network for instance: be online again."""
        with suppress(HubUnreachable, HubRefused, HubFault):
            await self._hub.set_status(AgentStatus.IDLE, "the agent reports again")
            self._log.info("agent online again")
            self._wake.set()

    async def _claim(self, works: asyncio.TaskGroup) -> None:
        """Fill the free hands at each wake-up, and every few seconds behind it."""
        while True:
            await self._adopt(works)
            while len(self._works) < self._options.concurrency and (task := await self._next()) is not None:
                self._begin(works, Entry(task, Stage.CLAIMED))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_seconds):
                    await self._wake.wait()
            self._wake.clear()

    async def _adopt(self, works: asyncio.TaskGroup) -> None:
        """Take up what a claim gave this agent whose answer was cut off."""
        if not self._claim_was_cut:
            return
        try:
            claimed = await self._hub.claimed()
        except ClientError as error:
            self._log.warning("cannot ask for claimed tasks", reason=str(error))
            return
        self._claim_was_cut = False
        for task in claimed:
            if task.task_id not in self._works:
                self._log.info("task found whose claim was not heard", task_id=task.task_id)
                self._begin(works, Entry(task, Stage.CLAIMED))

    def _begin(self, works: asyncio.TaskGroup, entry: Entry) -> None:
        task = entry.task
        work = Work(self._bench, entry)
        running = works.create_task(work.run(), name=f"task {task.task_id}")
        self._works[task.task_id] = work
        self._running.add(running)
        running.add_done_callback(lambda _: self._ended(task, running))

    def _ended(self, task: Task, running: asyncio.Task[None]) -> None:
        self._works.pop(task.task_id, None)
        self._running.discard(running)
        self._wake.set()

    async def _next(self) -> Task | None:
        """Claim a task; None when there is none, or it is not known."""
        try:
            return await self._hub.claim()
        except HubUnreachable as error:
            self._claim_was_cut = True
            self._log.warning("cannot claim", reason=str(error))
        except HubRefused as refusal:
            if refusal.code == "AGENT_UNAVAILABLE":
                self._beat_now.set()
            self._log.warning("claim refused", code=refusal.code, reason=refusal.message)
        except HubFault as fault:
            self._log.error("cannot claim", reason=str(fault))
        return None
