"""Thousands of generated operations: one answer by the planner, in one statement, and by graphql-core, byte for byte.

The same operations on every run, as in tests/properties: `--hypothesis-profile=deep` takes others each time, and ten
times as many; `--hypothesis-seed=NUMBER` names which; `--hypothesis-profile=shrink` looks for the shortest that fails.
"""

import asyncio
import secrets
from itertools import cycle, islice
from random import Random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from app.domain.principals import Role
from db.session import Database
from graphql_schema.schema import HubSchema, build_schema
from tests.graphql.planner.arguments import Stock
from tests.graphql.planner.conftest import Reader, principal
from tests.graphql.planner.cursors import read_places
from tests.graphql.planner.dressing import Dressing
from tests.graphql.planner.oracle import TIMED, Facts
from tests.graphql.planner.skeletons import Drawn, drawn
from tests.graphql.planner.trial import Limits, Trial

PARTS = 6
"""Tests that share the work, so that several cores can."""
OPERATIONS = 2_100
"""So many at least run in all parts together; with the profile `deep` ten times as many."""
SKELETONS = 50
"""How many times hypothesis draws what a part selects; that takes as long as to ask for two operations."""
DRESSED = OPERATIONS // PARTS // SKELETONS
"""How many operations are made of each."""
FEATURES = (
    "$v", "= ", "...F", "... {", "... on ", "@include", "@skip", "null", "filter:", "orderBy:", "after:", "before:",
    "first:", "last:", "groups", "percentile", "pageInfo", "totalCount", "edges", "a1:", "__typename",
)  # fmt: skip
"""What each part must have tried at least once."""
ROLES = [Role.ADMIN, Role.ADMIN, Role.PM, Role.VIEWER]


@pytest.fixture(scope="module")
def start(request: pytest.FixtureRequest) -> int:
    """The seed of all parts."""
    asked = request.config.getoption("hypothesis_seed")
    if asked is not None:
        return int(asked)
    return 1 if settings().derandomize else secrets.randbelow(2**32)


@pytest.fixture(scope="module")
def limited_schema(schema: HubSchema) -> HubSchema:
    """The schema without the planner's hook, but with the limits."""

    class SameLimits(Limits):
        documents = schema.documents

    return build_schema(extensions=(SameLimits,))


@pytest.fixture(scope="module")
def stock(world_url: str, schema: HubSchema, facts: Facts) -> Stock:
    """What arguments are made of."""

    async def read() -> Stock:
        database = await _opened(world_url)
        try:
            return Stock(facts, await read_places(facts, Reader(schema, database, principal(Role.ADMIN))))
        finally:
            await database.close()

    return asyncio.run(read())


def root_fields(facts: Facts, part: int) -> list[str]:
    """Some connections and some other fields of Query; `node` and `nodes` are drawn in each part."""
    connections = [*facts.roots.values()]
    others = [name for name in facts.object("Query").fields if name not in (*connections, *TIMED, "node", "nodes")]
    return [*connections[part::PARTS], *others[part::PARTS]] or connections


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_generated_operations_have_one_answer(
    part: int, start: int, world_url: str, schema: HubSchema, limited_schema: HubSchema, stock: Stock
) -> None:
    deeper = settings().max_examples // settings.get_profile("ci").max_examples
    with asyncio.Runner() as runner:
        trial = Trial(runner.run(_opened(world_url)), schema, limited_schema)

        @seed(start * PARTS + part)
        @settings(max_examples=SKELETONS * deeper)
        @given(drawn(root_fields(stock.facts, part)), st.integers(0, 2**32), st.sampled_from(ROLES))
        def compare(some: Drawn, chance: int, role: Role) -> None:
            for number, selected in enumerate(islice(cycle(some.skeletons), DRESSED)):
                random = Random(chance + number)  # noqa: S311
                operation = Dressing(stock, random, some.by_type).operation(selected)
                trial.seen.update(feature for feature in FEATURES if feature in operation.text)
                runner.run(trial.both_ways(operation, role, f"seed {start}, part {part}"))

        try:
            compare()
        finally:
            runner.run(trial.database.close())
    seen = trial.seen
    assert trial.operations * PARTS >= OPERATIONS * deeper
    assert [feature for feature in FEATURES if not seen[feature]] == []
    # equal answers would say little of operations that are refused, or find nothing
    assert seen["answered"] > 0.6 * trial.operations
    assert seen["with rows"] > 0.5 * trial.operations
    assert 0 < seen["over the limits"] < 0.1 * trial.operations
    assert 0 < seen["refused as a whole"] < 0.1 * trial.operations


async def _opened(url: str) -> Database:
    database = Database(url, pool_size=1, read_pool_size=1)
    await database.open()
    return database
