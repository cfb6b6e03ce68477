"""The audit's report: what the auditors measured and what the gates said of it, as Markdown and as figures."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.client.output import check_text, number


def compose_report(path: str, results: Mapping[str, Any]) -> dict[str, Any]:
    """The report on the results of the phases before it, wherever among them they are."""
    found = list(_mappings(results))
    audits = {node["tool"]: node for node in found if node.get("tool") in TOOLS}
    checks = [check for node in found if "approval_status" in node for check in node.get("checks") or ()]
    return {
        "tool": "report",
        "path": path,
        "findings": audits.get("ruff", {}).get("findings"),
        "errors": audits.get("mypy", {}).get("errors"),
        "complex_functions": audits.get("size", {}).get("complex_functions"),
        "checks": len(checks),
        "checks_passed": sum(bool(check["passed"]) for check in checks),
        "markdown": "\n".join(_lines(path, audits, checks)) + "\n",
    }


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping inside the value, itself included."""
    if isinstance(value, Mapping):
        yield value
        for child in value.values():
            yield from _mappings(child)


def _lines(path: str, audits: Mapping[str, Any], checks: list[Mapping[str, Any]]) -> list[str]:
    lines = [f"# Audit of {path}", ""]
    lines += [f"- {TOOLS[tool](audits[tool])}" for tool in TOOLS if tool in audits]
    if checks:
        lines += ["", "## Checks", "", *(f"- {check_text(check)}" for check in checks)]
    examples = [example for audit in audits.values() for example in audit.get("examples") or ()]
    if examples:
        told = (f"- {example['at']}: {example['message']} ({example['code']})" for example in examples)
        lines += ["", "## First findings", "", *told]
    return lines


def _ruff_line(ruff: Mapping[str, Any]) -> str:
    return f"ruff: {ruff['findings']} findings in {ruff['files']} files{_breakdown(ruff['by_rule'])}"


def _mypy_line(mypy: Mapping[str, Any]) -> str:
    return f"mypy: {mypy['errors']} errors in {mypy['files']} files{_breakdown(mypy['by_code'])}"


def _size_line(size: Mapping[str, Any]) -> str:
    return (
        f"size: {number(size['lines'])} lines in {size['files']} files, the longest file "
        f"{number(size['longest_file_lines'])}; {number(size['functions'])} functions, the longest "
        f"{size['longest_function_lines']} lines, {size['complex_functions']} complex"
    )


def _breakdown(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{name} {count}' for name, count in counts.items())})" if counts else ""


TOOLS: dict[str, Callable[[Mapping[str, Any]], str]] = {"ruff": _ruff_line, "mypy": _mypy_line, "size": _size_line}
"""The line on each tool's result."""
