"""How the client commands print: tables for people, JSON for programs, times of day in the reader's zone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

STATUS_STYLES = {
    "COMPLETED": "green",
    "APPROVED": "green",
    "RUNNING": "cyan",
    "IN_REVIEW": "yellow",
    "REQUIRES_REVISION": "yellow",
    "FAILED": "red",
    "REJECTED": "red",
    "CANCELLED": "dim",
    "BUSY": "cyan",
    "ACTIVE": "cyan",
    "IDLE": "green",
    "ERROR": "red",
    "OFFLINE": "dim",
    "PAUSED": "yellow",
}


PIPED_WIDTH = 240
"""How wide tables are that go to a file or another program: nothing is wrapped there."""


def out() -> Console:
    """Standard output, made anew so that a redirected stream is heeded."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    return console


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A table, the ids in its first column whole; the sentence `empty` where there is no row."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*map(_cell, row))
    if table.row_count:
        out().print(table)
    else:
        out().print(empty)


def print_details(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; what is None, empty or no value at all is left out."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", {}, []):
            table.add_row(name, _cell(value))
    out().print(table)


def print_section(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table under a title; nothing where there is no row."""
    found = list(rows)
    if found:
        out().print(f"\n[bold]{escape(title)}[/bold]")
        print_table(columns, found, empty="")


def print_plan(data: Mapping[str, Any]) -> None:
    """What a dry run told: the changes that would be made, or what blocks them."""
    console = out()
    console.print("A dry run: nothing was changed.")
    for refusal in data["userErrors"]:
        console.print(
            f"[red]It would be refused[/red] ({refusal['code']}): {escape(refusal['message'])}", soft_wrap=True
        )
    plan = data["dryRun"]
    if data["userErrors"] or plan is None:
        return
    print_table(
        ("would change", "id", "event", "from", "to", "version"),
        (
            (
                change["aggregate"],
                change["entityId"],
                change["eventType"],
                change["fromStatus"],
                change["toStatus"],
                change["version"],
            )
            for change in plan["changes"]
        ),
        empty="It would change nothing.",
    )
    if plan["changeCount"] > len(plan["changes"]):
        console.print(f"… and {plan['changeCount'] - len(plan['changes']):,} more.")


def note(text: str) -> None:
    """Something to know beside the data, on standard error."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True, style="dim")


def pretty(value: Any) -> str:
    """A JSON value for people: indented; empty for None and for what is empty."""
    return json.dumps(value, ensure_ascii=False, indent=2) if value not in (None, {}, [], "") else ""


def line(text: str | None, most: int = 60) -> str:
    """A text in one line of at most `most` characters."""
    words = " ".join((text or "").split())
    return words if len(words) <= most else words[: most - 1] + "…"


def progress_text(progress: Mapping[str, Any] | None) -> str:
    """How far a task is: per cent and words, as far as they were told."""
    if progress is None:
        return ""
    percent = "" if progress["percent"] is None else f"{progress['percent']:g} %"
    return " ".join(part for part in (percent, line(progress["message"])) if part)


def more(connection: Mapping[str, Any]) -> str:
    """How many a connection has, in brackets, where fewer of them were read."""
    shown, total = len(connection["nodes"]), connection["totalCount"]
    return f" ({shown} of {total:,})" if total > shown else ""


def moment(value: str | None) -> str:
    """An RFC 3339 time as date and time of day in the local zone; empty for None."""
    if value is None:
        return ""
    return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def checks_text(checks: Iterable[Mapping[str, Any]]) -> str:
    """Automated checks in one line: passed ones, and what was measured beside its thresholds for the others."""
    return "; ".join(check_text(check) for check in checks)


def checks_summary(checks: Sequence[Mapping[str, Any]]) -> str:
    """How many automated checks passed, and which did not; empty where there are none."""
    failed = [check["name"] for check in checks if not check["passed"]]
    passed = f"{len(checks) - len(failed)} of {len(checks)} passed" if checks else ""
    return f"{passed}; failed: {', '.join(failed)}" if failed else passed


def check_text(check: Mapping[str, Any]) -> str:
    """One automated check: its name, what was measured, its thresholds."""
    limits = [f"at most {number(check['at_most'])}"] if check.get("at_most") is not None else []
    limits += [f"at least {number(check['at_least'])}"] if check.get("at_least") is not None else []
    sign = "passed" if check["passed"] else "failed"
    measured = "not measured" if check["measured"] is None else number(check["measured"])
    return f"{check['name']} {measured} ({' and '.join(limits)}) {sign}"


def number(value: float) -> str:
    """A number without needless decimals."""
    return format(value, ",.10g")


def styled(status: str | None) -> str:
    """A status as markup."""
    text = escape(status or "")
    style = STATUS_STYLES.get(text)
    return f"[{style}]{text}[/{style}]" if style else text


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return styled(text) if text in STATUS_STYLES else escape(text)
