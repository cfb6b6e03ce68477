"""Figures: ratio, verdict, and the form of build/bench.json that DESIGN.md §9 sets."""

import io
import json
from pathlib import Path

from rich.console import Console

from tests.benchmarks.report import Figure, show, write

FIGURE = Figure("nested read", 740.0, "requests/s", "the peer", 50.0, 14.0)


def test_an_entry_has_the_agreed_keys(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    write(path, [FIGURE])
    assert json.loads(path.read_text()) == [
        {
            "name": "nested read",
            "value": 740.0,
            "unit": "requests/s",
            "peer": "the peer",
            "peer_value": 50.0,
            "ratio": 14.8,
            "aim": 14.0,
            "met": True,
        }
    ]


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write(path, [FIGURE, FIGURE])
    write(path, [])
    assert json.loads(path.read_text()) == []


def test_rounding_does_not_turn_a_miss_into_a_hit() -> None:
    almost = Figure("nested read", 0.7499999, "requests/s", "pgbench", 1.0, 0.75)
    assert almost.as_json()["ratio"] == 0.75
    assert almost.as_json()["met"] is False


def test_a_figure_is_shown_on_one_line_however_narrow_the_terminal() -> None:
    output = io.StringIO()
    show(Console(file=output, width=40, highlight=False), FIGURE)
    assert output.getvalue() == "nested read: 740.0 requests/s, beside the peer 50.0: 14.80×, aim ≥ 14×: met\n"
