"""The auditors' figures, beside figures that were counted in another way."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.demo.audit import audit
from app.demo.linters import AuditFailed, run_mypy, run_ruff
from app.demo.size import count_lines, measure_size
from app.demo.tree import python_files
from tests.demo.trees import CLEAN, LINT_DEFECTS, TYPE_DEFECTS, write

BRANCHING = """\
def plain():
    return 1


def forked(x, items):
    if x and items or not x:
        return 1
    elif x > 2:
        return 2
    for item in items:
        while item:
            item -= 1
    try:
        y = 1 if x else 2
    except ValueError:
        y = 3
    assert y
    z = [i for i in items if i if not x]
    match y:
        case 1:
            pass
        case _:
            pass
    return z


async def outer():
    def inner(x):
        return 1 if x else 2
    return inner
"""


def test_the_files_are_those_that_were_written_here(tmp_path: Path) -> None:
    skipped = ["node_modules/a.py", ".venv/a.py", "venv/lib/a.py", "__pycache__/a.py", "build/a.py", "dist/a.py"]
    write(tmp_path, dict.fromkeys([*skipped, "z.py", "a/b.py", "a/c.txt", "c/d.py"], ""))
    assert python_files(tmp_path) == [Path("a/b.py"), Path("c/d.py"), Path("z.py")]
    assert python_files(tmp_path, ["a", "gone"]) == [Path("a/b.py")]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"a/b.py": ""})
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert python_files(tmp_path) == [Path("a/b.py")]


def test_ruff_finds_what_was_planted(tmp_path: Path) -> None:
    write(tmp_path, CLEAN, LINT_DEFECTS)
    found = run_ruff(tmp_path, python_files(tmp_path))
    assert (found["tool"], found["findings"], found["files"]) == ("ruff", 4, 4)
    assert found["by_rule"] == {"F401": 2, "B006": 1, "F821": 1}
    assert found["examples"][0]["at"] == "pkg/lint.py:1"


def test_the_trees_own_configuration_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, CLEAN, LINT_DEFECTS, TYPE_DEFECTS)
    (tmp_path / "ruff.toml").write_text('lint.select = []\nlint.ignore = ["F"]\n')
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_errors = True\n")
    (tmp_path / "mypy.py").write_text("raise SystemExit(7)\n")
    files = [file for file in python_files(tmp_path) if file.parts[0] == "pkg"]
    assert run_ruff(tmp_path, files)["findings"] == 4
    assert run_mypy(tmp_path, files)["errors"] == 3


def test_mypy_finds_what_was_planted(tmp_path: Path) -> None:
    write(tmp_path, CLEAN, TYPE_DEFECTS)
    found = run_mypy(tmp_path, python_files(tmp_path))
    assert (found["tool"], found["errors"], found["files"]) == ("mypy", 3, 4)
    assert found["by_code"] == {"arg-type": 1, "call-arg": 1, "return-value": 1}
    assert list(tmp_path.glob(".mypy_cache")) == []


def test_clean_trees_have_no_findings(tmp_path: Path) -> None:
    write(tmp_path, CLEAN)
    assert run_ruff(tmp_path, python_files(tmp_path))["findings"] == 0
    assert run_mypy(tmp_path, python_files(tmp_path))["errors"] == 0


def test_a_file_that_cannot_be_parsed_is_a_finding_of_each_tool(tmp_path: Path) -> None:
    write(tmp_path, CLEAN, {"pkg/broken.py": "def (:\n"})
    files = python_files(tmp_path)
    assert run_ruff(tmp_path, files)["by_rule"].keys() == {"invalid-syntax"}
    assert run_mypy(tmp_path, files)["by_code"].keys() == {"syntax"}
    size = measure_size(tmp_path, files)
    assert (size["unparsable_files"], size["functions"]) == (1, 1)


def test_modules_of_one_name_in_two_folders_are_no_trouble(tmp_path: Path) -> None:
    write(tmp_path, {"a/conftest.py": "x: int = ''\n", "b/conftest.py": "y: int = ''\n", "b-c/run-me.py": "z = 1\n"})
    assert run_mypy(tmp_path, python_files(tmp_path))["errors"] == 2


def test_size_is_counted_as_by_hand(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": BRANCHING, "b.py": "x = 1", "c.py": ""})
    size = measure_size(tmp_path, python_files(tmp_path))
    assert {name: size[name] for name in ("tool", "files", "lines", "functions")} == {
        "tool": "size",
        "files": 3,
        "lines": 31,
        "functions": 4,
    }
    assert (size["longest_file"], size["longest_file_lines"], size["longest_function_lines"]) == ("a.py", 30, 20)
    # 1 + if, and, or, elif, for, while, conditional, except, assert, comprehension with two ifs, two cases
    assert size["most_complex"][0] == {"function": "a.py:5 forked", "complexity": 15}
    assert [entry["complexity"] for entry in size["most_complex"]] == [15, 2, 1, 1]
    assert size["complex_functions"] == 1


@pytest.mark.parametrize(("text", "lines"), [("", 0), ("x", 1), ("x\n", 1), ("x\n\n", 2), ("x\ny", 2), ("a\x0cb\n", 1)])
def test_lines_end_with_a_line_feed(text: str, lines: int) -> None:
    assert count_lines(text) == lines


def run(task: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.demo.audit"], input=json.dumps(task), capture_output=True, text=True
    )


@pytest.mark.parametrize("tool", ["ruff", "mypy", "size"])
def test_an_auditor_is_a_program(tmp_path: Path, tool: str) -> None:
    write(tmp_path, CLEAN)
    done = run({"taskKind": "work", "input": {"tool": tool, "context": {"path": str(tmp_path)}}})
    assert done.returncode == 0
    assert (json.loads(done.stdout)["tool"], json.loads(done.stdout)["files"]) == (tool, 3)
    assert done.stderr.splitlines()[-1] == f"{tool}: 100 %, done"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tool": "ruff", "context": {"path": "/nowhere/at/all"}}, "is not a folder that this agent can read"),
        ({"tool": "ruff", "context": {}}, "names no path"),
        ({"tool": "magic", "context": {"path": "/"}}, "input.tool must be one of ruff, mypy, size, report"),
    ],
)
def test_an_audit_that_cannot_be_done_fails_with_the_reason(given: dict[str, Any], text: str) -> None:
    done = run({"taskKind": "work", "input": given})
    assert (done.returncode, done.stdout) == (1, "")
    assert text in done.stderr
    with pytest.raises(AuditFailed, match=text):
        audit(given)


def test_the_report_repeats_the_figures_and_the_checks(tmp_path: Path) -> None:
    write(tmp_path, CLEAN, LINT_DEFECTS)
    audits = {
        name: audit({"tool": tool, "context": {"path": str(tmp_path)}})
        for name, tool in (("lint", "ruff"), ("types", "mypy"), ("size", "size"))
    }
    checks = [{"name": "linter findings", "measured": 4, "at_most": 10, "at_least": None, "passed": True}]
    results = {"audits": audits, "review": {"gate_id": "g", "approval_status": "approved", "checks": checks}}
    report = audit({"tool": "report", "context": {"path": str(tmp_path)}, "results": results})
    assert (report["findings"], report["errors"]) == (4, audits["types"]["errors"])
    assert (report["checks"], report["checks_passed"]) == (1, 1)
    assert "- ruff: 4 findings in 4 files (F401 2, B006 1, F821 1)" in report["markdown"]
    assert "- linter findings 4 (at most 10) passed" in report["markdown"]
    assert Counter(report["markdown"].splitlines())["## First findings"] == 1
