"""PostGraphile 5 as a contender, on the Node that a wheel of the tests carries.

Its packages are pinned in peers/postgraphile, without the address of any registry: npm's own configuration says where
they come from. They are installed once for each state of the pins (tests/contracts/npm.py).
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from db.embedded import PORT
from tests.benchmarks.stage import Served, Stage
from tests.contracts.npm import NODE

PACKAGE = Path(__file__).parent / "peers" / "postgraphile"
SERVER = "server.js"


@contextlib.contextmanager
def serving(stage: Stage, home: Path) -> Iterator[Served]:
    """PostGraphile, installed in the folder `home`, on the stage's database, in a process of its own."""
    where = {"PGHOST": str(stage.postgres.socket_dir), "PGPORT": str(PORT), "PGUSER": "postgres", "PGDATABASE": "hub"}
    how = {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    with stage.running(str(NODE), str(_place_server(home)), environment=where | how) as served:
        yield served


def _place_server(home: Path) -> Path:
    """Node looks for packages from where the program lies."""
    # whole or not at all: another run may be about to start it
    draft = home / f".server-{os.getpid()}"
    shutil.copy(PACKAGE / SERVER, draft)
    return draft.replace(home / SERVER)
