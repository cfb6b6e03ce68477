"""A team at work on real processes while parts of the hub are killed: nothing is lost, nothing is recorded twice."""

import json
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import HUB, Process, api, ask, data_folder, environment, hub, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STATE = """
{ workflows(first: 1) { nodes {
    executionId executionStatus currentPhase
    executionPath(first: 100) { nodes { stepNumber phase attempt stepStatus } }
    tasks(first: 100) { nodes { taskId title phase status attempts } }
    decisions(first: 100) { nodes { decisionId } }
    qualityGates { nodes { phase approvalStatus } } } } }
"""


def a_tree(folder: Path) -> Path:
    tree = folder / "tree"
    tree.mkdir()
    (tree / "one.py").write_text("def one() -> int:\n    return 1\n")
    return tree


def state(folder: Path, url: str) -> dict[str, Any]:
    """The newest execution."""
    data: Any = ask(folder, url, STATE)
    nodes = data["workflows"]["nodes"]
    return dict(nodes[0]) if nodes else {"currentPhase": None, "executionStatus": None, "tasks": {"nodes": []}}


def wait_for_phase(folder: Path, url: str, phase: str) -> None:
    deadline = time.monotonic() + 60
    while state(folder, url)["currentPhase"] != phase:
        assert time.monotonic() < deadline, state(folder, url)
        time.sleep(0.05)


def a_demo(folder: Path, url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [HUB, "demo", "--approve", "--json", "--path", str(a_tree(folder))],
        env=environment(folder, HUB_URL=url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(demo: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = demo.communicate(timeout=240)
    assert demo.returncode == 0, err
    figures: dict[str, Any] = json.loads(out)
    return figures


def check_each_effect_once(seen: dict[str, Any]) -> None:
    assert seen["executionStatus"] == "COMPLETED"
    steps = seen["executionPath"]["nodes"]
    assert [step["stepNumber"] for step in steps] == list(range(1, len(steps) + 1))
    assert [(step["phase"], step["attempt"]) for step in steps] == [
        ("decide", 1), ("audits", 1), ("review", 1), ("report", 1), ("final-approval", 1),
    ]  # fmt: skip
    assert {step["stepStatus"] for step in steps} == {"COMPLETED"}
    tasks = seen["tasks"]["nodes"]
    assert Counter((task["phase"], task["title"]) for task in tasks).most_common(1)[0][1] == 1
    assert {task["status"] for task in tasks} == {"COMPLETED"}
    assert len(seen["decisions"]["nodes"]) == 3
    assert [gate["approvalStatus"] for gate in seen["qualityGates"]["nodes"]] == ["APPROVED", "APPROVED"]


@pytest.mark.parametrize("phase", ["decide", "audits", "review"])
def test_a_worker_that_is_killed_in_a_phase_and_started_again_finishes_it(phase: str) -> None:
    short = {"HUB_LEASE_SECONDS": "2"}
    with data_folder() as folder:
        assert hub(folder, "", "migrate").returncode == 0
        with api(folder, "serve") as serving, worker(folder, **short) as first:
            url = serving.wait_until_ready()
            first.wait_until_ready()
            demo = a_demo(folder, url)
            wait_for_phase(folder, url, phase)
            first.kill()
            with worker(folder, **short) as second:
                second.wait_until_ready()
                finished(demo)
                check_each_effect_once(state(folder, url))


def test_a_hub_that_is_killed_whole_goes_on_where_it_was_and_the_agents_come_back() -> None:
    with data_folder() as folder:
        with api(folder, HUB_LEASE_SECONDS="2") as hub_up:
            url = hub_up.wait_until_ready()
            demo = a_demo(folder, url)
            wait_for_phase(folder, url, "audits")
            hub_up.kill()
        with api(folder, HUB_LEASE_SECONDS="2", HUB_PORT=url.rsplit(":", 1)[1]) as again:
            assert again.wait_until_ready() == url
            finished(demo)
            check_each_effect_once(state(folder, url))


def test_the_hub_stops_in_order_and_leaves_nothing_running() -> None:
    with data_folder() as folder:
        started: Process = api(folder)
        started.wait_until_ready()
        assert started.stop() == 0
        assert not (folder / "pg" / "postmaster.pid").exists()
