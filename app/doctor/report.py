"""The examination's report: lines for people, JSON for programs."""

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from app.doctor.findings import Finding, Severity

STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.PROBLEM: "red", Severity.SKIPPED: "dim"}


def exit_code(findings: Sequence[Finding]) -> int:
    """1 when there is a problem, else 0."""
    return int(any(finding.severity is Severity.PROBLEM for finding in findings))


def print_json(findings: Sequence[Finding]) -> None:
    """`{"healthy": …, "findings": [{name, severity, message, remedy}]}` on standard output."""
    report = {"healthy": not exit_code(findings), "findings": [finding.as_json() for finding in findings]}
    print(json.dumps(report, ensure_ascii=False, indent=2))  # noqa: T201


def print_lines(findings: Sequence[Finding]) -> None:
    """A line for each finding, its remedy below it, and how many of each there are."""
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        style = STYLES[finding.severity]
        console.print(f"[{style}]{finding.severity:<8}[/{style}] {finding.name:<20} {escape(finding.message)}")
        if finding.remedy:
            console.print(f"{'':<29} → {escape(finding.remedy)}")
    counts = Counter(finding.severity for finding in findings)
    console.print(", ".join(f"{counts[severity]} {severity}" for severity in Severity if counts[severity]))
