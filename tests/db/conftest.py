"""A database without tables, for the tests of how they come to be."""

from collections.abc import Iterator
from itertools import count

import pytest

from db.embedded import EmbeddedServer

_numbers = count(1)


@pytest.fixture
def empty_database_url(postgres: EmbeddedServer) -> Iterator[str]:
    name = f"empty_{next(_numbers)}"
    postgres.create_database(name)
    yield postgres.url(name)
    postgres.drop_database(name)
