"""Processor time is that of the right processes."""

import os
import subprocess
import sys
import time

import pytest

from tests.benchmarks.cpu import Meter, of_ended_children, of_family, of_process

SPIN = "import time\nwhile time.process_time() < 0.4: pass"


def spin() -> None:
    subprocess.run((sys.executable, "-c", SPIN), check=True)


def test_children_that_have_ended_count_in_the_family_and_not_in_the_process() -> None:
    process, family, children = of_process(os.getpid()), of_family(os.getpid()), of_ended_children
    before = process(), family(), children()
    spin()
    assert process() - before[0] < 0.3
    assert 0.35 < family() - before[1] < 1.5
    assert 0.35 < children() - before[2] < 1.5


def test_children_that_live_count_in_the_family() -> None:
    family = of_family(os.getpid())
    with subprocess.Popen((sys.executable, "-c", SPIN + "\ntime.sleep(60)")) as spinning:
        before = family()
        deadline = time.monotonic() + 20
        while family() - before < 0.3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        spinning.kill()


def test_what_parties_spend_is_not_that_of_others() -> None:
    stop = Meter({"children": of_ended_children}).start()
    spin()
    spent = stop({"told": 0.25})
    assert set(spent.by) == {"children", "told"}
    assert spent.by["children"] == pytest.approx(0.5, abs=0.3)
    assert spent.by["told"] == 0.25
    assert 0 <= spent.others <= 100
