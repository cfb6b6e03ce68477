"""`python -m app.demo.policy`: the command of the demo's PM. A fixed policy on measured findings, no language model.

It reads a task as JSON on standard input and prints its answer. Its rules:

**Which audits.** All three (lint, types, size), since each finds what the others cannot. Confidence: 9 when every
Python file of the tree can be parsed; 6 when some cannot, because mypy stops at them and tells less; 2 when there is no
Python file, because then nothing will be measured.

**A gate's verdict.** Approve when every automated check passed and no reviewer recommends otherwise. When a value was
not measured: request a revision the first time, reject after that. When a check failed, or a reviewer rejects: reject.
When a reviewer asks for a revision: request one.

**Confidence of a verdict**, from the margins. The margin of a check is how far the measured value lies from its
threshold, as a part of the threshold (of 1 where the threshold is smaller): 0 at the threshold, 1 when the value is
zero, or twice the threshold. An approval is as sure as its narrowest check, a rejection as its worst: 5 at margin 0, 10
at margin 1 or more. Where a value is missing, or reviewers decided it, 5.

**Quality score.** Ten times the mean over the checks of: 1 at margin 1 or more, 0.5 at the threshold, 0 when the
threshold is missed by as much as itself or the value is missing.
"""

import ast
import json
import sys
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from app.client.output import check_text
from app.demo.tree import python_files, read_text
from app.domain.decisions import DecisionType
from app.domain.quality_gates import ReviewVerdict

DISCLAIMER = "Decided by the demo's fixed policy on measured figures; no language model took part."

AUDITS = {
    "lint": "ruff finds names that are undefined or unused, and likely defects, in every file by itself",
    "types": "mypy finds calls and values that do not fit each other, across files",
    "size": "the syntax trees tell files and functions that have grown too long or too complex to review",
}


def main() -> None:
    """Answer the task on standard input."""
    task = json.load(sys.stdin)
    sys.stdout.write(json.dumps(answer(task), ensure_ascii=False))


def answer(task: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a decision task, to a gate's verdict, or to a review."""
    question = task["input"]
    if task["taskKind"] == "review":
        return review(question["gate"])
    if question.get("gate") is not None:
        return judge(question["gate"])
    return choose_audits(question)


def choose_audits(question: Mapping[str, Any]) -> dict[str, Any]:
    """Which audits the tree gets, and why."""
    context = question.get("context") or {}
    root = Path(context.get("path") or ".")
    files = python_files(root, context.get("include") or ())
    broken = [str(file) for file in files if not _parses(root / file)]
    return {
        "decision_type": question.get("decision_type") or DecisionType.TASK_ASSIGNMENT.value,
        "reasoning": _numbered(_steps_to_audits(root, len(files), broken)),
        "outcome": f"Audit {len(files)} Python files for {', '.join(AUDITS)}.",
        "confidence": audit_confidence(len(files), len(broken)),
        "context_data": {"question": question.get("question"), "path": str(root), "files": len(files)},
        "agent_assignments": {name: {"capability": name} for name in AUDITS},
        "learning_notes": f"{len(broken)} files cannot be parsed." if broken else "",
    }


def audit_confidence(files: int, broken: int) -> int:
    """How sure it is that the audits will tell what there is to tell."""
    if not files:
        return 2
    return 6 if broken else 9


def _steps_to_audits(root: Path, files: int, broken: Sequence[str]) -> list[str]:
    steps = [f"The tree {root} holds {files} Python files, {len(broken)} of which cannot be parsed."]
    steps += [f"{name}: {why}." for name, why in AUDITS.items()]
    steps.append("The audits need nothing of each other, so they run side by side.")
    if broken:
        steps.append(f"mypy will stop at {', '.join(broken[:5])}, so its count will be incomplete.")
    return [*steps, DISCLAIMER]


def judge(gate: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on a gate."""
    verdict, why, confidence = _weigh(gate)
    checks = gate.get("checks") or []
    failed = [check for check in checks if not check["passed"]]
    passed = f"{len(checks) - len(failed)} of {len(checks)} checks passed"
    return {
        "verdict": verdict.value,
        "reasoning": _numbered([*(f"Check: {check_text(check)}." for check in checks), why, DISCLAIMER]),
        "outcome": "; ".join([f"{passed}. {why}", *map(check_text, failed)]),
        "confidence": confidence,
        "quality_score": float(quality_score(checks)),
        "improvement_suggestions": "\n".join(f"Bring {check['name']} within its threshold." for check in failed),
    }


def review(gate: Mapping[str, Any]) -> dict[str, Any]:
    """A reviewer's recommendation by the same rules, on the automated checks alone."""
    alone = {**gate, "reviews": []}
    verdict, why, _ = _weigh(alone)
    score = float(quality_score(gate.get("checks") or []))
    return {"verdict": verdict.value, "score": score, "feedback": f"{why} {DISCLAIMER}"}


def margin(check: Mapping[str, Any]) -> Decimal | None:
    """How far the measured value is inside its nearest threshold, negative outside; None when it was not measured."""
    if check["measured"] is None:
        return None
    measured = Decimal(str(check["measured"]))
    margins = []
    if check.get("at_most") is not None:
        limit = Decimal(str(check["at_most"]))
        margins.append((limit - measured) / max(abs(limit), Decimal(1)))
    if check.get("at_least") is not None:
        limit = Decimal(str(check["at_least"]))
        margins.append((measured - limit) / max(abs(limit), Decimal(1)))
    return min(margins)


def quality_score(checks: Sequence[Mapping[str, Any]]) -> Decimal:
    """From 0 to 10 with one decimal; 5 where there is nothing to go by."""
    if not checks:
        return Decimal("5.0")
    parts = [(max(Decimal(-1), min(Decimal(1), _or_worst(margin(check)))) + 1) / 2 for check in checks]
    return (10 * sum(parts, Decimal(0)) / len(parts)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def _or_worst(value: Decimal | None) -> Decimal:
    return Decimal(-1) if value is None else value


def _weigh(gate: Mapping[str, Any]) -> tuple[ReviewVerdict, str, int]:
    """The verdict by the rules above, the reason for it, and its confidence."""
    checks = gate.get("checks") or []
    missing = [check["name"] for check in checks if check["measured"] is None]
    if missing:
        return _on_missing(missing, revised=bool(gate.get("revision")))
    known = [value for value in map(margin, checks) if value is not None]
    if not all(check["passed"] for check in checks):
        return ReviewVerdict.REJECT, "At least one check failed, so the work does not pass.", _confidence(-min(known))
    return _on_reviews(gate) or (
        ReviewVerdict.APPROVE,
        "Every check passed and no reviewer recommends otherwise.",
        _confidence(min(known)) if known else 5,
    )


def _on_missing(missing: Sequence[str], *, revised: bool) -> tuple[ReviewVerdict, str, int]:
    names = ", ".join(missing)
    if revised:
        return ReviewVerdict.REJECT, f"Still not measured after a revision: {names}.", 5
    return ReviewVerdict.REQUEST_REVISION, f"Not measured: {names}. It is to be measured again.", 5


def _on_reviews(gate: Mapping[str, Any]) -> tuple[ReviewVerdict, str, int] | None:
    """The verdict where a reviewer stands against the work, else None."""
    verdicts = {str(entry.get("verdict") or "").lower() for entry in gate.get("reviews") or []}
    if ReviewVerdict.REJECT.value in verdicts:
        return ReviewVerdict.REJECT, "A reviewer rejects it.", 5
    if ReviewVerdict.REQUEST_REVISION.value in verdicts:
        return ReviewVerdict.REQUEST_REVISION, "A reviewer asks for a revision.", 5
    return None


def _confidence(narrowest: Decimal) -> int:
    """5 at margin 0, 10 at margin 1 or more, in between in proportion."""
    points = 5 + 5 * max(Decimal(0), min(Decimal(1), narrowest))
    return int(points.quantize(Decimal(1), ROUND_HALF_UP))


def _parses(path: Path) -> bool:
    try:
        ast.parse(read_text(path))
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def _numbered(steps: Sequence[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


if __name__ == "__main__":
    main()
