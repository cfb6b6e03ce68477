"""Contenders take turns, and medians are of each figure."""

from tests.benchmarks.rounds import Sample, alternate, medians


def test_contenders_take_turns() -> None:
    samples = {"a": iter([Sample(1.0), Sample(9.0), Sample(2.0)]), "b": iter([Sample(5.0), Sample(4.0), Sample(6.0)])}
    noticed: list[tuple[str, float]] = []
    found = alternate(
        {name: lambda mine=mine: next(mine) for name, mine in samples.items()},  # type: ignore[misc]
        3,
        lambda name, sample: noticed.append((name, sample.rate)),
    )
    assert noticed == [("a", 1.0), ("b", 5.0), ("a", 9.0), ("b", 4.0), ("a", 2.0), ("b", 6.0)]
    assert found == {"a": Sample(2.0), "b": Sample(5.0)}


def test_the_median_of_each_figure_is_its_own() -> None:
    samples = [Sample(1.0, 30.0, 7.0), Sample(2.0, 10.0, 9.0), Sample(3.0, 20.0, None)]
    assert medians(samples) == Sample(2.0, 20.0, 8.0, None)
