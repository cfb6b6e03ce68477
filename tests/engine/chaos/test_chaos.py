"""A short share of the fault campaign with fixed seeds; all of it is `make chaos`."""

import pytest

from db.embedded import EmbeddedServer
from db.session import Database
from tests.engine.chaos.rounds import Setting, play_round, told
from tests.engine.processes import Workers

LEASE = 1.2
"""Seconds: a round is the sooner over."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_everything_ends_once_whatever_befalls(
    engine_database: Database, workers: Workers, postgres: EmbeddedServer, seed: int
) -> None:
    outcome = await play_round(Setting(seed, lease=LEASE), engine_database, workers, postgres)
    assert outcome.violations == [], told(outcome)
    assert sum(outcome.statuses.values()) == 20
    assert outcome.faults.keys() & {"database restarted", "report repeated later", "agent vanished"}
