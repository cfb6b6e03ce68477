"""Processes of a task wherever they are: also those that left the command's process group, or outlived the agent."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic, sleep

import psutil

LOOK_SECONDS = 0.05
ROUNDS = 5

GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


def marked(variables: Mapping[str, str]) -> list[psutil.Process]:
    """The processes whose environment says that they work for this task, by the variables that every command gets.

    A process that wiped its environment, or belongs to another user, is not found.
    """
    own = os.getpid()
    return [process for process in psutil.process_iter() if process.pid != own and _has(process, variables)]


def end_marked(variables: Mapping[str, str], grace: float) -> int:
    """Ask the marked processes to end, and kill those that are there after `grace` seconds; how many there were.

    Waits, so it is run in a thread.
    """
    first = marked(variables)
    _signal(first, signal.SIGTERM)
    until = monotonic() + grace
    while (left := marked(variables)) and monotonic() < until:
        sleep(LOOK_SECONDS)
    kill_marked(left, variables)
    return len(first)


def kill_marked(found: list[psutil.Process], variables: Mapping[str, str]) -> None:
    """Kill them, and whatever they have started in the meantime; what cannot be killed is left after some rounds."""
    for _ in range(ROUNDS):
        if not found:
            return
        _signal(found, signal.SIGKILL)
        psutil.wait_procs(found, timeout=1.0)
        found = marked(variables)


def group_lives(group: int) -> bool:
    """Whether a process of the group still runs; one that has ended and waits to be reaped does not."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return any(_runs_in(process, group) for process in psutil.process_iter())


def _runs_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (*GONE, OSError):
        return False


def _has(process: psutil.Process, variables: Mapping[str, str]) -> bool:
    try:
        environment = process.environ()
    except (*GONE, OSError):
        return False
    return all(environment.get(name) == value for name, value in variables.items())


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(*GONE):
            process.send_signal(number)
