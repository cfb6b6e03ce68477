"""What the property tests share.

In CI they are the same on every run: as many sequences as each plan says, from fixed seeds, each failure with the story
of its sequence. `make test ARGS="tests/properties --hypothesis-profile=deep"` takes another chance each time, with ten
times as many sequences, and looks for the shortest one that fails; `--hypothesis-profile=shrink` does that with the
sequences of CI. `--hypothesis-seed=NUMBER` makes a deep run repeatable.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.properties.machine import EXAMPLES
from tests.properties.stage import Stage, a_stage

SECONDS = 120
"""A test's time at most, where it runs as many sequences as in CI; there it takes some ten."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that their profile needs."""
    seconds = SECONDS * settings().max_examples // EXAMPLES
    for item in items:
        if Path(__file__).parent in item.path.parents and "stage" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(seconds))
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    """A hub on a database of this test alone, for some hundred sequences."""
    with a_stage(database_url) as stage:
        yield stage
