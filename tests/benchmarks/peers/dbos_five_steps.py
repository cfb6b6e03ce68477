"""`python -m tests.benchmarks.peers.dbos_five_steps URL`: the five steps as a DBOS workflow; see `workflows_hub`."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dbos import DBOS, DBOSConfig

from tests.benchmarks.workflows_steps import STEPS, work

AT_ONCE = 8


@DBOS.step()
def step(name: str, before: Any) -> Any:
    """One step: its result is stored before the next one begins."""
    return work(name, before)


@DBOS.workflow()
def five_steps(_number: int) -> Any:
    """Five steps, each given what the one before returned."""
    result = None
    for name in STEPS:
        result = step(name, result)
    return result


def main(url: str) -> None:
    """Answer the lines."""
    config: DBOSConfig = {
        "name": "five-steps",
        "system_database_url": url,
        "log_level": "WARNING",
        "sys_db_pool_size": 20,
    }
    DBOS(config=config)
    DBOS.launch()
    print("ready", flush=True)  # noqa: T201
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            began = time.perf_counter()
            for _ in pool.map(five_steps, range(json.loads(line)["runs"])):
                pass
            print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)  # noqa: T201
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1])
