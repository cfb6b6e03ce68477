"""Running a command as a process group of its own: fed, read within bounds, and ended whole."""

import asyncio
import os
import signal
from codecs import getincrementaldecoder
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from app.agent.leftovers import group_lives, kill_marked, marked

STDOUT_BYTES = 8 * 2**20
TAIL_CHARACTERS = 2_000
LINE_CHARACTERS = 2_000
GRACE_SECONDS = 3.0
DRAIN_SECONDS = 2.0
LOOK_SECONDS = 0.05

MARKS = ("HUB_TASK_ID", "HUB_AGENT_ID")
"""The variables by which a task's processes are found again, whatever group or session they moved to."""

STDIN, STDOUT, STDERR = 0, 1, 2


@dataclass(frozen=True)
class Finished:
    """How a command ended: exit code (negative: the signal), output, the end of stderr, milliseconds it took.

    `fault` says what the agent itself ended it for: its time-out, or too much output.
    """

    exit_code: int
    stdout: str
    stderr_tail: str
    duration_ms: int
    fault: str | None = None


class Command:
    """A command line for `/bin/sh`, the folder to run it in where a run names none, and its time-out in seconds.

    `grace` is how many seconds it has between SIGTERM and SIGKILL. It may run many times at once.
    """

    def __init__(self, line: str, folder: Path, seconds: float, grace: float = GRACE_SECONDS) -> None:
        self._line = line
        self._folder = folder
        self._seconds = seconds
        self._groups: set[int] = set()
        self.grace = grace

    async def run(
        self,
        given: bytes,
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
        folder: Path | None = None,
        seconds: float | None = None,
    ) -> Finished:
        """Run it with `given` on standard input; `on_line` gets each line of standard error.

        `seconds` shortens the time-out for this run. A cancellation ends the whole tree of processes (SIGTERM, after
        the grace SIGKILL) before it goes on.
        """
        started = monotonic()
        limit = min(self._seconds, seconds or self._seconds)
        marks = {name: variables[name] for name in MARKS if name in variables}
        ending = _Ending(self.grace, marks)
        starting = asyncio.create_task(self._start(variables, on_line, folder or self._folder))
        try:
            transport, output = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # let it start: asyncio kills the shell of a start that is cut off without the rest of its group, and may
            # then wait for it for ever (seen on Python 3.11)
            with suppress(OSError):
                await ending.end(*await asyncio.shield(starting))
            raise
        except OSError as error:
            return Finished(127, "", "", 0, fault=f"it could not be started: {error}")
        group = transport.get_pid()
        self._groups.add(group)
        try:
            _feed(transport, given)
            fault = await output.finish(limit)
        finally:
            await ending.end(transport, output)
            self._groups.discard(group)
        code = transport.get_returncode()
        return Finished(
            exit_code=code if code is not None else -signal.SIGKILL,
            stdout=output.stdout.decode("utf-8", "replace"),
            stderr_tail=output.tail,
            duration_ms=round((monotonic() - started) * 1000),
            fault=fault,
        )

    async def _start(
        self, variables: Mapping[str, str], on_line: Callable[[str], None], folder: Path
    ) -> tuple[asyncio.SubprocessTransport, "_Output"]:
        return await asyncio.get_running_loop().subprocess_exec(
            lambda: _Output(on_line),
            "/bin/sh",
            "-c",
            self._line,
            cwd=folder,
            env=variables,
            # a session of its own: its process group can be ended whole, and Ctrl-C at the terminal is the agent's
            start_new_session=True,
        )

    def kill(self) -> None:
        """End everything that runs at once, without waiting for it."""
        for group in self._groups:
            _signal(group, signal.SIGKILL)


class _Output(asyncio.SubprocessProtocol):
    """What a process prints, as it prints it, and when it has ended."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.stdout = bytearray()
        self.tail = ""
        self.exited = asyncio.Event()
        self._on_line = on_line
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._over = asyncio.Event()
        self._drained = asyncio.Event()
        self._open = {STDOUT, STDERR}

    async def finish(self, seconds: float) -> str | None:
        """Wait until the process ends by itself. Returns why the agent has to end it instead, if so."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return f"it ran longer than {seconds:g} seconds"
        if not self.exited.is_set():
            return f"it printed more than {STDOUT_BYTES // 2**20} MiB on standard output"
        # a grandchild may hold the pipes open after the command itself has ended; it is not waited for
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._drained.wait()
        return None

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == STDERR:
            self._hear(self._decoder.decode(data))
        elif len(self.stdout) + len(data) <= STDOUT_BYTES:
            self.stdout += data
        else:
            self._over.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == STDERR:
            self._tell(self._rest)
            self._rest = ""
        self._open.discard(fd)
        if not self._open:
            self._drained.set()

    def process_exited(self) -> None:
        self.exited.set()
        self._over.set()

    def _hear(self, text: str) -> None:
        self.tail = (self.tail + text)[-TAIL_CHARACTERS:]
        *lines, rest = (self._rest + text).split("\n")
        self._rest = rest[-LINE_CHARACTERS:]
        for line in lines:
            self._tell(line)

    def _tell(self, line: str) -> None:
        # what a progress bar wrote over and over on one line ends in its latest state
        shown = line.rstrip("\r").rpartition("\r")[2].strip()
        if shown:
            self._on_line(shown[:LINE_CHARACTERS])


def _feed(transport: asyncio.SubprocessTransport, given: bytes) -> None:
    """Write to standard input and close it; a command need not read it."""
    pipe = transport.get_pipe_transport(STDIN)
    if isinstance(pipe, asyncio.WriteTransport):
        pipe.write(given)
        pipe.close()


@dataclass(frozen=True)
class _Ending:
    """How a command is ended: whole, with nothing left behind."""

    grace: float
    marks: Mapping[str, str]

    async def end(self, transport: asyncio.SubprocessTransport, output: _Output) -> None:
        """The group is asked to end, then killed; the pipes are closed. What moved out of the group dies with it."""
        group = transport.get_pid()
        ended_by_itself = output.exited.is_set()
        try:
            if not ended_by_itself:
                _signal(group, signal.SIGTERM)
                await self._wait(group, output)
        finally:
            _signal(group, signal.SIGKILL)
            await output.exited.wait()
            transport.close()
            if self.marks and not ended_by_itself:
                await asyncio.shield(asyncio.to_thread(self._kill_escaped))

    async def _wait(self, group: int, output: _Output) -> None:
        """Until the command and every process of its group has ended, but no longer than the grace."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.grace):
                await output.exited.wait()
                # no children of ours, so there is nothing to wait on
                while await asyncio.to_thread(group_lives, group):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_SECONDS)

    def _kill_escaped(self) -> None:
        kill_marked(marked(self.marks), self.marks)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
