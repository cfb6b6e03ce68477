"""What a benchmark found: one line each for people, build/bench.json for machines."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Figure:
    """A measured value beside that of a peer, measured in the same run; `aim` is the least ratio wanted."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    aim: float

    @property
    def ratio(self) -> float:
        """Value over peer's value."""
        return self.value / self.peer_value

    @property
    def met(self) -> bool:
        """Whether the ratio, as it is written, reaches the aim: rounding must not turn a miss into a hit."""
        return self.ratio >= self.aim

    def as_json(self) -> dict[str, Any]:
        """The entry of build/bench.json."""
        return {
            "name": self.name,
            "value": round(self.value, 2),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": round(self.peer_value, 2),
            "ratio": round(self.ratio, 3),
            "aim": self.aim,
            "met": self.met,
        }


def show(console: Console, figure: Figure) -> None:
    """Print the figure on one line."""
    verdict = "[green]met[/green]" if figure.met else "[red]missed[/red]"
    console.print(
        f"[bold]{escape(figure.name)}[/bold]: {figure.value:.1f} {escape(figure.unit)}, beside {escape(figure.peer)} "
        f"{figure.peer_value:.1f}: [bold]{figure.ratio:.2f}×[/bold], aim ≥ {figure.aim:g}×: {verdict}",
        soft_wrap=True,
    )


def write(path: Path, figures: Sequence[Figure]) -> None:
    """Write what was measured in this run, and nothing of earlier ones: ratios hold within one run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([figure.as_json() for figure in figures], indent=2, ensure_ascii=False) + "\n")
