"""Agents' reports: joined for some milliseconds and written in one statement, since no one of them is critical."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.domain.agents import OBSERVED_WITHIN, check_agent_id, check_figures
from app.domain.errors import HubError, InvalidInput, NotFound, Unavailable
from app.domain.events import Aggregate
from app.domain.principals import Principal
from db.queries.agents import Merged, merge_reports
from db.session import Database

JOIN_SECONDS = 0.02
"""How long a report waits for others: nobody is held up by it, and at 200 a second some four share a statement."""
BATCH_MOST = 500
CHANGES = frozenset({Aggregate.AGENT})
QUEUE_MOST = 10_000


@dataclass(frozen=True)
class ReportAgent:
    """What an agent observed of itself; figures are merged key by key, the newest `observed_at` winning.

    A time ahead of the hub's clock counts as now; one of more than a day ago is refused. Of each section the 200 keys
    stay that were observed last.
    """

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
        report = stored_form(principal, command)
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
            merged = await self._database.transact(lambda session: merge_reports(session, reports), CHANGES)
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
            refusal = _refusal(report["agent_id"], merged)
            if refusal is None:
                stored.set_result(None)
            else:
                stored.set_exception(refusal)

    @staticmethod
    def _refuse(batch: list[tuple[dict[str, Any], asyncio.Future[None]]], error: Exception) -> None:
        for _, stored in batch:
            if not stored.done():
                stored.set_exception(error)


def _refusal(agent_id: str, merged: Merged) -> HubError | None:
    """Why a report was not taken; None when it was."""
    if agent_id not in merged.known:
        return NotFound("agent", agent_id, "input.agentId")
    if agent_id not in merged.too_old:
        return None
    hours = int(OBSERVED_WITHIN.total_seconds()) // 3600
    return InvalidInput(
        f"observedAt is more than {hours} hours ago. Nothing was written; check the clock of {agent_id}, or record "
        "what is past with resourceMetricsRecord.",
        "input.observedAt",
    )


def stored_form(principal: Principal, command: ReportAgent) -> dict[str, Any]:
    """The report as `merge_reports` takes it. Raises `InvalidInput`."""
    moment = command.observed_at.astimezone(UTC).replace(tzinfo=None)
    return {
        "agent_id": check_agent_id(command.agent_id),
        "actor": principal.name,
        "observed_at": moment.isoformat(timespec="microseconds"),
        "resource_utilization": check_figures("resourceUtilization", command.resource_utilization),
        "performance_metrics": check_figures("performanceMetrics", command.performance_metrics),
    }
