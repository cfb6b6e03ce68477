"""What an agent tells of itself: utilisation, performance and measurements, on a beat and at each task's end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.typing import FilteringBoundLogger

from app.agent.hub import AgentHub, Measurement, Presence, Task
from app.agent.metrics import Meter, Sample
from app.client.errors import HubFault, HubRefused, HubUnreachable


class Reporter:
    """Keeps the agent's tally, measures it, and sends both."""

    def __init__(self, hub: AgentHub, meter: Meter, log: FilteringBoundLogger) -> None:
        self.meter = meter
        self.session_id: str | None = None
        self._hub = hub
        self._log = log
        self._running: list[Task] = []
        self._completed = 0
        self._failed = 0
        self._milliseconds = 0

    @contextmanager
    def working_on(self, task: Task) -> Iterator[None]:
        """While a task's command runs: it counts as a session, and measurements name its execution."""
        if not self._running:
            # the idle time before is no part of what this task uses
            self.meter.mark()
        self._running.append(task)
        try:
            yield
        finally:
            self._running.remove(task)

    def completed(self, milliseconds: int) -> None:
        """One more task was done."""
        self._completed += 1
        self._milliseconds += milliseconds

    def failed(self, milliseconds: int) -> None:
        """One more task was tried in vain."""
        self._failed += 1
        self._milliseconds += milliseconds

    async def beat(self) -> Presence | None:
        """Report and measure; how the hub sees the agent, None where it did not say."""
        sample = self.meter.sample()
        try:
            presence = await self._hub.report(sample.measured_at, self._utilisation(sample), self._performance())
        except (HubUnreachable, HubRefused, HubFault) as error:
            self._log.warning("report not stored", reason=str(error))
            return None
        await self._store(sample)
        return presence

    async def measure(self) -> None:
        """One more measurement, so that a task that is shorter than a beat is measured too."""
        await self._store(self.meter.sample())

    async def _store(self, sample: Sample) -> None:
        done = self._completed + self._failed
        taken = Measurement(
            measured_at=sample.measured_at,
            execution_id=self._execution(),
            cpu_percent=sample.cpu_percent,
            memory_mb=sample.memory_mb,
            disk_mb=sample.disk_mb,
            network_mb_s=sample.network_mb_s,
            active_sessions=len(self._running),
            response_ms=self._mean(),
            error_percent=round(100 * self._failed / done, 2) if done else None,
        )
        try:
            await self._hub.measure(taken)
        except (HubUnreachable, HubRefused, HubFault) as error:
            self._log.warning("measurement not stored", reason=str(error))

    def _execution(self) -> str | None:
        """The execution that is worked for, where it is one: a measurement of work for several belongs to none."""
        executions = {task.execution_id for task in self._running}
        return executions.pop() if len(executions) == 1 else None

    def _mean(self) -> int | None:
        done = self._completed + self._failed
        return round(self._milliseconds / done) if done else None

    def _utilisation(self, sample: Sample) -> dict[str, Any]:
        return {
            "cpu_percent": sample.cpu_percent,
            "memory_mb": sample.memory_mb,
            "disk_mb": sample.disk_mb,
            "network_mb_s": sample.network_mb_s,
            "active_sessions": len(self._running),
        }

    def _performance(self) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "tasks_completed": self._completed,
            "tasks_failed": self._failed,
            "mean_duration_ms": self._mean(),
        }
        return figures | ({"last_session_id": self.session_id} if self.session_id else {})
