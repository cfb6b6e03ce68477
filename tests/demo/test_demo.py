"""`hub demo` from its start to the final approval, on small trees; every figure is recomputed here."""

import ast
import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from app.demo.team import TEAM
from tests.acceptance.processes import HUB, ask, environment
from tests.agent.hubs import RunningHub
from tests.demo.trees import CLEAN, LINT_DEFECTS, TYPE_DEFECTS, unused_imports, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TEMPLATE = Path(__file__).resolve().parents[2] / "app" / "engine" / "templates" / "code-audit.yaml"

OUTCOME = """
query Outcome($id: ID!) {
  workflow(executionId: $id) {
    executionStatus startedAt completedAt
    tasks(first: 100) { nodes { taskId status startedAt completedAt assignedAgent { agentId } } }
    modelAssignments { nodes { assignmentId } }
  }
  resourceMetrics(first: 100) {
    nodes { cpuUsage memoryUsage agent { agentId } execution { executionId } }
    pageInfo { hasNextPage }
  }
}
"""


def run_demo(hub: RunningHub, tree: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the figures, and the progress of a demo."""
    done = subprocess.run(
        [HUB, "demo", "--path", tree, "--json", *options],
        env=environment(hub.folder, HUB_URL=hub.url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def ruff_counts(tree: Path) -> dict[str, int]:
    """Findings by rule, from ruff's own statistics."""
    line = [sys.executable, "-P", "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero", "--statistics"]
    rules = ["--select", "F,E7,E9,B,PLE,ASYNC", "--output-format", "json"]
    told = json.loads(subprocess.run([*line, *rules, "."], cwd=tree, capture_output=True, check=True).stdout)
    return {entry["code"]: entry["count"] for entry in told}


def mypy_count(tree: Path, cache: Path) -> int:
    """The number of errors, from the last line that mypy prints for people."""
    line = [sys.executable, "-P", "-m", "mypy", "--config-file=", "--ignore-missing-imports", "--cache-dir", str(cache)]
    done = subprocess.run([*line, "--explicit-package-bases", "."], cwd=tree, capture_output=True, text=True)
    last = done.stdout.splitlines()[-1]
    return 0 if last.startswith("Success") else int(last.split()[1])


def size_figures(tree: Path) -> dict[str, int]:
    """Size, from the files' lines and syntax trees; these trees have no complex function."""
    texts = [file.read_text() for file in tree.rglob("*.py")]
    functions = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return {
        "files": len(texts),
        "lines": sum(len(text.splitlines()) for text in texts),
        "longest_file_lines": max(len(text.splitlines()) for text in texts),
        "functions": len(functions),
        "longest_function_lines": max(len(ast.unparse(function).splitlines()) for function in functions),
        "complex_functions": 0,
    }


def expected_checks(audits: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The review gate's checks, from the template's thresholds and the audits' figures."""
    review = next(phase for phase in yaml.safe_load(TEMPLATE.read_text())["phases"] if phase["name"] == "review")
    checks = []
    for check in review["checks"]:
        _, audit, figure = check["measure"].split(".")
        measured, most, least = audits[audit][figure], check.get("at_most"), check.get("at_least")
        passed = (most is None or measured <= most) and (least is None or measured >= least)
        checks.append(
            {"name": check["name"], "measured": measured, "at_most": most, "at_least": least, "passed": passed}
        )
    return checks


def expected_confidence(checks: list[dict[str, Any]]) -> int:
    """The PM's rule: 5 at the threshold, 10 at twice its distance, by the narrowest check or the worst."""
    margins = [
        (Decimal(c["at_most"]) - c["measured"]) / max(Decimal(c["at_most"]), Decimal(1))
        if c["at_most"] is not None
        else (Decimal(c["measured"]) - Decimal(c["at_least"])) / max(Decimal(c["at_least"]), Decimal(1))
        for c in checks
    ]
    narrowest = min(margins) if all(c["passed"] for c in checks) else -min(margins)
    return int((5 + 5 * min(Decimal(1), narrowest)).quantize(Decimal(1), ROUND_HALF_UP))


def seconds(row: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(row[name]) for name in ("startedAt", "completedAt"))
    return round((end - start).total_seconds(), 3)


def expected_agents(outcome: Any, execution_id: str) -> list[dict[str, Any]]:
    """CPU and memory by agent, from the raw measurements."""
    assert outcome["resourceMetrics"]["pageInfo"]["hasNextPage"] is False
    mine = [m for m in outcome["resourceMetrics"]["nodes"] if (m["execution"] or {}).get("executionId") == execution_id]
    figures = []
    for agent_id in sorted(member.agent_id for member in TEAM):
        cpu = [Decimal(m["cpuUsage"]) for m in mine if m["agent"]["agentId"] == agent_id]
        memory = [Decimal(m["memoryUsage"]) for m in mine if m["agent"]["agentId"] == agent_id]
        tasks = outcome["workflow"]["tasks"]["nodes"]
        figures.append(
            {
                "agent": agent_id,
                "tasks": sum(task["assignedAgent"]["agentId"] == agent_id for task in tasks),
                "measurements": len(cpu),
                "cpu_percent_mean": float((sum(cpu, Decimal(0)) / len(cpu)).quantize(Decimal("0.01"), ROUND_HALF_UP)),
                "cpu_percent_max": float(max(cpu)),
                "memory_mb_max": float(max(memory)),
            }
        )
    return figures


def assert_recomputed(hub: RunningHub, tree: Path, cache: Path, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare every figure with one that was computed here; the review gate's checks."""
    findings = figures["findings"]
    files = len(list(tree.rglob("*.py")))
    counts = ruff_counts(tree)
    assert findings["ruff"]["by_rule"] == counts
    assert (findings["ruff"]["findings"], findings["ruff"]["files"]) == (sum(counts.values()), files)
    assert (findings["mypy"]["errors"], findings["mypy"]["files"]) == (mypy_count(tree, cache), files)
    assert sum(findings["mypy"]["by_code"].values()) == findings["mypy"]["errors"]
    size = size_figures(tree)
    assert {name: findings["size"][name] for name in size} == size

    checks = expected_checks({"lint": findings["ruff"], "types": findings["mypy"], "size": size})
    review = figures["gates"][0]
    assert [{name: check[name] for name in checks[0]} for check in review["checks"]] == checks
    assert (review["decided_by"], review["confidence"]) == ("john-pm", expected_confidence(checks))
    first, verdict = figures["decisions"][:2]
    assert (first["decided_by"], first["confidence"]) == ("john-pm", 9)
    assert (verdict["type"], verdict["confidence"]) == ("QUALITY_GATE", review["confidence"])
    assert "no language model" in first["reasoning"]
    assert "no language model" in verdict["reasoning"]

    execution = figures["execution"]
    outcome: Any = ask(hub.folder, hub.url, OUTCOME, id=execution["id"])
    assert (execution["status"], execution["seconds"]) == (
        outcome["workflow"]["executionStatus"],
        seconds(outcome["workflow"]),
    )
    times = {task["taskId"]: seconds(task) for task in outcome["workflow"]["tasks"]["nodes"]}
    assert {task["id"]: task["seconds"] for task in figures["tasks"]} == times
    assert all(task["status"] == "COMPLETED" and task["attempts"] == 1 for task in figures["tasks"])
    assert figures["agents"] == expected_agents(outcome, execution["id"])
    assert all(0 <= agent["cpu_percent_mean"] <= 100 and agent["memory_mb_max"] > 20 for agent in figures["agents"])
    assert (figures["model_assignments"], outcome["workflow"]["modelAssignments"]["nodes"]) == (0, [])
    return checks


def assert_nothing_left(hub: RunningHub) -> None:
    """No agent process, no agent online, no token of theirs that works."""
    running = [p for p in psutil.process_iter(["cmdline", "environ"]) if "app.agent" in (p.info["cmdline"] or ())]
    assert [p for p in running if (p.info["environ"] or {}).get("HUB_URL") == hub.url] == []
    found: Any = ask(
        hub.folder,
        hub.url,
        "{ agents(first: 100) { nodes { agentId status } } apiTokens(first: 100) { nodes { tokenName isLive } } }",
    )
    ids = {member.agent_id for member in TEAM}
    states = {agent["agentId"]: agent["status"] for agent in found["agents"]["nodes"]}
    # one that was told to end before it registered is not known at all
    assert {states[agent_id] for agent_id in ids & set(states)} <= {"OFFLINE"}
    assert [t["tokenName"] for t in found["apiTokens"]["nodes"] if t["isLive"] and t["tokenName"] in ids] == []


def test_every_figure_is_recomputed_and_planted_defects_change_findings_and_verdict(
    running_hub: RunningHub, tmp_path: Path
) -> None:
    tree = write(tmp_path / "tree", CLEAN, LINT_DEFECTS, TYPE_DEFECTS)
    code, first, progress = run_demo(running_hub, tree, "--approve")
    assert (code, first["execution"]["status"], first["verdict"]) == (0, "COMPLETED", "APPROVED"), progress
    checks = assert_recomputed(running_hub, tree, tmp_path / "cache", first)
    assert all(check["passed"] for check in checks)
    assert first["findings"]["ruff"]["by_rule"] == {"F401": 2, "B006": 1, "F821": 1}
    assert first["findings"]["mypy"]["errors"] == 3
    assert "# Audit of" in first["report"]
    assert first["gates"][1]["decision"] == "Approved by `hub demo --approve`, unseen by a person."
    assert "task Count the linter's findings COMPLETED by lena-lint" in progress
    assert_nothing_left(running_hub)

    write(tree, unused_imports(2))
    code, second, progress = run_demo(running_hub, tree, "--approve")
    assert (code, second["verdict"]) == (0, "APPROVED"), progress
    assert second["findings"]["ruff"]["findings"] == 6
    assert_recomputed(running_hub, tree, tmp_path / "cache", second)
    assert second["gates"][0]["confidence"] < first["gates"][0]["confidence"] + 1

    write(tree, unused_imports(20))
    code, third, progress = run_demo(running_hub, tree, "--approve")
    assert (code, third["execution"]["status"], third["verdict"]) == (1, "FAILED", "REJECTED"), progress
    checks = assert_recomputed(running_hub, tree, tmp_path / "cache", third)
    assert [check["name"] for check in checks if not check["passed"]] == ["linter findings"]
    assert third["findings"]["ruff"]["findings"] == 24
    assert third["errors"] != []
    assert_nothing_left(running_hub)


def start_demo(hub: RunningHub, tree: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            [HUB, "demo", "--path", tree],
            env=environment(hub.folder, HUB_URL=hub.url),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def wait_for(log: Path, words: str, limit: float = 90) -> str:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        if words in text:
            return text
        time.sleep(0.1)
    raise AssertionError(f"{words!r} was not said:\n{log.read_text(errors='replace')}")


def test_it_waits_for_the_approval_that_it_asks_for(running_hub: RunningHub, tmp_path: Path) -> None:
    tree, log = write(tmp_path / "tree", CLEAN), tmp_path / "log"
    demo = start_demo(running_hub, tree, log)
    try:
        text = wait_for(log, "hub gate approve")
        assert "# Audit of" in text
        # a second demo does not take the first one's agents away
        code, figures, progress = run_demo(running_hub, tree)
        assert (code, figures) == (1, {})
        assert "An agent john-pm is online on this hub already." in progress
        # the command is given as it was printed
        line = next(line for line in text.splitlines() if "hub gate approve" in line and "--reason" in line).strip()
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            env=environment(running_hub.folder, PATH=f"{HUB.parent}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "Final approval of the audit is APPROVED.\n"), done.stderr
        assert demo.wait(60) == 0
    finally:
        demo.kill()
        demo.wait()
    text = log.read_text()
    assert "Verdict: APPROVED" in text
    assert "I have read the report" in text
    assert_nothing_left(running_hub)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_it_leaves_nothing(running_hub: RunningHub, tmp_path: Path, number: signal.Signals) -> None:
    tree, log = write(tmp_path / "tree", CLEAN), tmp_path / "log"
    demo = start_demo(running_hub, tree, log)
    try:
        wait_for(log, "waits for your final approval")
        demo.send_signal(number)
        assert demo.wait(30) == 130
    finally:
        demo.kill()
        demo.wait()
    assert "Traceback" not in log.read_text()
    found: Any = ask(running_hub.folder, running_hub.url, "{ workflows(first: 1) { nodes { executionStatus } } }")
    assert found["workflows"]["nodes"] == [{"executionStatus": "CANCELLED"}]
    assert_nothing_left(running_hub)


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2, 0.6])
def test_told_to_end_while_it_starts_it_leaves_nothing(running_hub: RunningHub, tmp_path: Path, wait: float) -> None:
    tree, log = write(tmp_path / "tree", CLEAN), tmp_path / "log"
    demo = start_demo(running_hub, tree, log)
    try:
        wait_for(log, "Starting john-pm")
        time.sleep(wait)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 130
    finally:
        demo.kill()
        demo.wait()
    assert "Traceback" not in log.read_text()
    assert_nothing_left(running_hub)


def test_killed_it_takes_its_agents_with_it(running_hub: RunningHub, tmp_path: Path) -> None:
    tree, log = write(tmp_path / "tree", CLEAN), tmp_path / "log"
    demo = start_demo(running_hub, tree, log)
    wait_for(log, "waits for your final approval")
    demo.kill()
    demo.wait()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        states: Any = ask(running_hub.folder, running_hub.url, "{ agents(first: 100) { nodes { agentId status } } }")
        if {agent["status"] for agent in states["agents"]["nodes"]} == {"OFFLINE"}:
            return
        time.sleep(0.2)
    raise AssertionError(states)


def test_other_commands_take_the_place_of_the_policy_and_the_auditors(running_hub: RunningHub, tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", CLEAN)
    answer = {
        "type": "result",
        "is_error": False,
        "duration_ms": 10,
        "session_id": "s",
        "total_cost_usd": 0.5,
        "usage": {"input_tokens": 7, "output_tokens": 3},
        "result": json.dumps(
            {"verdict": "approve", "reasoning": "r", "outcome": "o", "confidence": 7, "decision_type": "escalation"}
        ),
    }
    (tmp_path / "answer").write_text(json.dumps(answer))
    code, figures, progress = run_demo(running_hub, tree, "--approve", "--pm-command", f"cat {tmp_path / 'answer'}")
    assert (code, figures["verdict"]) == (0, "APPROVED"), progress
    assert [one["confidence"] for one in figures["decisions"]] == [7, 7, 5]
    assert figures["decisions"][0]["type"] == "ESCALATION"
    # one for each of the PM's two answers, none for the auditors' plain commands
    assert figures["model_assignments"] == 2


def test_a_folder_without_python_is_a_wrong_use(running_hub: RunningHub, tmp_path: Path) -> None:
    code, figures, progress = run_demo(running_hub, tmp_path)
    assert (code, figures) == (2, {})
    assert "no Python files" in progress
