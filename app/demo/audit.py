"""`python -m app.demo.audit`: the command of the demo's auditors. Reads a task on standard input, prints its result.

The task's `input.tool` says what to do: `ruff`, `mypy`, `size`, or `report` on the results of the others. The tree is
`input.context.path`, of which `input.context.include` may name the folders to look at. Progress goes to standard error.
A request for a review is answered by the rules of `app.demo.policy`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from app.demo.linters import AuditFailed, run_mypy, run_ruff
from app.demo.policy import review
from app.demo.report import compose_report
from app.demo.size import measure_size
from app.demo.tree import python_files

TOOLS = {"ruff": run_ruff, "mypy": run_mypy, "size": measure_size}


def main() -> None:
    """Do the task on standard input; exit code 1 with the reason on standard error when it cannot be done."""
    task = json.load(sys.stdin)
    try:
        result = review(task["input"]["gate"]) if task["taskKind"] == "review" else audit(task["input"])
    except (AuditFailed, TimeoutExpired, OSError) as error:
        sys.exit(f"The audit failed: {error}")
    sys.stdout.write(json.dumps(result, ensure_ascii=False))


def audit(given: Mapping[str, Any]) -> dict[str, Any]:
    """The result of the task whose input this is. Raises `AuditFailed`."""
    tool = given.get("tool")
    context = given.get("context") or {}
    path = context.get("path")
    if not isinstance(path, str) or not path:
        raise AuditFailed("the workflow's input names no path to audit")
    if tool == "report":
        return compose_report(path, given.get("results") or {})
    if tool not in TOOLS:
        raise AuditFailed(f"input.tool must be one of {', '.join((*TOOLS, 'report'))}; it is {tool!r}")
    root = Path(path)
    if not root.is_dir():
        raise AuditFailed(f"{root} is not a folder that this agent can read")
    files = python_files(root, context.get("include") or ())
    _say(f"{tool}: {len(files)} Python files below {root}")
    result = TOOLS[tool](root, files)
    _say(f"{tool}: 100 %, done")
    return result


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
