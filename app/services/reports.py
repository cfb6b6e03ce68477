"""Agents' reports: joined for some milliseconds and written in one statement, since no one of them is critical."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.domain.agents import check_agent_id
from app.domain.errors import InvalidInput, NotFound, Unavailable
from app.domain.principals import Principal
from app.domain.rules import bounded_json
from db.queries.agents import merge_reports
from db.session import Database

JOIN_SECONDS = 0.005
BATCH_MOST = 500
QUEUE_MOST = 10_000
SECTIONS = ("resource_utilization", "performance_metrics")


@dataclass(frozen=True)
class ReportAgent:
    """What an agent observed of itself; figures are merged key by key, the newest `observed_at` winning."""

    agent_id: str
    observed_at: datetime
    resource_utilization: Mapping[str, Any] = field(default_factory=dict)
    performance_metrics: Mapping[str, Any] = field(default_factory=dict)


class ReportWriter:
    """The one writer of reports in a process: a bounded queue, emptied by one task."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[dict[str, Any], asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="report-writer")

    async def stop(self) -> None:
        """Stop; reports that still wait are refused, their senders send again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._refuse(list(self._waiting), Unavailable("The hub is shutting down; report again."))
        self._waiting.clear()

    async def report(self, principal: Principal, command: ReportAgent) -> None:
        """Return once the report is stored. Raises `InvalidInput`, `NotFound`, `Unavailable`."""
        report = _checked(principal, command)
        if len(self._waiting) >= QUEUE_MOST:
            raise Unavailable("Too many reports wait to be written; report again in a second.")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((report, stored))
        self._wake.set()
        await stored

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(JOIN_SECONDS)
            batch = self._take()
            if not self._waiting:
                self._wake.clear()
            await self._write(batch)

    def _take(self) -> list[tuple[dict[str, Any], asyncio.Future[None]]]:
        """The oldest reports, at most one of each agent; a second one of the same agent waits for the next turn."""
        batch: dict[str, tuple[dict[str, Any], asyncio.Future[None]]] = {}
        later: list[tuple[dict[str, Any], asyncio.Future[None]]] = []
        while self._waiting and len(batch) < BATCH_MOST:
            entry = self._waiting.popleft()
            if entry[0]["agent_id"] in batch:
                later.append(entry)
            else:
                batch[entry[0]["agent_id"]] = entry
        self._waiting.extendleft(reversed(later))
        return [batch[agent_id] for agent_id in sorted(batch)]

    async def _write(self, batch: list[tuple[dict[str, Any], asyncio.Future[None]]]) -> None:
        reports = [report for report, _ in batch]
        try:
            known = await self._database.transact(lambda session: merge_reports(session, reports))
        except asyncio.CancelledError:
            self._refuse(batch, Unavailable("The hub is shutting down; report again."))
            raise
        except Exception as error:
            if len(batch) == 1 or not isinstance(error, InvalidInput):
                self._refuse(batch, error)
                return
            # one that cannot be stored must not take the others with it
            for entry in batch:
                await self._write([entry])
            return
        for report, stored in batch:
            if stored.done():
                continue
            if report["agent_id"] in known:
                stored.set_result(None)
            else:
                stored.set_exception(NotFound("agent", report["agent_id"], "input.agentId"))

    @staticmethod
    def _refuse(batch: list[tuple[dict[str, Any], asyncio.Future[None]]], error: Exception) -> None:
        for _, stored in batch:
            if not stored.done():
                stored.set_exception(error)


def _checked(principal: Principal, command: ReportAgent) -> dict[str, Any]:
    check_agent_id(command.agent_id)
    moment = command.observed_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    figures = {
        "resource_utilization": bounded_json("resourceUtilization", dict(command.resource_utilization)),
        "performance_metrics": bounded_json("performanceMetrics", dict(command.performance_metrics)),
    }
    observed = {f"{section}.{key}": moment for section in SECTIONS for key in figures[section]}
    return {"agent_id": command.agent_id, "actor": principal.name, "observed": observed, **figures}
