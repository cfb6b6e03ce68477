"""Measuring an agent: the CPU, memory, disk and network that it and the commands under it use."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import psutil

MB = 1_000_000


@dataclass(frozen=True)
class Sample:
    """What was used since the sample before it.

    `cpu_percent`: of all the machine's cores together, 0-100. `memory_mb`: the highest resident memory seen.
    `disk_mb`: what the file system of the agent's folder holds. `network_mb_s`: the whole machine's traffic, since the
    system does not count it by process; None where it cannot be read.
    """

    measured_at: datetime
    cpu_percent: float
    memory_mb: float
    disk_mb: float | None
    network_mb_s: float | None


class Meter:
    """Measures this process and all below it. `look` often for the peak of memory, `sample` for the figures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._self = psutil.Process()
        self._cores = os.cpu_count() or 1
        self._cpu, self._peak = self._usage()
        self._network = _network_bytes()
        self._since = monotonic()

    def mark(self) -> None:
        """Begin a new interval here, forgetting what came before."""
        self._restart()

    def look(self) -> None:
        """Note the present memory, should it be the highest so far."""
        self._peak = max(self._peak, self._usage()[1])

    def sample(self) -> Sample:
        """The figures since the last sample or mark; the next interval begins."""
        seconds_before, network_before, since = self._cpu, self._network, self._since
        peak = max(self._peak, self._usage()[1])
        self._restart()
        passed = max(self._since - since, 1e-6)
        used = max(0.0, self._cpu - seconds_before)
        return Sample(
            measured_at=datetime.now(UTC),
            cpu_percent=round(min(100.0, 100 * used / passed / self._cores), 2),
            memory_mb=round(peak / MB, 3),
            disk_mb=_disk_used(self._folder),
            network_mb_s=_rate(network_before, self._network, passed),
        )

    def _restart(self) -> None:
        self._cpu, self._peak = self._usage()
        self._network = _network_bytes()
        self._since = monotonic()

    def _usage(self) -> tuple[float, int]:
        """CPU seconds so far and resident bytes now, of this process and all below it.

        A process that ended is counted by the one that waited for it, so a short command is not lost.
        """
        seconds, resident = 0.0, 0
        for process in (self._self, *self._self.children(recursive=True)):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            seconds += times.user + times.system + times.children_user + times.children_system
        return seconds, resident


def _disk_used(folder: Path) -> float | None:
    try:
        return round(psutil.disk_usage(str(folder)).used / MB, 3)
    except OSError:
        return None


def _network_bytes() -> int | None:
    try:
        counted = psutil.net_io_counters()
    except (OSError, RuntimeError):
        return None
    return counted.bytes_sent + counted.bytes_recv if counted is not None else None


def _rate(before: int | None, after: int | None, seconds: float) -> float | None:
    if before is None or after is None:
        return None
    return round(max(0, after - before) / MB / seconds, 3)
