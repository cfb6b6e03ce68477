"""The whole benchmark on little data and for a moment: the contenders agree, and the figures are those of DESIGN.md."""

import io

import pytest
from rich.console import Console

from tests.benchmarks.reads import Plan, difference, run
from tests.benchmarks.seed import Size

SMALLEST = Plan(Size(agents=10, workflows=130), rounds=1, warm_up=0.1, seconds=1.0)


@pytest.mark.slow
def test_hub_and_peers_are_measured_on_equal_answers() -> None:
    output = io.StringIO()
    figures = run(Console(file=output, width=200), SMALLEST)
    assert [(figure.peer, figure.aim) for figure in figures] == [
        ("Strawberry + DataLoaders", 14.0),
        ("the same SQL in pgbench", 0.75),
    ]
    assert {(figure.name, figure.unit) for figure in figures} == {("nested dashboard read over HTTP", "requests/s")}
    assert figures[0].value == figures[1].value > figures[0].peer_value > 0
    assert figures[1].peer_value > 0
    assert "8 clients" in output.getvalue()


def test_where_answers_differ_is_told() -> None:
    assert (
        difference({"one": b'{"a": 1, "b": 2}', "other": b'{"a": 1, "b": 3}'}) == '{"a": 1, "b": 2} | {"a": 1, "b": 3}'
    )
