"""What the demo shows: live progress, the command that gives the final approval, and the figures at the end."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from app.client.output import check_text, number, styled
from app.client.progress import ProgressLines
from app.client.watching import State
from app.demo.figures import Figures


class Progress:
    """Live progress: a table that is drawn anew on a terminal, else a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = ProgressLines()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._says: dict[str, str] = {}
        self._state: State | None = None

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line of its own, above the table."""
        self._console.print(line, soft_wrap=True, highlight=False)

    def show(self, state: State) -> None:
        """The execution's present state."""
        self._state = state
        if self._live is None:
            for line in self._lines.since_last(state):
                self.say(escape(line))
        self._draw()

    def hear(self, change: Mapping[str, Any]) -> None:
        """A change as it is pushed: what a task says of its progress."""
        line = self._lines.of_change(change)
        if line is None:
            return
        if self._live is None:
            self.say(f"[dim]{escape(line)}[/dim]")
            return
        self._says[change["task"]["taskId"]] = str(change["detail"].get("message", ""))
        self._draw()

    def _draw(self) -> None:
        if self._live is not None and self._state is not None:
            self._live.update(_picture(self._state, self._says), refresh=True)


def _picture(state: State, says: Mapping[str, str]) -> RenderableType:
    title = f"{escape(state['workflowName'])} {styled(state['executionStatus'])}"
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("phase", "task", "agent", "status", "progress"):
        table.add_column(column, overflow="ellipsis", no_wrap=True)
    for task in sorted(state["tasks"]["nodes"], key=lambda task: task["taskId"]):
        agent = task["assignedAgent"]["agentId"] if task["assignedAgent"] else None
        cells = (task["phase"], task["title"], agent)
        message = says.get(task["taskId"], "") if task["status"] == "RUNNING" else ""
        table.add_row(*(escape(cell or "") for cell in cells), styled(task["status"]), escape(message))
    gates = [
        Text.from_markup(f"gate {escape(gate['gateName'])} {styled(gate['approvalStatus'])}")
        for gate in sorted(state["qualityGates"]["nodes"], key=lambda gate: gate["gateId"])
    ]
    return Group(Text.from_markup(title), table, *gates)


def print_figures(console: Console, figures: Figures) -> None:
    """All figures, for people."""
    execution = figures["execution"]
    console.rule(f"{execution['workflow']} of {figures['path']}")
    console.print(f"Execution {execution['id']} {styled(execution['status'])} after {_seconds(execution['seconds'])}")
    _print_findings(console, figures["findings"])
    for gate in figures["gates"]:
        _print_gate(console, gate)
    console.print("\n[bold]Decisions[/bold]")
    for decision in figures["decisions"]:
        console.print(
            f"  {escape(decision['decided_by'])}, confidence {decision['confidence']} of 10: "
            f"{escape(decision['outcome'])}",
            soft_wrap=True,
        )
    _print_tasks(console, figures["tasks"])
    _print_agents(console, figures["agents"])
    console.print(f"\nModel assignments: {figures['model_assignments']}")
    for error in figures["errors"]:
        console.print(f"[red]{escape(error)}[/red]", soft_wrap=True)
    console.print(f"Verdict: {styled(figures['verdict'])}")


def _print_findings(console: Console, findings: Mapping[str, Any]) -> None:
    console.print("\n[bold]Findings[/bold]")
    if "ruff" in findings:
        ruff = findings["ruff"]
        console.print(f"  ruff: {ruff['findings']} findings in {ruff['files']} files{_counts(ruff['by_rule'])}")
    if "mypy" in findings:
        mypy = findings["mypy"]
        console.print(f"  mypy: {mypy['errors']} errors in {mypy['files']} files{_counts(mypy['by_code'])}")
    if "size" in findings:
        size = findings["size"]
        console.print(
            f"  size: {number(size['lines'])} lines in {size['files']} files, the longest "
            f"{number(size['longest_file_lines'])}; {number(size['functions'])} functions, the longest "
            f"{size['longest_function_lines']} lines; {size['complex_functions']} complex",
            soft_wrap=True,
        )


def _print_gate(console: Console, gate: Mapping[str, Any]) -> None:
    score = "" if gate["quality_score"] is None else f", quality {number(gate['quality_score'])} of 10"
    console.print(f"\n[bold]Gate {escape(gate['name'])}[/bold] {styled(gate['status'])}{score}")
    for check in gate["checks"]:
        style = "green" if check["passed"] else "red"
        console.print(f"  [{style}]{escape(check_text(check))}[/{style}]", soft_wrap=True)
    if gate["decision"]:
        who = f"{gate['decided_by']}, confidence {gate['confidence']} of 10"
        console.print(f"  {escape(who)}: {escape(gate['decision'])}", soft_wrap=True)


def _print_tasks(console: Console, tasks: list[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in ("task", "phase", "agent", "status", "attempts", "time"):
        table.add_column(column, justify="right" if column in ("attempts", "time") else "left")
    for task in tasks:
        cells = (task["title"], task["phase"], task["agent"])
        table.add_row(
            *(escape(cell or "") for cell in cells),
            styled(task["status"]),
            str(task["attempts"]),
            _seconds(task["seconds"]),
        )
    console.print("\n[bold]Tasks[/bold]")
    console.print(table)


def _print_agents(console: Console, agents: list[Mapping[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("agent", "tasks", "measured", "CPU mean", "CPU max", "memory max"):
        table.add_column(column, justify="left" if column == "agent" else "right")
    for agent in agents:
        table.add_row(
            escape(agent["agent"]),
            str(agent["tasks"]),
            f"{agent['measurements']} times",
            _of_unit(agent["cpu_percent_mean"], "%"),
            _of_unit(agent["cpu_percent_max"], "%"),
            _of_unit(agent["memory_mb_max"], "MB"),
        )
    console.print("\n[bold]Agents[/bold] (with the commands they ran; CPU of all cores together)")
    console.print(table)


def _counts(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{escape(name)} {count}' for name, count in counts.items())})" if counts else ""


def _of_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.1f} {unit}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} s"
