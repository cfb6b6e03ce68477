"""Two processes of the API and two workers on one database are one hub: whatever one does, both tell alike."""

import asyncio

import pytest

from db.session import Database
from tests.acceptance.processes import api, ask, data_folder, worker
from tests.acceptance.test_live import (
    PROGRESS,
    TASKS,
    Changes,
    changes_until_final,
    first_cursor,
    is_end,
    is_last_task,
    run_demo,
)
from tests.acceptance.test_live_failover import addresses_of, prepare
from tests.contracts.conftest import NodeClient, gql_follow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STATE = """
{ workflows(first: 1) { nodes {
    executionId executionStatus version executionPath(first: 100) { nodes { stepNumber phase stepStatus } }
    tasks(first: 100) { nodes { taskId status version } } } } }
"""


def check(changes: Changes) -> None:
    """Each change came once, in the order of the log, and each task's versions rise."""
    cursors = [change["cursor"] for change in changes]
    assert cursors == sorted(set(cursors))
    versions: dict[str, list[int]] = {}
    for change in changes:
        if "task" in change and change["version"] is not None:
            versions.setdefault(change["task"]["taskId"], []).append(change["version"])
    assert all(found == sorted(set(found)) for found in versions.values())


async def test_subscribers_of_both_replicas_see_a_run_alike_and_so_do_readers(
    database: Database, node_client: NodeClient
) -> None:
    with data_folder() as folder:
        variables = await prepare(database, folder)
        with (
            api(folder, "serve", **variables) as first,
            api(folder, "serve", **variables) as second,
            worker(folder, **variables) as one_worker,
            worker(folder, **variables) as other_worker,
        ):
            addresses = addresses_of(folder, [first, second])
            urls = [address.http.removesuffix("/graphql") for address in addresses]
            for process in (one_worker, other_worker):
                process.wait_until_ready()
            # the place in the log is told by one replica, and taken up at both
            after = {"after": await first_cursor(folder, urls[0], addresses[0])}
            async with (
                gql_follow(addresses[0], TASKS, after) as tasks_here,
                node_client.follow(addresses[1], TASKS, after, -1) as tasks_there,
                node_client.follow(addresses[0], PROGRESS, after, -1) as progress_here,
                gql_follow(addresses[1], PROGRESS, after) as progress_there,
            ):
                *found, _ = await asyncio.gather(
                    changes_until_final(tasks_here, is_last_task),
                    changes_until_final(tasks_there, is_last_task),
                    changes_until_final(progress_here, is_end),
                    changes_until_final(progress_there, is_end),
                    # its agents and its people are clients of the second
                    run_demo(folder, urls[1]),
                )
            states = [await asyncio.to_thread(ask, folder, url, STATE) for url in urls]
    tasks_at_one, tasks_at_other, path_at_one, path_at_other = found
    assert tasks_at_one == tasks_at_other
    assert path_at_one == path_at_other
    check(tasks_at_one)
    check(path_at_one)
    phases = [change["detail"]["phase"] for change in path_at_one if change["eventType"] == "step_completed"]
    assert phases == ["decide", "audits", "review", "report", "final-approval"]
    assert len([change for change in tasks_at_one if change["eventType"] == "completed"]) == 6
    assert states[0] == states[1]
    (execution,) = states[0]["workflows"]["nodes"]  # type: ignore[index]
    assert execution["executionStatus"] == "COMPLETED"
