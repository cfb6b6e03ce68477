"""The benchmark of kept answers, on little data and for a moment."""

import io

import pytest
from rich.console import Console

from tests.benchmarks.reads import Plan
from tests.benchmarks.repeated import AIM, NAME, SAME_BODY, run
from tests.benchmarks.seed import Size


@pytest.mark.rare
@pytest.mark.slow
def test_kept_answers_are_measured_beside_a_bare_endpoint() -> None:
    size = Size(agents=10, workflows=130, metrics=1000)
    output = io.StringIO()
    (figure,) = run(Console(file=output, width=200), Plan(size, rounds=1, warm_up=0.1, seconds=0.5))
    assert (figure.name, figure.peer, figure.aim, figure.unit) == (NAME, SAME_BODY, AIM, "requests/s")
    assert figure.value > 0 < figure.peer_value
