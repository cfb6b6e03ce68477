"""The benchmark of the workflows for a moment: both run, in one process and in two, and costs are counted."""

import io

import pytest
from rich.console import Console

from tests.benchmarks.workflows import AIM, AIM_OF_GROWTH, NAME, Plan, run
from tests.benchmarks.workflows_steps import STEPS, work


def test_each_step_is_given_what_the_one_before_returned() -> None:
    result = None
    for name in STEPS:
        result = work(name, result)
    assert result == {"step": "publish", "count": 5, "text": "a small result, kept durably"}


@pytest.mark.rare
@pytest.mark.slow
def test_hub_and_peer_run_the_same_steps() -> None:
    output = io.StringIO()
    figures = run(Console(file=output, width=300), Plan(runs=8, rounds=1, warm_up=2))
    assert [(figure.name, figure.peer, figure.aim) for figure in figures] == [
        (NAME, "DBOS", AIM),
        (f"{NAME}, two worker processes", "DBOS", AIM),
        (f"{NAME}, from one worker process to two", "one process", AIM_OF_GROWTH),
    ]
    assert all(figure.value > 0 and figure.peer_value > 0 for figure in figures)
    assert figures[2].peer_value == figures[0].value
    assert output.getvalue().count("statements a run") == 2
    assert "LangGraph alone takes" in output.getvalue()
