"""One task in an agent's hands: started, run as a command, answered; or lost, or given back."""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, StrEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from structlog.typing import FilteringBoundLogger

from app.agent.answers import (
    ModelUse,
    Output,
    UnusableAnswer,
    read_decision,
    read_output,
    read_review,
    read_verdict,
)
from app.agent.folders import Folders
from app.agent.hub import AgentHub, Assignment, Task
from app.agent.journal import Entry, Journal, Stage
from app.agent.leftovers import end_marked
from app.agent.persistence import persist
from app.agent.process import Command, Finished
from app.agent.reporting import Reporter
from app.client.errors import ClientError, HubFault, HubRefused, HubUnreachable
from app.domain.model_assignments import Provider
from app.domain.tasks import TaskKind

LOOK_SECONDS = 0.5
PROGRESS_SECONDS = 1.0
FAULT_SECONDS = 2.0
UNNAMED_MODEL = "claude-default"
"""The model's name where neither the user nor Claude's output tells it."""

LOST = ("CLAIM_LOST", "STALE_VERSION", "ILLEGAL_TRANSITION", "NOT_FOUND")
"""Refusals after which the task is no longer this agent's to answer."""

INTERRUPTED = "the agent's process was killed while the command ran: what it did outside the hub is not known"

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
PERCENT = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d+)?|100(?:\.0+)?)\s?%")


Noted = TypeVar("Noted")


class _End(Enum):
    """Why a command was not left to end by itself."""

    LOST = "the hub took the task away"
    STOPPING = "the agent is stopping"


class Interrupted(StrEnum):
    """What becomes of a task whose command ran when the agent's process was killed."""

    RELEASE = "release"
    FAIL = "fail"


@dataclass(frozen=True)
class Bench:
    """What every task of an agent is done with. `model` and `provider` are the user's word on what the command uses.

    With `subscription` a call costs nothing, whatever price the command prints.
    """

    agent_id: str
    hub: AgentHub
    command: Command
    folders: Folders
    journal: Journal
    reporter: Reporter
    stopping: asyncio.Event
    log: FilteringBoundLogger
    provider: Provider
    model: str | None
    subscription: bool
    interrupted: Interrupted


class Work:
    """One attempt at one task, from where the journal says that it is."""

    def __init__(self, bench: Bench, entry: Entry) -> None:
        task = entry.task
        self._entry = entry
        self._bench = bench
        self._hub = bench.hub
        self._log = bench.log.bind(task_id=task.task_id, kind=task.kind.value)
        self._suspected = asyncio.Event()
        self._news = asyncio.Event()
        self._latest = ""
        self._answering = False
        self.task = task

    def suspect(self) -> None:
        """Something says that the task may no longer be this agent's: ask the hub."""
        if not self._answering:
            self._suspected.set()

    async def run(self) -> None:
        """Do it. Expected failures are logged; the task is then another's, or the hub's to give out again.

        While the hub is not reachable the task stays in the journal, for the agent's next process.
        """
        try:
            await self._go_on()
            self._bench.journal.forget(self.task.task_id)
        except HubRefused as refusal:
            self._lost_to(refusal)
        except HubUnreachable as error:
            self._log.error("task not answered, it is kept for the agent's next start", reason=str(error))
        except HubFault as fault:
            await self._give_back(str(fault))
            self._bench.journal.forget(self.task.task_id)

    async def _go_on(self) -> None:
        match self._entry.stage:
            case Stage.CLAIMED:
                await self._begin()
            case Stage.RUNNING:
                await self._after_interruption()
            case Stage.FINISHED:
                self._answering = True
                assignment = await self._assign_model() if self._bench.model else None
                self._log.info("delivering a result that was kept", attempt=self.task.attempt)
                if self._entry.finished is not None:
                    await self._answer(self._entry.finished, assignment)

    async def _begin(self) -> None:
        """Start the task and run its command; the end of each step is on the disk before the next begins."""
        self._note(Stage.CLAIMED)
        self.task = await self._persist(lambda: self._hub.start(self.task))
        self._note(Stage.RUNNING)
        self._log.info("task started", title=self.task.title, attempt=self.task.attempt)
        assignment = await self._assign_model() if self._bench.model else None
        finished = await self._run_command()
        self._answering = True
        match finished:
            case _End.STOPPING:
                await self._hub.release(self.task, finished.value)
                self._log.info("task released", reason=finished.value)
            case _End.LOST:
                self._log.warning("command killed", reason=finished.value)
            case Finished():
                self._note(Stage.FINISHED, finished)
                await self._answer(finished, assignment)

    async def _after_interruption(self) -> None:
        """The agent's process was killed while the command ran: end what is left of it, and tell the hub."""
        self._answering = True
        left = await asyncio.to_thread(end_marked, self._marks(), self._bench.command.grace)
        self._log.warning("the agent was killed while the command ran", processes_left=left)
        if self._bench.interrupted is Interrupted.FAIL:
            await self._persist(lambda: self._hub.fail(self.task, INTERRUPTED))
        else:
            await self._persist(lambda: self._hub.release(self.task, INTERRUPTED))

    def _lost_to(self, refusal: HubRefused) -> None:
        """The task is no longer this agent's: what its command did answer is set aside, for people to read."""
        self._log.warning("task lost", code=refusal.code, reason=refusal.message)
        if self._entry.stage is Stage.FINISHED:
            kept = self._bench.journal.set_aside(self.task.task_id)
            self._log.warning("the result was not taken, it is kept on disk", file=str(kept))
        else:
            self._bench.journal.forget(self.task.task_id)

    def _note(self, stage: Stage, finished: Finished | None = None) -> None:
        self._entry = Entry(self.task, stage, finished)
        self._bench.journal.write(self._entry)

    def _marks(self) -> dict[str, str]:
        return {"HUB_TASK_ID": self.task.task_id, "HUB_AGENT_ID": self._bench.agent_id}

    async def _give_back(self, reason: str) -> None:
        """The hub cannot take what the agent says: release the task, after a pause that keeps this from spinning."""
        self._log.error("task not answered", reason=reason)
        await asyncio.sleep(FAULT_SECONDS)
        with suppress(ClientError):
            await self._hub.release(self.task, clean(f"the hub could not take the answer: {reason}")[:2_000])

    async def _run_command(self) -> Finished | _End:
        """Run the command until it ends, the hub takes the task away, or the agent stops."""
        given = json.dumps(self.task.given, ensure_ascii=False).encode()
        with self._bench.reporter.working_on(self.task):
            running = asyncio.create_task(self._command(given))
            lost = asyncio.create_task(self._lost())
            stopping = asyncio.create_task(self._bench.stopping.wait())
            others = [lost, stopping, asyncio.create_task(self._tell()), asyncio.create_task(self._look())]
            try:
                await asyncio.wait({running, lost, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                running.cancel()
                for task in others:
                    task.cancel()
                await asyncio.gather(running, *others, return_exceptions=True)
            if not self._bench.stopping.is_set():
                await self._bench.reporter.measure()
        if not running.cancelled():
            return running.result()
        return _End.LOST if not lost.cancelled() else _End.STOPPING

    async def _command(self, given: bytes) -> Finished:
        try:
            folder = self._bench.folders.make(self.task)
        except OSError as error:
            return Finished(127, "", "", 0, fault=f"its folder could not be made: {error}")
        variables = self._variables(folder)
        return await self._bench.command.run(given, variables, self._hear, folder, self.task.timeout_seconds)

    def _variables(self, folder: Path) -> dict[str, str]:
        """The command's environment: the agent's own, without what is meant for the hub and its clients only."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        return (
            inherited
            | self._marks()
            | {
                "HUB_EXECUTION_ID": self.task.execution_id or "",
                "HUB_PHASE": self.task.phase or "",
                "HUB_ATTEMPT": str(self.task.attempt),
                "HUB_IDEMPOTENCY_KEY": self.task.effect_key,
                "HUB_TASK_DIR": str(folder),
            }
        )

    async def _lost(self) -> None:
        """Return when the hub has taken the task away."""
        while True:
            await self._suspected.wait()
            self._suspected.clear()
            try:
                if not await self._hub.holds(self.task):
                    return
            except ClientError as error:
                # not known: the answer's version check will tell
                self._log.debug("cannot ask for the task", reason=str(error))

    def _hear(self, line: str) -> None:
        self._latest = clean(line)
        self._news.set()

    async def _tell(self) -> None:
        """Pass on the latest line of standard error, at most one a second."""
        while True:
            await self._news.wait()
            self._news.clear()
            found = PERCENT.search(self._latest)
            percent = float(found.group(1)) if found else None
            try:
                await self._hub.progress(self.task, self._latest, percent)
            except HubRefused:
                self._suspected.set()
            except ClientError as error:
                self._log.debug("progress not reported", reason=str(error))
            await asyncio.sleep(PROGRESS_SECONDS)

    async def _look(self) -> None:
        while True:
            self._bench.reporter.meter.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _answer(self, finished: Finished, assignment: Assignment | None) -> None:
        """Send what the command answered; where it cannot be used, the reason."""
        output, failure = _understood(finished)
        await self._record_models(output, finished, assignment, failure)
        if failure is not None:
            await self._fail(failure, finished)
            return
        try:
            reply = self._reply(output.value)
        except UnusableAnswer as error:
            await self._fail(str(error), finished)
            return
        try:
            await self._persist(reply)
        except HubRefused as refusal:
            # a verdict's version is the gate's: stale, the gate moved, while the task is still this agent's
            if refusal.code in LOST and self.task.gate is None:
                raise
            await self._fail(f"The hub refused the answer: {refusal.message}", finished)
            return
        self._bench.reporter.completed(finished.duration_ms)
        self._log.info("task answered", milliseconds=finished.duration_ms)
        await asyncio.to_thread(self._bench.folders.answered, self.task)

    def _reply(self, value: Any) -> Callable[[], Awaitable[None]]:
        """How to send the value as the answer to a task of this kind. Raises `UnusableAnswer`."""
        task, hub = self.task, self._hub
        if task.kind is TaskKind.WORK:
            return lambda: hub.complete(task, value)
        if task.kind is TaskKind.REVIEW:
            gate, review = _gate_of(task), read_review(value)
            return lambda: hub.review(task, gate, review)
        if task.gate is not None:
            gate, verdict = _gate_of(task), read_verdict(value)
            return lambda: hub.judge(task, gate, verdict)
        decision = read_decision(value, task.question)
        return lambda: hub.decide(task, decision)

    async def _fail(self, reason: str, finished: Finished) -> None:
        reason = clean(reason)
        self._bench.reporter.failed(finished.duration_ms)
        self._log.warning("task failed", reason=reason)
        await self._persist(lambda: self._hub.fail(self.task, reason))

    async def _assign_model(self) -> Assignment | None:
        """Record the model that the user named, before the work begins."""
        model, provider = self._bench.model, self._bench.provider
        return await self._noted(lambda: self._hub.assign_model(self.task, provider, model or UNNAMED_MODEL))

    async def _record_models(
        self, output: Output, finished: Finished, assignment: Assignment | None, failure: str | None
    ) -> None:
        """Record what the models' work took: for the one that the user named, else for each that the command tells.

        The user's failed with the command; those that the command tells of failed when it says so.
        """
        if assignment is not None:
            total = self._paid(_total(output.models, finished.duration_ms))
            await self._noted(lambda: self._end_model(assignment, total, failure))
            return
        for number, use in enumerate(output.models):
            await self._noted(partial(self._record_model, use, number, output.error))
        if output.session_id:
            self._bench.reporter.session_id = output.session_id

    async def _record_model(self, use: ModelUse, number: int, failure: str | None) -> None:
        name = use.model or UNNAMED_MODEL
        recorded = await self._hub.assign_model(self.task, self._bench.provider, name, number)
        await self._end_model(recorded, self._paid(use), failure)

    async def _end_model(self, assignment: Assignment, use: ModelUse, failure: str | None) -> None:
        if failure is None:
            await self._hub.complete_model(assignment, use)
        else:
            await self._hub.fail_model(assignment, use, clean(failure)[:2_000])

    def _paid(self, use: ModelUse) -> ModelUse:
        return replace(use, cost=Decimal(0)) if self._bench.subscription else use

    async def _noted(self, say: Callable[[], Awaitable[Noted]]) -> Noted | None:
        """Say it until it is heard; a refusal is logged and does not touch the task."""
        try:
            return await self._persist(say)
        except (HubRefused, HubFault) as error:
            self._log.warning("model assignment not recorded", reason=str(error))
            return None

    async def _persist(self, say: Callable[[], Awaitable[Noted]]) -> Noted:
        return await persist(say, self._bench.stopping, self._log)


def clean(text: str) -> str:
    """The text without terminal escapes and characters that cannot be stored, at most 4,000 characters."""
    return UNPRINTABLE.sub("", ESCAPES.sub("", text))[:4_000].strip()


def _understood(finished: Finished) -> tuple[Output, str | None]:
    """The command's output, and why it is no answer, if so: it cannot be passed on, or command or model failed."""
    output = Output(None)
    try:
        output = read_output(finished.stdout)
        _require_success(finished, output)
    except UnusableAnswer as error:
        return output, str(error)
    return output, None


def _require_success(finished: Finished, output: Output) -> None:
    """Raise `UnusableAnswer` when the command or its model failed."""
    if finished.fault is not None:
        raise UnusableAnswer(f"The command was ended because {finished.fault}. {finished.stderr_tail}")
    if output.error is not None:
        raise UnusableAnswer(output.error)
    if finished.exit_code != 0:
        end = f"by signal {-finished.exit_code}" if finished.exit_code < 0 else f"with exit code {finished.exit_code}"
        raise UnusableAnswer(f"The command ended {end}. {finished.stderr_tail}")


def _gate_of(task: Task) -> Any:
    if task.gate is None or "gate_id" not in task.gate:
        raise UnusableAnswer("The task's input names no gate, so its answer has no place to go.")
    return task.gate


def _total(models: tuple[ModelUse, ...], duration_ms: int) -> ModelUse:
    """All that the models used, as the use of one."""
    tokens = [use.tokens for use in models if use.tokens is not None]
    costs = [use.cost for use in models if use.cost is not None]
    times = [use.duration_ms for use in models if use.duration_ms is not None]
    return ModelUse(
        model=None,
        tokens=sum(tokens) if tokens else None,
        cost=sum(costs[1:], costs[0]) if costs else None,
        duration_ms=max(times, default=duration_ms),
    )
