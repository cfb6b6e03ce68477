"""The meter measures real processes: this one and the commands under it."""

import asyncio
import os
import sys
import time
from pathlib import Path

import psutil

from app.agent.metrics import MB, Meter

BURN = "import time; end = time.process_time() + 1.0\nwhile time.process_time() < end: pass"
HOLD = "import sys; held = bytearray(120_000_000); print('held', flush=True); sys.stdin.read()"


async def test_a_childs_cpu_is_counted_although_it_has_ended(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    started = time.monotonic()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", BURN)
    await child.wait()
    passed = time.monotonic() - started
    sample = meter.sample()
    expected = 100 * 1.0 / passed / (os.cpu_count() or 1)
    # the interpreter's own start comes on top
    assert expected * 0.9 <= sample.cpu_percent <= min(100, expected * 1.7)
    assert meter.sample().cpu_percent <= 100


async def test_the_peak_of_a_childs_memory_is_kept(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    own = psutil.Process().memory_info().rss / MB
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"held\n"
    meter.look()
    await child.communicate(b"")
    peak = meter.sample().memory_mb
    assert own + 120 <= peak <= own + 220
    assert meter.sample().memory_mb < peak - 60


def test_a_mark_forgets_what_came_before(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    meter.mark()
    time.sleep(0.5)
    assert meter.sample().cpu_percent < 25


def test_disk_and_network_are_told_where_they_can_be(tmp_path: Path) -> None:
    sample = Meter(tmp_path).sample()
    assert sample.disk_mb is not None
    assert abs(sample.disk_mb - psutil.disk_usage(str(tmp_path)).used / MB) < 1_000
    assert sample.network_mb_s is None or sample.network_mb_s >= 0
    assert Meter(tmp_path / "gone").sample().disk_mb is None
