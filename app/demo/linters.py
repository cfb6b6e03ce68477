"""Ruff and mypy over a list of files, set up so that their findings depend on the tree and the locked packages only."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TOOL_SECONDS = 900
EXAMPLES = 10

RUFF_RULES = ("F", "E7", "E9", "B", "PLE", "ASYNC")
"""What ruff looks for: undefined and unused names (F), statements that mislead (E7), syntax (E9), likely defects
(B, bugbear), certain errors (PLE), and blocking calls in asynchronous code (ASYNC). No matters of style."""

RUFF = ("ruff", "check", "--isolated", "--no-cache", "--no-fix", "--exit-zero", "--output-format", "json")

MYPY = (
    "mypy",
    "--config-file=",
    "--ignore-missing-imports",
    "--explicit-package-bases",
    "--no-error-summary",
    "--output",
    "json",
)
"""Mypy's own defaults, without any configuration or cache. Packages are those installed beside the hub, as locked in
requirements.lock; what the tree imports from elsewhere is taken as `Any`. A file that cannot be parsed stops mypy: its
syntax errors are then all it tells."""


class AuditFailed(Exception):
    """A tool did not do its work; the text says what it printed."""


def run_ruff(root: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Ruff's findings in the files: how many, and how many of each rule."""
    with _listed(files) as names:
        done = _run([*RUFF, "--select", ",".join(RUFF_RULES), f"@{names}"], root)
    if done.returncode != 0:
        raise AuditFailed(f"ruff ended with exit code {done.returncode}: {done.stderr[-1_500:]}")
    findings = json.loads(done.stdout)
    return {
        "tool": "ruff",
        "findings": len(findings),
        "files": len(files),
        "by_rule": _counted(finding["code"] or "invalid-syntax" for finding in findings),
        "rules": list(RUFF_RULES),
        "examples": [
            _example(Path(finding["filename"]), root, finding["location"]["row"], finding["code"], finding["message"])
            for finding in findings[:EXAMPLES]
        ],
    }


def run_mypy(root: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Mypy's errors in the files: how many, and how many of each code."""
    with _listed(files) as names, tempfile.TemporaryDirectory(prefix="hub-mypy-") as cache:
        done = _run([*MYPY, "--cache-dir", cache, f"@{names}"], root)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    errors = [entry for entry in told if entry["severity"] == "error"]
    if done.returncode != 0 and not errors:
        raise AuditFailed(f"mypy ended with exit code {done.returncode}: {(done.stdout + done.stderr)[-1_500:]}")
    return {
        "tool": "mypy",
        "errors": len(errors),
        "files": len(files),
        "by_code": _counted(entry["code"] or "other" for entry in errors),
        "examples": [
            _example(root / entry["file"], root, entry["line"], entry["code"], entry["message"])
            for entry in errors[:EXAMPLES]
        ],
    }


class _listed:  # noqa: N801  (reads as a word: `with _listed(files) as names:`)
    """A temporary file that lists the files, for tools that read their arguments from one: no list is too long."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._file = tempfile.NamedTemporaryFile("w", prefix="hub-files-", suffix=".txt")  # noqa: SIM115
        self._file.write("".join(f"{file}\n" for file in files))
        self._file.flush()

    def __enter__(self) -> str:
        return self._file.name

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _run(arguments: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    # -P: a module of the audited tree must not be taken for the tool
    line = [sys.executable, "-P", "-m", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False)  # noqa: S603


def _counted(names: Iterable[str]) -> dict[str, int]:
    """How often each name comes, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _example(file: Path, root: Path, line: int, code: str | None, message: str) -> Mapping[str, Any]:
    shown = file.relative_to(root) if file.is_relative_to(root) else file
    return {"at": f"{shown}:{line}", "code": code, "message": message}
