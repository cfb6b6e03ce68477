"""Commands run in process groups of their own, within bounds, and leave nothing behind."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.agent import process as process_module
from app.agent.process import Command, Finished

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def run(line: str, folder: Path, given: bytes = b"", seconds: float = 20) -> tuple[Finished, list[str]]:
    lines: list[str] = []
    finished = await Command(line, folder, seconds).run(given, ENVIRONMENT, lines.append)
    return finished, lines


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  (waits for another process)
            await asyncio.sleep(0.02)


async def test_a_command_gets_the_task_and_answers(tmp_path: Path) -> None:
    finished, lines = await run("cat; echo one >&2; echo two >&2; exit 3", tmp_path, json.dumps({"a": "ü"}).encode())
    assert json.loads(finished.stdout) == {"a": "ü"}
    assert (finished.exit_code, finished.fault, finished.stderr_tail) == (3, None, "one\ntwo\n")
    assert lines == ["one", "two"]


async def test_it_runs_in_its_folder_with_its_variables_only(tmp_path: Path) -> None:
    finished = await Command("pwd; env | grep ^HUB_", tmp_path, 20).run(
        b"", {**ENVIRONMENT, "HUB_TASK_ID": "t"}, lambda line: None
    )
    assert finished.stdout == f"{tmp_path}\nHUB_TASK_ID=t\n"


async def test_a_command_need_not_read_its_task(tmp_path: Path) -> None:
    finished, _ = await run("echo done", tmp_path, b"x" * 10_000_000)
    assert (finished.exit_code, finished.stdout) == (0, "done\n")


async def test_a_large_task_and_a_large_answer_do_not_block_each_other(tmp_path: Path) -> None:
    given = b"y" * 5_000_000
    finished, _ = await run("cat", tmp_path, given)
    assert finished.stdout.encode() == given


async def test_a_missing_folder_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    finished, _ = await run("true", tmp_path / "gone")
    assert finished.fault is not None
    assert "could not be started" in finished.fault


async def test_too_much_output_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "STDOUT_BYTES", 2**20)
    started = time.monotonic()
    finished, _ = await run("yes", tmp_path)
    assert finished.fault == "it printed more than 1 MiB on standard output"
    assert time.monotonic() - started < 10


async def test_stderr_is_kept_at_its_end_only(tmp_path: Path) -> None:
    finished, lines = await run("for i in $(seq 1 2000); do echo line $i >&2; done", tmp_path)
    assert len(finished.stderr_tail) == process_module.TAIL_CHARACTERS
    assert finished.stderr_tail.endswith("line 2000\n")
    assert len(lines) == 2_000


async def test_a_progress_bar_counts_as_its_latest_state(tmp_path: Path) -> None:
    _, lines = await run(r"printf '1%%\r2%%\r3%%\n\n  \nend' >&2", tmp_path)
    assert lines == ["3%", "end"]


async def test_a_time_out_kills_the_whole_group(tmp_path: Path) -> None:
    started = time.monotonic()
    finished, _ = await run("sleep 300 & echo $! > child; wait", tmp_path, seconds=0.5)
    assert finished.fault == "it ran longer than 0.5 seconds"
    assert finished.exit_code == -15
    assert time.monotonic() - started < 5
    child = int((tmp_path / "child").read_text())
    await until(lambda: not alive(child))


async def test_a_group_that_does_not_heed_sigterm_is_killed(tmp_path: Path) -> None:
    line = "trap '' TERM; (trap '' TERM; echo $$ > leader; sleep 300) & echo $! > child; wait; sleep 300"
    finished = await Command(line, tmp_path, 0.5, grace=0.3).run(b"", ENVIRONMENT, lambda line: None)
    assert finished.exit_code == -9
    child = int((tmp_path / "child").read_text())
    await until(lambda: not alive(child))


TREE = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
depth = int(sys.argv[1])
if depth:
    # every second one in a session of its own, out of the reach of the group's signals
    subprocess.Popen([sys.executable, "tree.py", str(depth - 1)], start_new_session=depth % 2 == 0)
with open("pids", "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(300)
"""


async def test_children_of_children_that_ignore_sigterm_die_in_whatever_session(tmp_path: Path) -> None:
    (tmp_path / "tree.py").write_text(TREE)
    variables = ENVIRONMENT | {"HUB_TASK_ID": str(tmp_path), "HUB_AGENT_ID": "tree-dev"}
    command = Command(f"trap '' TERM; {sys.executable} tree.py 4; echo never", tmp_path, 60, grace=0.2)
    running = asyncio.create_task(command.run(b"", variables, lambda line: None))
    pids = tmp_path / "pids"
    await until(lambda: pids.exists() and pids.read_text().count("\n") == 5)
    assert all(alive(int(pid)) for pid in pids.read_text().split())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [pid for pid in pids.read_text().split() if alive(int(pid))] == []


async def test_a_child_that_heeds_sigterm_has_the_grace_although_the_command_ends_first(tmp_path: Path) -> None:
    child = "trap 'sleep 0.3; echo tidy > tidied; exit' TERM; touch ready; while :; do sleep 0.05; done"
    command = Command(f'sh -c "{child}" & wait', tmp_path, 60, grace=10)
    running = asyncio.create_task(command.run(b"", ENVIRONMENT, lambda line: None))
    await until((tmp_path / "ready").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tmp_path / "tidied").read_text() == "tidy\n"


async def test_what_a_command_leaves_in_the_background_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "DRAIN_SECONDS", 0.2)
    started = time.monotonic()
    finished, _ = await run("sleep 300 & echo $! > child; echo answer", tmp_path)
    assert (finished.exit_code, finished.stdout, finished.fault) == (0, "answer\n", None)
    assert time.monotonic() - started < 5
    child = int((tmp_path / "child").read_text())
    await until(lambda: not alive(child))


async def test_a_cancelled_run_has_ended_its_group(tmp_path: Path) -> None:
    command = Command("sleep 300 & echo $! > child; wait", tmp_path, 60)
    running = asyncio.create_task(command.run(b"", ENVIRONMENT, lambda line: None))
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "")
    child = int((tmp_path / "child").read_text())
    assert alive(child)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not alive(child))


async def test_a_run_that_is_cancelled_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    command = Command("sleep 300 & echo $! >> children; wait", tmp_path, 60)
    for number in range(40):
        running = asyncio.create_task(command.run(b"", ENVIRONMENT, lambda line: None))
        await asyncio.sleep(number / 4_000)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    children = [int(line) for line in (tmp_path / "children").read_text().split()]
    assert children
    await until(lambda: not any(map(alive, children)))


async def test_kill_ends_all_that_run_at_once(tmp_path: Path) -> None:
    command = Command("trap '' TERM; echo $$ >> pids; sleep 300; sleep 300", tmp_path, 60)
    runs = [asyncio.create_task(command.run(b"", ENVIRONMENT, lambda line: None)) for _ in range(2)]
    await until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().count("\n") == 2)
    command.kill()
    async with asyncio.timeout(5):
        finished = await asyncio.gather(*runs)
    assert [one.exit_code for one in finished] == [-9, -9]
