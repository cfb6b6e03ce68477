"""The whole benchmark on little data and for a moment: the contenders agree, and the figures are those of DESIGN.md."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks import postgraphile
from tests.benchmarks.questions import QUESTIONS
from tests.benchmarks.reads import (
    DATALOADERS,
    HUB,
    POSTGRAPHILE,
    SAME_SQL,
    Contender,
    DifferentAnswers,
    Plan,
    difference,
    find_postgraphile,
    require_equal,
    run,
)
from tests.benchmarks.seed import Size
from tests.benchmarks.stage import Served
from tests.contracts import npm

SMALLEST = Plan(Size(agents=10, workflows=130, metrics=1000), rounds=1, warm_up=0.1, seconds=0.3, install=False)
NOBODY = Served("127.0.0.1", 9, 0)


@pytest.mark.rare
@pytest.mark.slow
def test_hub_and_peers_are_measured_on_equal_answers() -> None:
    output = io.StringIO()
    figures = run(Console(file=output, width=200), SMALLEST)
    aims = [(POSTGRAPHILE, 2.5)] if npm.is_installed(postgraphile.PACKAGE) else []
    aims += [(DATALOADERS, 14.0), (SAME_SQL, 0.75)]
    expected = [(question.name, peer, aim) for question in QUESTIONS for peer, aim in aims]
    assert [(figure.name, figure.peer, figure.aim) for figure in figures] == expected
    assert {figure.unit for figure in figures} == {"requests/s"}
    assert all(figure.value > 0 and figure.peer_value > 0 for figure in figures)
    assert output.getvalue().count("8 clients") == 3


def test_where_answers_differ_is_told() -> None:
    one, other = '{"a": 1, "b": 2}', '{"a": 1, "b": 3}'
    assert difference(one, other) == '{"a": 1, "b": 2} | {"a": 1, "b": 3}'


def test_a_peer_that_tells_something_else_is_not_measured() -> None:
    servers = {
        HUB: Contender(NOBODY, ""),
        POSTGRAPHILE: Contender(NOBODY, "", in_sql_names=True),
        DATALOADERS: Contender(NOBODY, ""),
    }
    ours = b'{"data": {"agent": {"status": "IDLE", "cost": "0.5"}}}'
    theirs = b'{"data": {"agent": {"status": "idle", "cost": "0.500000"}}}'
    planned = {"data": {"agent": {"status": "IDLE", "cost": "0.5"}}}
    require_equal(servers, {HUB: ours, POSTGRAPHILE: theirs, DATALOADERS: ours}, planned)
    wrong = theirs.replace(b"0.500000", b"0.500001")
    with pytest.raises(DifferentAnswers, match="PostGraphile 5 tells something else"):
        require_equal(servers, {HUB: ours, POSTGRAPHILE: wrong, DATALOADERS: ours}, planned)
    with pytest.raises(DifferentAnswers, match="DataLoaders answers differently"):
        require_equal(servers, {HUB: ours, POSTGRAPHILE: theirs, DATALOADERS: theirs}, planned)


def test_where_postgraphile_cannot_be_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_package: Path) -> Path:
        raise npm.CannotInstall("npm ci failed: no network")

    monkeypatch.setattr(npm, "installed", fail)
    output = io.StringIO()
    assert find_postgraphile(Console(file=output, width=40), Plan()) is None
    assert output.getvalue() == "PostGraphile 5 is left out of this run: npm ci failed: no network\n"
