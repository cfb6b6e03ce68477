"""Processor time of processes, for what a request costs and whom."""

import contextlib
import resource
from collections.abc import Callable

import psutil

Clock = Callable[[], float]
"""Processor time used so far, in seconds."""


def of_process(pid: int) -> Clock:
    """The process itself."""
    process = psutil.Process(pid)
    return lambda: _own(process)


def of_family(pid: int) -> Clock:
    """The process and its children, those that have ended included: a postmaster with its backends."""
    process = psutil.Process(pid)

    def used() -> float:
        total = _own(process) + sum(process.cpu_times()[2:4])
        for child in process.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += _own(child)
        return total

    return used


def of_ended_children() -> float:
    """The children of this process that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
