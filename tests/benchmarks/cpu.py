"""Processor time: what a request costs and whom, and how much of the machine went to others meanwhile."""

import contextlib
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

Clock = Callable[[], float]
"""Processor time used so far, in seconds."""


@dataclass(frozen=True)
class Spent:
    """Processor time in seconds by whom, and the share of the machine, in per cent, that others took."""

    by: Mapping[str, float]
    others: float


@dataclass(frozen=True)
class Meter:
    """Measures what some parties spend."""

    clocks: Mapping[str, Clock]

    def start(self) -> Callable[[Mapping[str, float]], Spent]:
        """Begin; what is returned ends it, and is given what further parties spent by their own account."""
        before = {name: clock() for name, clock in self.clocks.items()}
        machine, began = of_machine(), time.monotonic()

        def stop(known: Mapping[str, float]) -> Spent:
            all_of_it, capacity = of_machine() - machine, (time.monotonic() - began) * (psutil.cpu_count() or 1)
            by = {**{name: clock() - before[name] for name, clock in self.clocks.items()}, **known}
            return Spent(by, max(0.0, 100 * (all_of_it - sum(by.values())) / capacity))

        return stop


def of_machine() -> float:
    """All processes and the kernel; what a virtual machine had to do without counts as used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def of_process(pid: int) -> Clock:
    """The process itself."""
    process = psutil.Process(pid)
    return lambda: _own(process)


def of_family(pid: int) -> Clock:
    """The process and its children, those that have ended included: a postmaster with its backends."""
    process = psutil.Process(pid)

    def used() -> float:
        total = 0.0
        for child in process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += _own(child)
        return total + sum(process.cpu_times()[:4])

    return used


def of_ended_children() -> float:
    """The children of this process that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
